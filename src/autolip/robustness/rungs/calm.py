"""Calmness moduli at a sample, by LipSDP in batches: of the outputs, and of values on the way."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from autolip.errors import Refusal
from autolip.graph.views import SlopeGraph, separated
from autolip.intervals import Interval
from autolip.methods.lipsdp.batch.questions import Questions
from autolip.methods.lipsdp.batch.sample import Slopes, bends_entrywise, entrywise
from autolip.methods.lipsdp.batch.solve import Batch, Care
from autolip.norms import Norm
from autolip.regions import Box, Everywhere
from autolip.robustness.trial import Trial
from autolip.rules import slopes_on

CAREFUL = 1 - 1e-9
"""Chosen: how much less is wanted than what would be enough, so that rounding does not decide."""


@dataclass(frozen=True)
class Calm:
    """The network of a trial with the secants from its sample, on ranges that may get narrower."""

    trial: Trial
    ranges: dict[str, Interval]
    graph: SlopeGraph

    @classmethod
    def of(cls, trial: Trial) -> "Calm | Refusal":
        """That of a trial; refused where no batch of LipSDP takes it."""
        if trial.norm is Norm.L1:
            return Refusal("LipSDP bounds nothing from l1")
        ranges = dict(trial.prefix.ranges)
        return cls(trial, ranges, _centred(trial, ranges))

    def refreshed(self) -> "Calm":
        """The slopes on the ranges as they are now."""
        return replace(self, graph=_centred(self.trial, self.ranges))

    @property
    def wanted(self) -> Float[Tensor, " rivals"]:
        """What constants of the differences would be enough."""
        trial = self.trial
        return (trial.there - trial.needed) / trial.reach.value * CAREFUL

    @cached_property
    def bent(self) -> list[str]:
        """The vertices that act entry by entry, in order."""
        return list(entrywise(self.graph))

    def operand(self, name: str) -> str | None:
        """What a vertex reads, where that is one value."""
        edge = self.graph[name].only_edge
        return None if edge is None else edge.source

    def unsettled(self, name: str) -> Bool[Tensor, " n"]:
        """The entries whose slope is not known but for a range."""
        slope = entrywise(self.graph)[name]
        return (slope.lo < slope.hi).reshape(-1)

    def constants(
        self,
        output: str,
        rows: Float[Tensor, "k n"],
        wanted: Float[Tensor, " k"] | None = None,
    ) -> Float[Tensor, " k"] | Refusal:
        """Proved calmness moduli of linear functions of a value, infinite where nothing is proved;
        where some are wanted, those or nothing."""
        graph = _up_to(self.graph, output)
        slopes = entrywise(graph)
        batch = self._shared(output, slopes)
        if batch is None:
            own = Batch.of(graph, self.trial.norm)
            if isinstance(own, Refusal):
                return own
            batch, slopes = own, {}
        samples = torch.zeros(len(rows), dtype=torch.long)
        questions = Questions(slopes, rows.unsqueeze(1), samples)
        care = Care(device=self.trial.device)
        found = batch.solve(questions, wanted=wanted, care=care, budget=self.trial.budget)
        return found if isinstance(found, Refusal) else found.value

    def narrow(self, name: str, entries: Int[Tensor, " k"], constants: Float[Tensor, " k"]) -> None:
        """|v_i(x) - v_i(c)| <= constants_i |x - c| for these entries."""
        known = self.ranges[name]
        reach = torch.full_like(constants, self.trial.reach.value)
        moved = (Interval(constants, constants) * Interval(reach, reach)).hi
        there = self._there[name].range
        lo, hi = (end.reshape(-1).clone() for end in (known.lo, known.hi))
        near = Interval(there.lo.reshape(-1)[entries], there.hi.reshape(-1)[entries])
        around = near + Interval(-moved, moved)
        lo[entries] = torch.maximum(lo[entries], around.lo)
        hi[entries] = torch.minimum(hi[entries], around.hi)
        narrowed = Interval(lo.reshape(known.shape), hi.reshape(known.shape))
        self.ranges[name] = narrowed

    @cached_property
    def _there(self) -> SlopeGraph:
        """The network at the sample: every range holds the value there."""
        classifier = self.trial.classifier
        centre = self.trial.region.origin(classifier.shape)
        return slopes_on(classifier.lowered, Box(centre, centre))

    def _shared(self, output: str, slopes: Slopes) -> Batch | None:
        """The relaxation that serves all samples: where all that bends acts entry by entry,
        wherever the input is."""
        classifier, norm = self.trial.classifier, self.trial.norm
        key = ("lipsdp", output, norm)
        if key not in classifier.kept:
            whole = separated(slopes_on(classifier.lowered, Everywhere()))
            graph = _up_to(whole, output)
            found = Batch.of(graph, norm) if bends_entrywise(graph) else None
            classifier.kept[key] = None if isinstance(found, Refusal) else found
        batch: Batch | None = classifier.kept[key]
        if batch is None or set(batch.relaxation.constraints) != set(slopes):
            return None
        return batch


def _centred(trial: Trial, ranges: Mapping[str, Interval]) -> SlopeGraph:
    classifier = trial.classifier
    centre = trial.region.origin(classifier.shape)
    return separated(slopes_on(classifier.lowered, trial.region, ranges, centre))


def _up_to(graph: SlopeGraph, output: str) -> SlopeGraph:
    """The same network as far as a value."""
    if output == graph.output:
        return graph
    names = [vertex.name for vertex in graph]
    vertices = graph.vertices[: names.index(output) + 1]
    needed = {output}
    for vertex in reversed(vertices):
        if vertex.name in needed:
            needed.update(edge.source for edge in vertex.edges)
    kept = tuple(vertex for vertex in vertices if vertex.name in needed)
    return SlopeGraph(graph.input, kept, output)
