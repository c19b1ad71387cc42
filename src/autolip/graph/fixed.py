"""Entries of a nonlinear operation whose slope is known, or nearly, are affine: stable neurons on a
region.

So are entries that no path connects with the input or with the output, or whose operand cancels:
their slope may be taken as zero.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from autolip.graph.cancelled import cancelled, largest_of, narrow
from autolip.graph.connected import heard, reached
from autolip.graph.views import Edge, SlopeGraph, Vertex
from autolip.intervals import Interval
from autolip.operators.diagonal import Diagonal
from autolip.operators.incidence import Incidence
from autolip.slopes import Between, Exact

NARROW = 2.0**-10
"""Chosen: relative width of a slope's interval below which the slope is its centre and a small
rest."""

FAINT = 2.0**-200
"""Chosen: slopes nearer to 0 than this are moved outward to it, or to 0: products of two keep
their digits."""

ROUNDED = 2.0**-44
"""Tuned: relative error of a slope up to which it counts as known."""


def without_fixed(graph: SlopeGraph) -> SlopeGraph:
    """The same function, or a larger set of functions by rounding; narrow slopes are centred at
    zero.

    A vertex with one operand and slopes in [lo, hi] becomes diag(c), where they are narrow, plus
    the rest: a selection, a nonlinearity with slopes in [-r, r] (where they are narrow, r > 0) or
    [lo, hi], and the wiring back to its place.
    """
    vertices: list[Vertex] = []
    before = reached(graph)
    after = heard(graph)
    largest = 0.0
    for vertex in graph:
        parts = [vertex]
        slope = vertex.only_edge.slope if vertex.only_edge else None
        if isinstance(slope, Between):
            is_dead = ~(before[vertex.name] & after[vertex.name])
            is_nil = _cancelled(vertices, vertex, largest)
            slope = _clear_of_zero(_cut(slope, is_dead | is_nil))
            parts = _parts(vertex, slope)
        vertices += parts
        largest = max(largest, *(largest_of(part.range) for part in parts))
    return replace(graph, vertices=tuple(vertices))


def _parts(vertex: Vertex, slope: Between) -> list[Vertex]:
    """The vertex with these slopes, those that are narrow apart."""
    narrow = _narrow(slope)
    if bool(narrow.any()):
        return _split(vertex, slope, narrow)
    (edge,) = vertex.edges
    return [vertex if slope is edge.slope else replace(vertex, edges=(replace(edge, slope=slope),))]


def _cancelled(before: Sequence[Vertex], vertex: Vertex, largest: float) -> Tensor:
    """The entries whose operand is constant, though its range does not tell."""
    (edge,) = vertex.edges
    source = next(one for one in before if one.name == edge.source)
    suspects = narrow(source.range, largest)
    if not source.is_affine or not bool(suspects.any()):
        return torch.zeros(vertex.shape, dtype=torch.bool)
    return cancelled(before, source.name, suspects)


def known_as_diagonals(graph: SlopeGraph) -> SlopeGraph:
    """The same function, operations of which every slope is known but for rounding as diagonals."""
    return replace(graph, vertices=tuple(map(_known_as_diagonal, graph)))


def _known_as_diagonal(vertex: Vertex) -> Vertex:
    """M in [c - r, c + r] with r <= e |c| is the diagonal of c, known up to a relative error e."""
    slope = vertex.only_edge.slope if vertex.only_edge else None
    if not isinstance(slope, Between) or not slope.is_finite:
        return vertex
    centre, radius = slope.centre_and_radius()
    ratios = radius / centre.abs()
    shares = torch.where(radius > 0, ratios, 0.0)
    error = shares.max().item() if shares.numel() else 0.0
    if not error <= ROUNDED:
        return vertex
    diagonal = Diagonal(centre, vertex.shape, math.nextafter(error, 1.0) if error else 0.0)
    return replace(vertex, edges=(replace(vertex.edges[0], slope=Exact(diagonal)),))


def _clear_of_zero(slope: Between) -> Between:
    """Slopes that hold the given ones, none of them nearer to 0 than FAINT but 0 itself."""
    low = (slope.lo != 0) & (slope.lo.abs() < FAINT)
    high = (slope.hi != 0) & (slope.hi.abs() < FAINT)
    if not bool((low | high).any()):
        return slope
    below = slope.lo.sign().clamp(max=0.0) * FAINT
    above = slope.hi.sign().clamp(min=0.0) * FAINT
    lo = torch.where(low, below, slope.lo)
    hi = torch.where(high, above, slope.hi)
    return Between(lo, hi)


def _cut(slope: Between, dead: Tensor) -> Between:
    """The slopes with zero for entries that do not matter."""
    return (
        Between(torch.where(dead, 0.0, slope.lo), torch.where(dead, 0.0, slope.hi))
        if bool(dead.any())
        else slope
    )


def _narrow(slope: Between) -> Tensor:
    """Where the slopes are known, or nearly."""
    finite = slope.lo.isfinite() & slope.hi.isfinite()
    return finite & (slope.hi - slope.lo <= NARROW * slope.steepest.abs())


def _split(vertex: Vertex, slope: Between, narrow: Tensor) -> list[Vertex]:
    centre, radius = slope.centre_and_radius()
    source = vertex.edges[0].source
    scale = torch.where(narrow, centre, 0.0)
    straight = Edge(source, Exact(Diagonal(scale, vertex.shape)))
    is_known = narrow & (radius == 0)
    places = (~is_known).reshape(-1).nonzero().reshape(-1)
    if not len(places):
        return [replace(vertex, edges=(straight,))]
    read = f"{vertex.name}:read"
    bent = f"{vertex.name}:bent"
    lo = torch.where(narrow, -radius, slope.lo)
    hi = torch.where(narrow, radius, slope.hi)
    pick = Incidence(lambda x: x.reshape(-1).index_select(0, places), vertex.shape)
    shape = torch.Size([len(places)])
    put = Incidence(lambda z: _spread(z, places, vertex.shape), shape)
    free = Interval.everywhere(pick.out_shape)
    lo_there = lo.reshape(-1)[places]
    hi_there = hi.reshape(-1)[places]
    rest = Between(lo_there, hi_there)
    back = Edge(bent, Exact(put))
    return [
        Vertex(
            read,
            free.lo.shape,
            (Edge(source, Exact(pick)),),
            free,
            vertex.place,
            "the entries that bend",
        ),
        Vertex(bent, free.lo.shape, (Edge(read, rest),), free, vertex.place, vertex.operation),
        replace(vertex, edges=(straight, back) if bool(centre[narrow].any()) else (back,)),
    ]


def _spread(z: Tensor, places: Tensor, shape: torch.Size) -> Tensor:
    """Zero but for z at these places."""
    return z.new_zeros(shape.numel()).index_add(0, places.to(z.device), z).reshape(shape)
