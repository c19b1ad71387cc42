"""AutoLip: the product bound for any computation graph."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from autolip.budget import SPENT, UNLIMITED
from autolip.certificates import NormFact, Proof
from autolip.errors import Refusal
from autolip.graph.views import Edge, SlopeGraph, Vertex
from autolip.methods.method import Bound, Contribution, Method, Problem, method
from autolip.norms import Norm
from autolip.operators.operator import Operator
from autolip.values import Upper

Gains = dict[Norm, Upper]
"""For each tracked norm r an upper bound on ||v(x) - v(y)||_r / ||x - y||_p."""


@method("autolip")
@method("autolip-raw", fuse=False)
@dataclass(frozen=True)
class AutoLip(Method):
    """Upper bound on the Lipschitz constant: gains added over operands, multiplied along paths.

    Walks the graph once: L_0 = 1, L_k = sum_i ||M_ki|| L_i, with M_ki the slope set of operation k
    towards its operand i on the region (Virmaux and Scaman, NeurIPS 2018, Algorithm 1).  With
    `fuse`, every affine subgraph is one operator and the norm is that of the composed map, never
    worse up to the tolerance of the norm engines; without, the graph is walked operation by
    operation, as published.  Where input and output norms differ, both are tracked and the cheapest
    change of norm is made along the way.
    """

    fuse: bool = True

    name: ClassVar[str] = "autolip"
    automatic: ClassVar[float] = 10
    source: ClassVar[str] = "Virmaux and Scaman, NeurIPS 2018, Algorithm 1"

    def bound(self, problem: Problem) -> Bound | Refusal:
        return walk(problem, problem.fused if self.fuse else problem.slopes)


@dataclass(frozen=True)
class Shortcut:
    """A bound on a whole stretch: ||sink - sink'||_norm <= gain ||source - source'||_norm."""

    source: str
    sink: str
    norm: Norm
    gain: Upper


def walk(
    problem: Problem, graph: SlopeGraph, shortcuts: Sequence[Shortcut] = ()
) -> Bound | Refusal:
    """The product bound over a graph, better bounds of stretches taken where they are given."""
    return infinite(problem, graph) or _Walk(problem, graph, shortcuts).run()


def gains_of(problem: Problem, graph: SlopeGraph) -> dict[str, Gains] | Refusal:
    """The gain from the input to every vertex, in the norms that the walk keeps track of."""
    whole = _Walk(problem, graph, ())
    found = whole.run()
    return found if isinstance(found, Refusal) else whole.gains


def infinite(problem: Problem, graph: SlopeGraph) -> Bound | None:
    """The product bound, where slopes make it infinite whatever the norms are: found before any
    norm is.

    By the norms that cost next to nothing: a factor of 0 among them would be a proof that nothing
    passes there.
    """
    if all(edge.slope.is_finite for vertex in graph for edge in vertex.edges):
        return None
    late = replace(problem.options, budget=SPENT, proved_only=True)
    alone = replace(problem.with_own_norms(), options=late)
    cheap = _Walk(alone, graph, ())
    found = cheap.run()
    if (
        isinstance(found, Refusal)
        or not isinstance(found.value, Upper)
        or math.isfinite(found.value.value)
    ):
        return None
    return replace(found, notes=tuple(cheap.culprits), complete=True)


@dataclass
class _Walk:
    """One forward walk; keeps what every edge contributed and what made the bound infinite."""

    problem: Problem
    graph: SlopeGraph
    shortcuts: Sequence[Shortcut]
    gains: dict[str, Gains] = field(default_factory=dict)
    contributions: list[Contribution] = field(default_factory=list)
    used: list[tuple[Vertex, Edge, Operator, Norm, Norm, Upper]] = field(default_factory=list)
    culprits: list[str] = field(default_factory=list)

    def run(self) -> Bound | Refusal:
        for vertex in self.graph:
            gains = (
                self._start(vertex) if vertex.name == self.graph.input else self._through(vertex)
            )
            if isinstance(gains, Refusal):
                return gains
            size = vertex.shape.numel()
            self.gains[vertex.name] = self._exchanged(gains, size)
        total = self.gains[self.graph.output][self.problem.q]
        notes = (*self.culprits, *self._hurried())
        return Bound(
            total, tuple(self.contributions), notes, not notes[len(self.culprits) :], self._proof
        )

    def _hurried(self) -> Iterator[str]:
        """Says of which norms the time budget left only a part."""
        keys = {(id(operator), s, r) for _, _, operator, s, r, _ in self.used}
        count = len(keys & self.problem.hurried)
        if count:
            yield (
                f"the time had ended: {count} of {len(keys)} norms are cheap stand-ins, more "
                "time makes them smaller"
            )

    def _proof(self) -> Proof | None:
        """The norms used, which are of composed affine maps, as facts on the graph operation by
        operation."""
        is_fused = self.graph is self.problem.fused
        composed = is_fused and not self.shortcuts
        return Proof(self.problem.slopes, tuple(map(self._fact, self.used))) if composed else None

    def _fact(self, used: tuple[Vertex, Edge, Operator, Norm, Norm, Upper]) -> NormFact:
        vertex, edge, operator, s, r, bound = used
        # a proof is put down when the time may be over
        unhurried = self.problem.with_budget(UNLIMITED)
        l2 = unhurried.norm(operator, Norm.L2, Norm.L2)
        return NormFact.of(operator, edge.source, vertex.name, s, r, bound, l2)

    @property
    def tracked(self) -> tuple[Norm, ...]:
        return tuple(dict.fromkeys((self.problem.p, self.problem.q)))

    def _start(self, vertex: Vertex) -> Gains:
        size = vertex.shape.numel()
        if vertex.name == self.problem.slopes.input:
            size = self.problem.moving
        return {r: self.problem.p.equivalence(r, size) for r in self.tracked}

    def _exchanged(self, gains: Gains, size: int) -> Gains:
        """Each gain against the others times the constant of norm equivalence."""
        return {r: Upper.least(gains[s] * s.equivalence(r, size) for s in gains) for r in gains}

    def _through(self, vertex: Vertex) -> Gains | Refusal:
        total: Gains = {r: Upper(0.0) for r in self.tracked}
        for edge in vertex.edges:
            for r in self.tracked:
                term = self._along(vertex, edge, r)
                if isinstance(term, Refusal):
                    return term
                total[r] = total[r] + term
        for shortcut in self.shortcuts:
            if shortcut.sink == vertex.name and shortcut.norm in total:
                before = self.gains[shortcut.source]
                direct = shortcut.gain * before[shortcut.norm]
                walked = total[shortcut.norm]
                total[shortcut.norm] = Upper.least([walked, direct])
        return total

    def _along(self, vertex: Vertex, edge: Edge, r: Norm) -> Upper | Refusal:
        """The gain of an edge in norm r, by the best of the tracked norms at its source."""
        routes, refusals = [], []
        for s in self.tracked:
            gain = self._norm(vertex, edge, s, r)
            if isinstance(gain, Refusal):
                refusals.append(gain)
            else:
                routes.append((gain * self.gains[edge.source][s], gain, s))
        if not routes:
            return Refusal(f"{vertex.operation} at {vertex.place}: {refusals[0]}")
        self._remember(
            vertex, edge, next((gain for _, gain, s in routes if s is r), routes[0][1]), r
        )
        return Upper.least(product for product, _, _ in routes)

    def _norm(self, vertex: Vertex, edge: Edge, s: Norm, r: Norm) -> Upper | Refusal:
        """||M||_{s -> r} for every M in the slope set."""
        gain = edge.slope.gain(s, r, self.problem.norm)
        if edge.operator is not None and isinstance(gain, Upper):
            self.used.append((vertex, edge, edge.operator, s, r, gain))
        return gain

    def _remember(self, vertex: Vertex, edge: Edge, gain: Upper, r: Norm) -> None:
        if r is self.problem.q:
            self.contributions.append(Contribution(vertex.place, vertex.operation, gain))
            blamed = self.gains[edge.source][r].value not in (0.0, float("inf"))
            if gain.value == float("inf") and blamed:
                reason = f"infinite through {vertex.operation} at {vertex.place}"
                if reason not in self.culprits:
                    self.culprits.append(reason)
