"""Functions that are linear in pieces, read off the graph: what each acts on, and between which
slopes it is said to act.

An operation is one vertex with an interval for every entry; or its known slopes apart from the
others: scale v + the results of a step, which reads some entries of v and bends them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from autolip_check.container import Array, Rejected
from autolip_check.graph import Edge, Network, Slopes, Vertex
from autolip_check.maps import UNIT, Diagonal, Wiring
from autolip_check.pieces import Pieces, pieces_of


@dataclass(frozen=True)
class Bend:
    """z = f(v) entry by entry, with slopes `scale` known up to `error`, relatively, but for those
    at `places`: there they are scale + [lo, hi], lo and hi the slopes of the vertex `bent`."""

    name: str
    source: str
    pieces: Pieces
    scale: Array
    error: float
    bent: str
    places: NDArray[np.int64]
    lo: Array
    hi: Array


def bends(network: Network) -> Iterator[Bend]:
    """Those of which the file tells what their operands are at 0, in order."""
    for name in (vertex.name for vertex in network if vertex.name in network.constants):
        found = _bend(network, network[name])
        if found is not None:
            yield found


def _bend(network: Network, vertex: Vertex) -> Bend | None:
    """None where it is no function of a known name, or is not taken apart in one of these ways."""
    try:
        pieces = pieces_of(vertex.origin.operation, vertex.origin.parameters)
    except Rejected:
        return None
    size = network.size(vertex.name)
    slopes = [edge.slope for edge in vertex.edges]
    if len(slopes) == 1 and isinstance(slopes[0], Slopes):
        source = vertex.edges[0].source
        nothing = np.zeros(size)
        every = np.arange(size)
        lo = slopes[0].lo.reshape(-1)
        hi = slopes[0].hi.reshape(-1)
        return Bend(vertex.name, source, pieces, nothing, 0.0, vertex.name, every, lo, hi)
    return _apart(network, vertex, pieces)


def _apart(network: Network, vertex: Vertex, pieces: Pieces) -> Bend | None:
    """The known slopes apart."""
    size = network.size(vertex.name)
    straight = [edge for edge in vertex.edges if isinstance(edge.slope, Diagonal)]
    back = [edge for edge in vertex.edges if isinstance(edge.slope, Wiring)]
    if len(straight) > 1 or len(back) > 1 or len(straight) + len(back) != len(vertex.edges):
        return None
    scale, error = np.zeros(size), 0.0
    sources = {edge.source for edge in straight}
    for edge in straight:
        assert isinstance(edge.slope, Diagonal)
        entries = np.broadcast_to(edge.slope.entries, vertex.shape)
        scale = entries.reshape(-1)
        error = edge.slope.error * UNIT
    bent, places = "", np.zeros(0, dtype=np.int64)
    lo = hi = np.zeros(0)
    for edge in back:
        found = _step(network, edge)
        if found is None:
            return None
        bent, source, places, slope = found
        sources.add(source)
        lo = slope.lo.reshape(-1)
        hi = slope.hi.reshape(-1)
    if len(sources) != 1 or network[next(iter(sources))].shape != vertex.shape:
        return None
    return Bend(vertex.name, sources.pop(), pieces, scale, error, bent, places, lo, hi)


def _step(network: Network, edge: Edge) -> tuple[str, str, NDArray[np.int64], Slopes] | None:
    """A step that bends some entries and puts them back where they were: its name, what it reads
    of which places, and its slopes."""
    put = edge.slope
    bent = network[edge.source]
    (inner,) = bent.edges if len(bent.edges) == 1 else (None,)
    if inner is None or not isinstance(inner.slope, Slopes) or not isinstance(put, Wiring):
        return None
    read = network[inner.source]
    (outer,) = read.edges if len(read.edges) == 1 else (None,)
    if outer is None or not isinstance(outer.slope, Wiring):
        return None
    size = network.size(bent.name)
    places = _chosen(outer.slope.rows, outer.slope.columns, size)
    again = _chosen(put.columns, put.rows, size)
    if places is None or again is None or not bool((places == again).all()):
        return None
    return bent.name, outer.source, places, inner.slope


def _chosen(
    numbers: NDArray[np.int64], places: NDArray[np.int64], count: int
) -> NDArray[np.int64] | None:
    """Place by number, where every number below the count has one of its own."""
    of_numbers = len(np.unique(numbers))
    of_places = len(np.unique(places))
    is_one_to_one = len(numbers) == count == of_numbers == of_places
    return places[np.argsort(numbers)] if is_one_to_one else None


def widened(network: Network, bend: Bend, lo: Array, hi: Array) -> Network:
    """The same with these slopes, beside its own, for what the operation bends."""
    vertex = network[bend.bent]
    (edge,) = vertex.edges
    slope = edge.slope
    assert isinstance(slope, Slopes)
    low = np.minimum(slope.lo, lo.reshape(vertex.shape))
    high = np.maximum(slope.hi, hi.reshape(vertex.shape))
    slopes = Slopes(low, high)
    other = replace(vertex, edges=(replace(edge, slope=slopes),))
    return replace(network, vertices={**network.vertices, vertex.name: other})
