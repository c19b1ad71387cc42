"""LipLT: loop transformation, a linear part through the centres of the slopes plus small remainders."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from autolip.errors import Refusal
from autolip.graph.views import Edge, SlopeGraph
from autolip.methods.method import Bound, Method, Problem, method
from autolip.operators.algebra import compose
from autolip.operators.block import Block, Link, between
from autolip.operators.diagonal import Diagonal, Identity
from autolip.operators.operator import Operator
from autolip.slopes import Between, Exact, Gain
from autolip.values import INFINITE, ONE, Upper


@method("liplt")
@dataclass(frozen=True)
class LipLT(Method):
    """Upper bound on the Lipschitz constant: ||through the centres|| + sum of ||remainders, through the centres||.

    With slopes in [a, b] write z = c v + r psi(v), c = (a + b)/2, r = (b - a)/2, psi entrywise 1-Lipschitz.  Then
    l(v_k) <= ||x -> v_k|| + sum_j ||r_j z_j -> v_k|| l(v_j), all maps taken through the centres.  Costs K^2/2 norms
    of composed matrix-free maps for K nonlinear layers; with exact norms never worse than the product bound
    (Fazlyab, Entesari, Roy and Chellappa, NeurIPS 2023, Theorem 1).
    """

    name: ClassVar[str] = "liplt"
    source: ClassVar[str] = "Fazlyab, Entesari, Roy and Chellappa, NeurIPS 2023, Theorem 1"

    def accepts(self, problem: Problem) -> Refusal | None:
        """Refuses different norms at input and output."""
        if problem.p is not problem.q:
            return Refusal("needs the same norm at input and output")
        return None

    def bound(self, problem: Problem) -> Bound | Refusal:
        return _Loops(problem, problem.fused).run()


@dataclass(frozen=True)
class _Remainder:
    """What a nonlinear edge adds beyond its centre: at vertex `at`, of `operator` gain times psi(v_source)."""

    at: str
    source: str
    operator: Operator
    gain: Upper


@dataclass
class _Loops:
    problem: Problem
    graph: SlopeGraph
    links: list[Link] = field(default_factory=list)
    remainders: list[_Remainder] = field(default_factory=list)
    levels: dict[str, Upper] = field(default_factory=dict)

    def run(self) -> Bound | Refusal:
        read = {e.source for v in self.graph if not v.is_affine for e in v.edges} | {self.graph.output}
        for vertex in self.graph:
            for edge in vertex.edges:
                refusal = self._enter(vertex.name, edge)
                if refusal is not None:
                    return Refusal(f"{vertex.operation} at {vertex.place}: {refusal}")
            if vertex.name in read:
                level = self._level(vertex.name)
                if isinstance(level, Refusal):
                    return Refusal(f"the map to {vertex.place}: {level}")
                self.levels[vertex.name] = level
        return Bound(self.levels[self.graph.output], complete=not self.problem.options.expired)

    def _enter(self, name: str, edge: Edge) -> Refusal | None:
        """Record an edge: its centre as a link, the rest as a remainder."""
        slope = edge.slope
        if isinstance(slope, Exact):
            self.links.append(Link(edge.source, name, slope.operator))
        elif isinstance(slope, Between):
            centre, radius = centre_and_radius(slope)
            if not radius.isfinite().all():
                self.remainders.append(_Remainder(name, edge.source, Identity(slope.in_shape), INFINITE))
                return None
            self.links.append(Link(edge.source, name, Diagonal(centre, slope.in_shape)))
            self.remainders.append(_Remainder(name, edge.source, Diagonal(radius, slope.in_shape), ONE))
        else:
            return self._enter_gain(name, edge, slope)
        return None

    def _enter_gain(self, name: str, edge: Edge, slope: Gain) -> Refusal | None:
        gain = slope.norms.get(self.problem.p)
        if gain is None:
            return Refusal(f"no {self.problem.p.value} gain is known")
        self.remainders.append(_Remainder(name, edge.source, Identity(slope.out_shape), gain))
        return None

    def _level(self, name: str) -> Upper | Refusal:
        """l(v): the centre's norm plus every remainder's."""
        if name == self.graph.input:
            return ONE
        total = self._norm(self._map(self.graph.input, name))
        for remainder in self.remainders:
            reach = self._map(remainder.at, name)
            if isinstance(total, Refusal) or reach is None:
                continue
            norm = self._norm(compose(reach, remainder.operator))
            total = norm if isinstance(norm, Refusal) else total + norm * remainder.gain * self.levels[remainder.source]
        return total

    def _map(self, source: str, sink: str) -> Operator | None:
        """The linear map from source to sink through the centres; None where there is none."""
        if source == sink:
            return Identity(self.graph[sink].shape)
        links = between(self.links, source, sink)
        if not links:
            return None
        return Block.of(links, source, sink, self.graph[source].shape, self.graph[sink].shape)

    def _norm(self, operator: Operator | None) -> Upper | Refusal:
        return Upper(0.0) if operator is None else self.problem.norm(operator, self.problem.p, self.problem.q)


def centre_and_radius(slope: Between) -> tuple[Tensor, Tensor]:
    """c and r with [lo, hi] inside [c - r, c + r], r rounded up."""
    centre = slope.lo / 2 + slope.hi / 2
    radius = torch.maximum(slope.hi - centre, centre - slope.lo)
    exact = (centre - radius == slope.lo) & (centre + radius == slope.hi)
    return centre, torch.where(exact, radius, radius.nextafter(torch.full_like(radius, float("inf"))))


__all__ = ["LipLT", "centre_and_radius"]
