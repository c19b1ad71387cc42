"""Positive weights on the entries of a network's values, such that every operation that is not
affine keeps them."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from autolip.graph.views import Edge, SlopeGraph, Vertex
from autolip.operators.algebra import compose, factors
from autolip.operators.diagonal import Diagonal
from autolip.operators.operator import DTYPE, Adjoint, Operator
from autolip.roundoff import relative_error
from autolip.slopes import Exact, Gain

SAFE = 2.0**400
"""Chosen: weights lie in [1 / SAFE, SAFE]: reciprocals have relative errors only, and quotients of
two weights do."""


@dataclass(frozen=True)
class Weights:
    """For every vertex its group, for every free group a positive tensor that broadcasts to the
    vertices' shapes.

    A nonlinear vertex shares the group of what it reads: an entrywise slope commutes with any
    diagonal, a gain whose blocks act apart with a diagonal that is constant on every block.  The
    groups of input and output, and of gains that act on everything at once, are not free: their
    weights are 1.
    """

    groups: dict[str, str]
    values: dict[str, Tensor]

    @staticmethod
    def of(graph: SlopeGraph) -> "Weights":
        """Weights of 1 wherever they are free to change."""
        groups = _groups(graph)
        frozen = {groups[graph.input], groups[graph.output]}
        values: dict[str, Tensor] = {}
        for root in dict.fromkeys(groups.values()):
            shape = (
                None
                if root in frozen
                else _pattern(graph, [v for v in graph if groups[v.name] == root])
            )
            if shape is not None:
                values[root] = torch.ones(shape, dtype=DTYPE)
        return Weights(groups, values)

    def moved(self, values: dict[str, Tensor]) -> "Weights | None":
        """Other weights for the free groups; None where one is not a number within the safe
        range."""
        safe = all(bool(((value >= 1 / SAFE) & (value <= SAFE)).all()) for value in values.values())
        return replace(self, values=values) if safe else None

    def __getitem__(self, vertex: str) -> Tensor | None:
        """The weights of a vertex; None for 1."""
        return self.values.get(self.groups[vertex])


def _groups(graph: SlopeGraph) -> dict[str, str]:
    """The vertices joined by operations that are not affine, each under the name of the first."""
    groups: dict[str, str] = {}
    for vertex in graph:
        groups[vertex.name] = vertex.name
        for edge in vertex.edges:
            if edge.operator is None:
                old = groups[vertex.name]
                new = groups[edge.source]
                groups = {name: new if root == old else root for name, root in groups.items()}
    return groups


def _pattern(graph: SlopeGraph, members: list[Vertex]) -> tuple[int, ...] | None:
    """The shape of a group's weights: along all axes for vectors, along channels or features else;
    None if not free."""
    rank = len(members[0].shape)
    if any(len(vertex.shape) != rank for vertex in members):
        return None
    kept = set(range(rank)) if rank <= 2 else {_feature_axis(graph, members, rank)}
    for vertex in members:
        for edge in vertex.edges:
            if isinstance(edge.slope, Gain):
                if edge.slope.axes is None or not rank:
                    return None
                kept -= set(edge.slope.axes)
    shape = tuple(size if axis in kept else 1 for axis, size in enumerate(members[0].shape))
    same = all(vertex.shape[axis] == shape[axis] for vertex in members for axis in kept)
    return shape if same and any(size > 1 for size in shape) else None


def _feature_axis(graph: SlopeGraph, members: list[Vertex], rank: int) -> int:
    """The channels of a convolution on the way to or from one of the vertices; the last axis
    otherwise."""
    names = {vertex.name for vertex in members}
    for link in graph.links:
        if names & {link.source, link.target}:
            for leaf in _leaves(link.operator):
                if leaf.kernel is not None and len(leaf.in_shape) == rank:
                    return rank - leaf.kernel.geometry.dims - 1
    return rank - 1


def _leaves(operator: Operator) -> list[Operator]:
    """The operators that a composite is made of, untransposed."""
    found: list[Operator] = []

    def leaf(part: Operator, seen: None) -> None:
        found.append(part.operator if isinstance(part, Adjoint) else part)

    operator.fold(None, leaf, lambda parts: None)
    return found


def weighted(graph: SlopeGraph, weights: Weights) -> SlopeGraph:
    """The graph of D_v v in place of v: every affine operator D_v A D_u^-1, all other slopes as
    they are."""

    def reweighted(vertex: Vertex, edge: Edge) -> Edge:
        if edge.operator is None:
            return edge
        outputs = weights[vertex.name]
        inputs = weights[edge.source]
        turned = scaled(edge.operator, outputs, inputs)
        return replace(edge, slope=Exact(turned))

    vertices = (replace(v, edges=tuple(reweighted(v, edge) for edge in v.edges)) for v in graph)
    return replace(graph, vertices=tuple(vertices))


def scaled(operator: Operator, after: Tensor | None, before: Tensor | None) -> Operator:
    """diag(after) A diag(before)^-1, the reciprocals' rounding included; diagonals moved past
    wiring at the ends."""
    inner = list(factors(operator))
    right: list[Operator] = []
    left: list[Operator] = []
    if before is not None:
        while len(inner) > 1 and _is_permutation(inner[-1]):
            before = inner[-1].mv(before.expand(inner[-1].in_shape).unsqueeze(0))[0]
            right.insert(0, inner.pop())
        right.insert(0, Diagonal(before.reciprocal(), inner[-1].in_shape, relative_error(1)))
    if after is not None:
        while len(inner) > 1 and _is_permutation(inner[0]):
            after = inner[0].rmv(after.expand(inner[0].out_shape).unsqueeze(0))[0]
            left.append(inner.pop(0))
        left.append(Diagonal(after, inner[0].out_shape))
    return compose(*left, *inner, *right)


def _is_permutation(operator: Operator) -> bool:
    return operator.is_wiring and operator.is_isometry
