"""The same relaxation on a smaller network: a first layer that is narrower than its input, a last
one that is wider.

For W = L Q^T with orthonormal columns Q, |x| >= |Q^T x|, equal where Q spans x: W and L have the
same suprema, and H is never negative with both or with none.  For W = Q R, |W z| = |R z|.  In
floating point that is so up to rounding: multipliers may be sought on the smaller network, what
they prove is said of the network itself.
"""

from collections.abc import Callable
from dataclasses import replace

import torch

from autolip.budget import metered
from autolip.graph.views import Edge, SlopeGraph, Vertex, fused
from autolip.intervals import Interval
from autolip.norms import Norm
from autolip.operators.dense import Dense
from autolip.operators.incidence import Incidence
from autolip.operators.operator import DTYPE, Operator
from autolip.slopes import Exact

DEAREST = 2e10
"""Chosen: multiply-adds that a factor may take: about a second, and less than a climb saves."""


def reduced(graph: SlopeGraph, p: Norm, q: Norm) -> SlopeGraph:
    """With L for the only layer that reads an l2 input, and R for the last one of an l2 output,
    where it costs less."""
    if p is Norm.L2:
        graph = _first(graph)
    return _last(graph) if q is Norm.L2 else graph


def _first(graph: SlopeGraph) -> SlopeGraph:
    def left(only: Operator) -> torch.Tensor | None:
        pays = _pays(only, only.out_size)
        return torch.linalg.qr(only.matrix().T, mode="r").R.T if pays else None

    return with_first(graph, left)


def with_first(graph: SlopeGraph, instead: Callable[[Operator], torch.Tensor | None]) -> SlopeGraph:
    """The graph with another matrix, on an input of its width, for the only affine map that reads
    the input; as it is where that is not all of them, or None is instead of it."""
    small = fused(graph)
    readers = [v for v in small if any(edge.source == graph.input for edge in v.edges)]
    only = _only(readers[0]) if len(readers) == 1 else None
    left = None if only is None else instead(only)
    if left is None:
        return graph
    first = readers[0]
    start = _affine(graph[graph.input], (), torch.Size([left.shape[1]]))
    flat = _affine(first, _reading(graph.input, Dense(left)), torch.Size([len(left)]), "flat")
    back = Incidence(lambda x: x.reshape(first.shape), tuple(flat.shape), tuple(first.shape))
    first = _affine(first, _reading(flat.name, back), first.shape)
    return _with(graph, {start.name: [start], first.name: [flat, first]})


def _last(graph: SlopeGraph) -> SlopeGraph:
    last = fused(graph)[graph.output]
    only = _only(last)
    if only is None or not _pays(only, only.in_size):
        return graph
    right = torch.linalg.qr(only.matrix(), mode="r").R
    source = last.edges[0].source
    rows = Incidence(lambda x: x.reshape(-1), tuple(only.in_shape), (only.in_size,))
    flat = _affine(last, _reading(source, rows), rows.out_shape, "flat")
    last = _affine(last, _reading(flat.name, Dense(right)), torch.Size([len(right)]))
    return _with(graph, {last.name: [flat, last]})


def _only(vertex: Vertex) -> Operator | None:
    """What an affine vertex does with its one operand."""
    return vertex.only_edge.operator if vertex.only_edge else None


def _pays(operator: Operator, side: int) -> bool:
    """Whether a square matrix of this side, smaller than the other, costs less in a product, and
    little to find."""
    if side >= max(operator.in_size, operator.out_size):
        return False
    with metered() as product:
        operator.rmv(torch.zeros(1, *operator.out_shape, dtype=DTYPE))
    return side**2 < product.work and side * product.work <= DEAREST


def _reading(source: str, operator: Operator) -> tuple[Edge]:
    return (Edge(source, Exact(operator)),)


def _affine(like: Vertex, edges: tuple[Edge, ...], shape: torch.Size, part: str = "") -> Vertex:
    """An affine vertex in the place of another, or a part of it; nothing is known of its values."""
    name = f"{like.name}:{part}" if part else like.name
    return replace(like, name=name, shape=shape, edges=edges, range=Interval.everywhere(shape))


def _with(graph: SlopeGraph, changed: dict[str, list[Vertex]]) -> SlopeGraph:
    """With others for some vertices, and without what then nothing reads."""
    vertices = list[Vertex]()
    needed = {graph.output}
    every = [vertex for old in graph for vertex in changed.get(old.name, [old])]
    for vertex in reversed(every):
        if vertex.name in needed:
            vertices.append(vertex)
            needed |= {edge.source for edge in vertex.edges}
    return replace(graph, vertices=tuple(reversed(vertices)))
