"""A bound for sequential stretches, folded over any graph: bounds of the stretches, AutoLip's
products for the rest."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from autolip.errors import Refusal
from autolip.graph.chains import Stretch, ends
from autolip.graph.views import SlopeGraph
from autolip.methods.autolip import Shortcut, walk
from autolip.methods.method import Bound, Problem
from autolip.norms import Norm
from autolip.slopes import Slope
from autolip.values import Estimate, Upper


@dataclass(frozen=True)
class StretchBound:
    """||sink - sink'||_2 <= value ||source - source'||_2 for one stretch, or an estimate of the
    least such value."""

    value: Upper | Estimate
    complete: bool = True
    """False where the time budget ended the work early."""
    remarks: tuple[str, ...] = ()
    levels: tuple[Upper, ...] = ()
    """The same to the ends of its first blocks, one after the other, where that is known too."""


@dataclass
class Stretchwise:
    """What a method knows of stretches of a graph: the gains along them (l2), and why others have
    none."""

    problem: Problem
    graph: SlopeGraph
    shortcuts: list[Shortcut] = field(default_factory=list)
    estimates: list[tuple[Stretch, Estimate]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    complete: bool = True

    @staticmethod
    def of(
        problem: Problem,
        graph: SlopeGraph,
        stretches: Iterable[Stretch],
        bounded: Callable[[Stretch], StretchBound | Refusal],
    ) -> "Stretchwise":
        """The answers of `bounded` for these stretches of the graph, asked in their order."""
        fold = Stretchwise(problem, graph)
        for stretch in stretches:
            fold._enter(stretch, bounded(stretch))
        return fold

    def _enter(self, stretch: Stretch, bound: StretchBound | Refusal) -> None:
        if isinstance(bound, Refusal):
            self.notes.append(f"product of norms to {self.graph[stretch.sink].place}: {bound}")
            return
        self.notes += bound.remarks
        self.complete &= bound.complete
        if isinstance(bound.value, Upper):
            self._take(stretch.source, stretch.sink, bound.value)
        else:
            self.estimates.append((stretch, bound.value))
        for sink, level in zip(ends(self.graph, stretch), bound.levels, strict=False):
            self._take(stretch.source, sink, level)

    def _take(self, source: str, sink: str, gain: Upper) -> None:
        self.shortcuts.append(Shortcut(source, sink, Norm.L2, gain))

    @property
    def says_nothing(self) -> bool:
        """Whether no stretch has a bound or an estimate."""
        return not self.shortcuts and not self.estimates

    def joined(self, notes: Iterable[str] = ()) -> Bound | Refusal:
        """The bounds of the stretches, AutoLip for the rest; an Estimate where one of them is."""
        walked = walk(self.problem, self.graph, self.shortcuts)
        if isinstance(walked, Refusal):
            return walked
        return replace(
            walked,
            value=self._estimated() if self.estimates else walked.value,
            notes=(*walked.notes, *notes),
            complete=walked.complete and self.complete,
        )

    def _estimated(self) -> Estimate:
        """The l2 gains added over operands and multiplied along paths, in plain numbers, an
        estimate in place of a stretch's product."""
        total = {self.graph.input: 1.0}
        for vertex in self.graph:
            if vertex.name == self.graph.input:
                continue
            products = [self._gain(edge.slope) * total[edge.source] for edge in vertex.edges]
            ending = [known for known in self.estimates if known[0].sink == vertex.name]
            others = [estimate.value * total[stretch.source] for stretch, estimate in ending]
            total[vertex.name] = min([sum(products), *others])
        return Estimate(total[self.graph.output])

    def _gain(self, slope: Slope) -> float:
        gain = slope.gain(Norm.L2, Norm.L2, self.problem.norm)
        return float("inf") if isinstance(gain, Refusal) else gain.value
