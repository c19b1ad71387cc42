"""Where paths part and meet again around one nonlinear layer: residual layers, halves that are
concatenated, the larger and the smaller of two."""

from collections.abc import Iterator
from dataclasses import dataclass

from autolip.graph.chains import pointwise
from autolip.graph.views import SlopeGraph, Vertex


@dataclass(frozen=True)
class Join:
    """sink - sink' = (A + sum_k B_k S_k C_k) (source - source'): S_k in the slopes of a bent vertex
    k, whose operand depends on the source through affine operations only, A, B_k and C_k affine."""

    source: str
    sink: str
    bent: tuple[str, ...]


def joins(graph: SlopeGraph) -> Iterator[Join]:
    """All of a graph in which every nonlinear vertex has one operand, the first ones first; of
    those around the same vertices the last."""
    above = _dominators(graph)
    found: dict[tuple[str, tuple[str, ...]], Join] = {}
    for vertex in graph:
        source = above.get(vertex.name)
        if vertex.is_affine and len(vertex.edges) > 1 and source is not None:
            bent = _bent(graph, source, vertex)
            if bent:
                found[source, bent] = Join(source, vertex.name, bent)
    return iter(found.values())


def _bent(graph: SlopeGraph, source: str, sink: Vertex) -> tuple[str, ...]:
    """The nonlinear vertices between the two; none where one of them depends on another, or where
    its slopes are not those of entries, or not finite."""
    between = {sink.name}
    depth = {source: 0}
    for vertex in reversed(graph.vertices):
        if vertex.name in between and vertex.name != source:
            between.update(edge.source for edge in vertex.edges)
    found: list[str] = []
    for vertex in graph:
        if vertex.name not in between or vertex.name == source:
            continue
        below = max((depth.get(edge.source, 0) for edge in vertex.edges), default=0)
        depth[vertex.name] = below + (not vertex.is_affine)
        if not vertex.is_affine:
            if pointwise(vertex) is None:
                return ()
            found.append(vertex.name)
    return tuple(found) if depth[sink.name] == 1 else ()


def _dominators(graph: SlopeGraph) -> dict[str, str]:
    """For every vertex but the input the last one that all paths to it from the input pass.

    K. D. Cooper, T. J. Harvey, K. Kennedy, A simple, fast dominance algorithm, 2001: one pass, for
    the order is topological.
    """
    found: dict[str, str] = {}
    height = {graph.input: 0}
    for vertex in graph:
        sources = [edge.source for edge in vertex.edges if edge.source in height]
        if not sources or vertex.name == graph.input:
            continue
        common = sources[0]
        for other in sources[1:]:
            while common != other:
                if height[common] < height[other]:
                    common, other = other, common
                common = found[common]
        found[vertex.name] = common
        height[vertex.name] = height[common] + 1
    return found
