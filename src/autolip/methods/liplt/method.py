"""LipLT: loop transformation, a linear part through the centres of the slopes plus small
remainders."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from autolip.budget import IN_DOUBLE, Budget, Meter, metered
from autolip.errors import Refusal
from autolip.graph.chains import Stretch, every_run
from autolip.graph.fixed import without_fixed
from autolip.graph.views import SlopeGraph, Vertex, fused
from autolip.methods.autolip import Shortcut, infinite, walk
from autolip.methods.liplt.frequencies import torus_looped
from autolip.methods.liplt.linear_part import (
    DENSE_WORK,
    Centres,
    Maps,
    Matrices,
    MatrixFree,
    matrices_suffice,
)
from autolip.methods.method import Bound, Method, Problem, method
from autolip.methods.stretchwise import StretchBound, Stretchwise
from autolip.norms import Norm
from autolip.operators.convolution import Convolution
from autolip.operators.diagonal import Identity
from autolip.slopes import Gain
from autolip.values import INFINITE, ONE, ZERO, Upper

NEAREST = 8
"""Chosen: how many of the nearest vertices that all paths go through a stretch may start at, beside
the input."""

LITTLE = 1e11
"""Chosen: multiply-adds that are always allowed: some seconds."""

LOWERED = 1e9
"""Chosen: multiply-adds that the network with maxima written with relu, seldom the better one, may
cost."""


@method("liplt")
@dataclass(frozen=True)
class LipLT(Method):
    """Upper bound on the Lipschitz constant: ||through the centres|| + sum of ||remainders, through
    the centres||.

    With slopes in [a, b] write z = c v + r psi(v), c = (a + b)/2, r = (b - a)/2, psi entrywise
    1-Lipschitz.  Then l(v_k) <= ||x -> v_k|| + sum_j ||r_j z_j -> v_k|| l(v_j), all maps taken
    through the centres (Fazlyab, Entesari, Roy and Chellappa, NeurIPS 2023, Theorem 1).  The same
    holds from any vertex that all paths to v_k go through in place of x; the least over such
    stretches and over AutoLip's products is taken, so that it is never above AutoLip. Small
    networks hold every map as a matrix (and are tried with maxima written with relu, too); in
    others composed norms come from Lanczos, short stretches first, until `passes` forward and
    backward passes are spent.  Narrower slopes may have a centre with a larger map, so that the
    bound with the slopes everywhere is tried as well.
    """

    passes: float = 100.0

    name: ClassVar[str] = "liplt"
    automatic: ClassVar[float] = 50
    source: ClassVar[str] = "Fazlyab, Entesari, Roy and Chellappa, NeurIPS 2023, Theorem 1"

    def bound(self, problem: Problem) -> Bound | Refusal:
        hopeless = infinite(problem, problem.fused)
        if hopeless is not None:
            return hopeless
        bounds = [self._on(problem, centres) for centres in _views(problem)]
        if problem.separated is not problem.fused:
            bounds.append(walk(problem, problem.fused))
        found = [
            bound for bound in bounds if isinstance(bound, Bound) and isinstance(bound.value, Upper)
        ]
        if not found:
            return bounds[0]
        least = Upper.least(bound.value for bound in found if isinstance(bound.value, Upper))
        chosen = next(
            b for b in found if isinstance(b.value, Upper) and b.value.value == least.value
        )
        complete = all(bound.complete for bound in found)
        return Bound(least, chosen.contributions, chosen.notes, complete, nearest=False)

    def _on(self, problem: Problem, centres: Centres) -> Bound | Refusal:
        norms = tuple(dict.fromkeys((problem.p, problem.q)))
        shortcuts: list[Shortcut] = []
        with metered() as meter:
            maps = self._maps(problem, centres, norms, meter)
            for norm in norms:
                runs = every_run(centres.graph) if norm is Norm.L2 else ()
                circular = Stretchwise.of(problem, centres.graph, runs, _on_the_torus).shortcuts
                done = {cut.sink for cut in circular}
                shortcuts += circular
                shortcuts += _Stretches(problem, centres, maps, norm, done).shortcuts()
        return walk(problem, centres.graph, shortcuts)

    def _maps(
        self, problem: Problem, centres: Centres, norms: tuple[Norm, ...], meter: Meter
    ) -> Maps:
        if matrices_suffice(centres, limit=_affordable(problem.budget)):
            held = Matrices.of(centres, _read(centres.graph), norms)
            if isinstance(held, Matrices):
                return held
        return MatrixFree(
            problem, centres, meter, max(self.passes * problem.work_of_one_pass, LITTLE)
        )


def _affordable(budget: Budget) -> float:
    """Multiply-adds for matrices: what the time that is left allows; they are not interrupted."""
    return min(DENSE_WORK, budget.reference_left / IN_DOUBLE)


def _views(problem: Problem) -> Iterator[Centres]:
    """The network as it is, and with maxima written with relu where that is small enough."""
    yield Centres(_read_out(problem.separated))
    edges = (edge for vertex in problem.slopes for edge in vertex.edges)
    if any(isinstance(edge.slope, Gain) for edge in edges):
        lowered = Centres(_read_out(fused(without_fixed(problem.lowered))))
        if matrices_suffice(lowered, limit=LOWERED) and not problem.budget.expired:
            yield lowered
    if problem.entries is not None:
        written = Centres(_read_out(fused(problem.entries)))
        if matrices_suffice(written, limit=LOWERED) and not problem.budget.expired:
            yield written


def _read_out(graph: SlopeGraph) -> SlopeGraph:
    """The same with an affine value at the end: remainders of the last operation are terms too."""
    if graph[graph.output].is_affine:
        return graph
    return graph.then(Identity(graph.output_shape))


def _on_the_torus(run: Stretch) -> StretchBound | Refusal:
    """LipLT along a chain of convolutions, to each of its ends."""
    blocks = [block for block in run.blocks if isinstance(block, Convolution)]
    if len(blocks) != len(run.blocks):
        return Refusal("not all of its blocks are convolutions")
    levels = torus_looped(blocks, run.slopes)
    if isinstance(levels, Refusal):
        return levels
    return StretchBound(levels[-1], levels=tuple(levels[:-1]))


def _read(graph: SlopeGraph) -> list[str]:
    """The affine vertices, each of which something reads, in order."""
    return [vertex.name for vertex in graph if vertex.is_affine and vertex.edges]


@dataclass
class _Stretches:
    """Bounds on the gain from a vertex that all paths go through to a later affine one, in one
    norm."""

    problem: Problem
    centres: Centres
    maps: Maps
    norm: Norm
    done: set[str]
    """Ends of chains of convolutions, which have a better bound than Lanczos would give."""
    gains: dict[tuple[str, str], Upper] = field(default_factory=dict)

    def shortcuts(self) -> Iterator[Shortcut]:
        """Every stretch with something nonlinear inside, short ones first, while there is
        budget."""
        for start, sink in self._stretches():
            if self.maps.exhausted:
                return
            gain = self._looped(start, sink)
            self.gains[start, sink] = Upper.least(
                [gain, self._product(start, self.centres.graph[sink])]
            )
            yield Shortcut(start, sink, self.norm, self.gains[start, sink])

    def _stretches(self) -> Iterator[tuple[str, str]]:
        graph = self.centres.graph
        reach = max(map(len, self.centres.dominators.values()))
        for back in range(1, reach + 1):
            for sink in _read(graph):
                starts = self.centres.dominators[sink]
                if sink in self.done and isinstance(self.maps, MatrixFree):
                    continue
                near = back <= len(starts) and (back <= NEAREST or starts[-back] == graph.input)
                if near and self._inside(starts[-back], sink):
                    yield starts[-back], sink

    def _inside(self, start: str, sink: str) -> list[str]:
        """The nonlinear vertices strictly between a start and a vertex that it dominates."""
        before = self.centres.ancestors[start]
        return [
            name
            for name in self.centres.remainders
            if name in self.centres.ancestors[sink] and name not in before
        ]

    def _looped(self, start: str, sink: str) -> Upper:
        """||start -> sink|| + sum_j ||r_j z_j -> sink|| l_j, l_j the gain from the start to what
        drives z_j."""
        total = self.maps.norm(start, sink, self.norm)
        for name in self._inside(start, sink):
            remainder = self.centres.remainders[name]
            gain = remainder.gains.get(self.norm, INFINITE)
            reach = self.maps.added(remainder, sink, self.norm)
            total = total + reach * gain * self._gain(start, remainder.source)
        return total

    def _gain(self, start: str, name: str) -> Upper:
        """The best known gain from the start to a vertex."""
        if start == name:
            return ONE
        if (start, name) not in self.gains:
            vertex = self.centres.graph[name]
            self.gains[start, name] = self._product(start, vertex)
        return self.gains[start, name]

    def _product(self, start: str, vertex: Vertex) -> Upper:
        """Norms of the operands times the gains to them, added."""
        total = ZERO
        for edge in vertex.edges:
            found = edge.slope.gain(self.norm, self.norm, self.problem.norm)
            own = found if isinstance(found, Upper) else INFINITE
            total = total + own * self._gain(start, edge.source)
        return total
