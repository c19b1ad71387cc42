"""Sequential stretches of a network: affine, pointwise, affine, ..., affine, with nothing joining
in between."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from autolip.graph.views import Edge, SlopeGraph, Vertex
from autolip.intervals import Interval
from autolip.operators.convolution import Convolution
from autolip.operators.diagonal import Identity
from autolip.operators.operator import Operator
from autolip.slopes import Between, Exact


@dataclass(frozen=True)
class Stretch:
    """sink - sink' = blocks[-1] s[-1] blocks[-2] ... s[0] blocks[0] (source - source'), s[k] in
    slopes[k]."""

    source: str
    sink: str
    blocks: tuple[Operator, ...]
    slopes: tuple[Between, ...]


def parted(fused: SlopeGraph) -> SlopeGraph:
    """The same function, each summand of an affine vertex a vertex of its own: branches become
    stretches."""
    vertices: list[Vertex] = []
    for vertex in fused:
        if not vertex.is_affine or len(vertex.edges) < 2:
            vertices.append(vertex)
            continue
        edges = []
        for number, edge in enumerate(vertex.edges):
            name = f"{vertex.name}+{number}"
            vertices.append(
                replace(vertex, name=name, edges=(edge,), range=Interval.everywhere(vertex.shape))
            )
            edges.append(Edge(name, Exact(Identity(vertex.shape))))
        vertices.append(replace(vertex, edges=tuple(edges)))
    return replace(fused, vertices=tuple(vertices))


def stretches(fused: SlopeGraph) -> tuple[Stretch, ...]:
    """The longest sequential stretches of a fused view that contain a nonlinearity, each as long as
    it can be."""
    found = [stretch for vertex in fused if (stretch := _ending_at(fused, vertex)) is not None]
    inner = {stretch.source: {_before_last(fused, stretch)} for stretch in found}
    for stretch in found:
        inner[stretch.source].add(_before_last(fused, stretch))
    return tuple(stretch for stretch in found if stretch.sink not in inner[stretch.source])


def _before_last(fused: SlopeGraph, stretch: Stretch) -> str:
    """The affine vertex before a stretch's last nonlinearity: a shorter stretch may end there."""
    last = fused[stretch.sink].edges[0]
    pointwise = fused[last.source]
    return pointwise.edges[0].source


def _ending_at(fused: SlopeGraph, sink: Vertex) -> Stretch | None:
    """The longest stretch that ends at an affine vertex, walking back while each vertex has one
    operand."""
    blocks: list[Operator] = []
    slopes: list[Between] = []
    vertex = sink
    while (edge := vertex.only_edge) is not None and (operator := edge.operator) is not None:
        blocks.append(operator)
        source = fused[edge.source]
        between = pointwise(source)
        before = fused[source.edges[0].source] if between is not None else None
        if between is None or before is None or not _maps_one_value(before):
            break
        slopes.append(between)
        vertex = before
    if not slopes:
        return None
    return Stretch(
        vertex.edges[0].source, sink.name, tuple(reversed(blocks)), tuple(reversed(slopes))
    )


def _maps_one_value(vertex: Vertex) -> bool:
    return vertex.is_affine and len(vertex.edges) == 1


def pointwise(vertex: Vertex) -> Between | None:
    """The slopes of a function of the entries of one value; None where they are not finite, and for
    anything else."""
    slope = vertex.only_edge.slope if vertex.only_edge else None
    return slope if isinstance(slope, Between) and slope.is_finite else None


def alone(fused: SlopeGraph, stretch: Stretch) -> SlopeGraph:
    """The stretch as a network of its own."""
    names = [stretch.sink]
    while (before := fused[names[-1]].edges[0].source) != stretch.source:
        names.append(before)
    first = replace(fused[stretch.source], edges=())
    return SlopeGraph(first.name, (first, *(fused[name] for name in reversed(names))), stretch.sink)


def ends(fused: SlopeGraph, stretch: Stretch) -> list[str]:
    """The affine vertices in which its blocks end, from the first to the sink."""
    found = [stretch.sink]
    while len(found) < len(stretch.blocks):
        pointwise = fused[found[0]].edges[0].source
        found.insert(0, fused[pointwise].edges[0].source)
    return found


def every_run(fused: SlopeGraph) -> Iterator[Stretch]:
    """The `runs` of all stretches."""
    for stretch in stretches(fused):
        yield from runs(fused, stretch)


def runs(fused: SlopeGraph, stretch: Stretch) -> Iterator[Stretch]:
    """The whole stretch, its runs of convolutions, and those of other blocks between: each of two
    blocks or more."""
    sinks = ends(fused, stretch)
    kinds = [
        isinstance(block, Convolution) and not block.geometry.transposed for block in stretch.blocks
    ]
    ranges = list(_equal_runs(kinds))
    if len(ranges) > 1:
        ranges.insert(0, (0, len(kinds)))
    for a, b in ranges:
        if b - a > 1:
            source = fused[sinks[a]].edges[0].source
            yield Stretch(source, sinks[b - 1], stretch.blocks[a:b], stretch.slopes[a : b - 1])


def _equal_runs(values: Sequence[bool]) -> Iterator[tuple[int, int]]:
    """The ranges of equal neighbours."""
    start = 0
    for end in range(1, len(values) + 1):
        if end == len(values) or values[end] != values[start]:
            yield start, end
            start = end
