"""Slopes of one sample of a batch, by the vertices that act entry by entry."""

from autolip.graph.views import SlopeGraph
from autolip.slopes import Between

Slopes = dict[str, Between]


def entrywise(graph: SlopeGraph) -> Slopes:
    """The slopes of every vertex that acts entry by entry, of one sample."""
    found: Slopes = {}
    for vertex in graph:
        edge = vertex.only_edge
        if edge is not None and isinstance(edge.slope, Between):
            found[vertex.name] = Between(edge.slope.lo.unsqueeze(0), edge.slope.hi.unsqueeze(0))
    return found


def bends_entrywise(graph: SlopeGraph) -> bool:
    """Whether everything that bends acts entry by entry."""
    bends = {vertex.name for vertex in graph if not vertex.is_affine}
    return bends == set(entrywise(graph))
