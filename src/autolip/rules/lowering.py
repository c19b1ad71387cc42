"""Maxima in terms of relu: max(a, b) = a + relu(b - a).

A maximum over a window is a Gain, which says how much it can grow a difference and nothing else.
Written with relu it is wiring and Between(0, 1), of which tighter methods can make more.  Windows
are taken axis by axis, as a running maximum of their members (a short window repeats its last one),
so that no padding value enters.
"""

import operator
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from autolip.graph.graph import Graph, Node, Ref
from autolip.graph.schema import completed
from autolip.graph.sharing import merged, with_shared_kinks
from autolip.rules.convolution import sizes
from autolip.rules.pooling import Windows, adaptive, sliding

aten = torch.ops.aten

LONGEST = 64
"""Chosen: members of a maximum that is taken apart, at most."""

LARGEST = 2**22
"""Chosen: pairs of an entry and a place that it may go to, at most."""


def lowered(graph: Graph) -> Graph:
    """The same function with maxima, minima, max-pools and sorted pairs written with relu; other
    nodes as they are.

    A node that is taken apart keeps its name, so that what is known of its value still applies.
    What is decided once is written with one relu, however often it is used: the maximum and the
    minimum of a pair, both parts of one value.
    """
    return merged(with_shared_kinks(merged(rewritten(graph, LOWERINGS))))


def rewritten(graph: Graph, table: "Lowerings", whole: Container[str] = ()) -> Graph:
    """The same function, the operations of a table written with others, but for the nodes that are
    to stay `whole`; where none is, the same graph."""
    shapes = graph.shapes
    known = {node.name: node for node in graph.nodes}
    nodes: list[Node] = []
    for node in graph.nodes:
        writer = Writer(node, shapes, known)
        lower = None if node.name in whole else table.get(node.target)
        last = None
        if lower is not None and not node.pick:
            last = lower(writer, **completed(node.target, node.args, node.kwargs))
        nodes += [node] if last is None else writer.finished(last)
    kept = len(nodes) == len(graph.nodes) and all(map(operator.is_, nodes, graph.nodes))
    return graph if kept else replace(graph, nodes=tuple(nodes))


@dataclass
class Writer:
    """The nodes that take the place of one."""

    node: Node
    shapes: dict[str, torch.Size]
    known: Mapping[str, Node] = field(default_factory=dict)
    """The nodes of the graph as it was, by name."""
    nodes: list[Node] = field(default_factory=list)

    def call(self, target: Callable[..., Any], *args: Any, shape: Sequence[int]) -> Ref:
        name = f"{self.node.name}.{len(self.nodes)}"
        self.nodes.append(Node(name, target, args, torch.Size(shape), place=self.node.place))
        self.shapes[name] = torch.Size(shape)
        return Ref(name)

    def finished(self, last: Ref) -> list[Node]:
        """All of them, the last one under the name of the node they replace."""
        if not self.nodes or self.nodes[-1].name != last.name:
            last = self.call(aten.clone.default, last, shape=self.shapes[last.name])
        return [*self.nodes[:-1], replace(self.nodes[-1], name=self.node.name)]

    def above(self, a: Ref, b: Ref) -> Ref:
        """relu(a - b)."""
        shape = self.shapes[a.name]
        apart = self.call(aten.sub.Tensor, a, b, shape=shape)
        return self.call(aten.relu.default, apart, shape=shape)

    def larger(self, a: Ref, b: Ref) -> Ref:
        """max(a, b) = a + relu(b - a)."""
        a, b = sorted((a, b), key=lambda ref: ref.name)
        return self.call(aten.add.Tensor, a, self.above(b, a), shape=self.shapes[a.name])

    def smaller(self, a: Ref, b: Ref) -> Ref:
        """min(a, b) = b - relu(b - a): by the same relu as the larger one."""
        a, b = sorted((a, b), key=lambda ref: ref.name)
        return self.call(aten.sub.Tensor, b, self.above(b, a), shape=self.shapes[a.name])

    def picked(self, x: Ref, axis: int, places: Tensor) -> Ref:
        """x at some places of an axis."""
        shape = list(self.shapes[x.name])
        shape[axis] = len(places)
        return self.call(aten.index_select.default, x, axis, places, shape=shape)

    def over_windows(self, x: Ref, axis: int, windows: Windows, of_two: "OfTwo") -> Ref:
        """The extreme member of every window along an axis, the extreme one of two given."""
        places = list(_members(windows))
        result = self.picked(x, axis, places[0])
        for step in places[1:]:
            other = self.picked(x, axis, step)
            result = of_two(self, result, other)
        return result


OfTwo = Callable[[Writer, Ref, Ref], Ref]


def _members(windows: Windows) -> Iterator[Tensor]:
    """The first member of every window, the second, and so on; the last one again where a window is
    short."""
    counted = windows.members.cumsum(1)
    order = counted * windows.members
    counts = windows.members.sum(1)
    for number in range(1, int(counts.max().item()) + 1):
        wanted = counts.clamp(max=number)
        yield (order == wanted[:, None]).double().argmax(1)


def _pool(writer: Writer, x: Ref, windows: Sequence[Windows]) -> Ref | None:
    if max((int(window.members.sum(1).max().item()) for window in windows), default=0) > LONGEST:
        return None
    if any(not bool((window.members.sum(1) > 0).all()) for window in windows):
        return None
    axes = len(writer.shapes[x.name])
    first = axes - len(windows)
    for number, window in enumerate(windows):
        x = writer.over_windows(x, first + number, window, Writer.larger)
    return x


def _max_pool(
    writer: Writer,
    self: Ref,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
) -> Ref | None:
    dims = writer.node.target._schema.name.split("max_pool")[1][0]  # type: ignore[attr-defined]
    kernel, steps, pads, gaps = (
        sizes(v, int(dims)) for v in (kernel_size, stride or kernel_size, padding, dilation)
    )
    space = writer.shapes[self.name][-int(dims) :]
    settings = zip(space, kernel, steps, pads, gaps, strict=True)
    return _pool(writer, self, [sliding(*setting, ceil_mode) for setting in settings])


def _adaptive_max_pool(writer: Writer, self: Ref, output_size: Sequence[int]) -> Ref | None:
    space = writer.shapes[self.name][-len(output_size) :]
    return _pool(
        writer,
        self,
        [adaptive(size, count) for size, count in zip(space, output_size, strict=True)],
    )


def _maximum(writer: Writer, self: Any, other: Any) -> Ref | None:
    return writer.larger(self, other) if isinstance(self, Ref) and isinstance(other, Ref) else None


def _minimum(writer: Writer, self: Any, other: Any) -> Ref | None:
    return writer.smaller(self, other) if isinstance(self, Ref) and isinstance(other, Ref) else None


def _amax(writer: Writer, self: Ref, dim: Any = (), keepdim: bool = False) -> Ref | None:
    return _extreme(writer, self, dim, Writer.larger)


def _amin(writer: Writer, self: Ref, dim: Any = (), keepdim: bool = False) -> Ref | None:
    return _extreme(writer, self, dim, Writer.smaller)


def _extreme(writer: Writer, self: Ref, dim: Any, of_two: OfTwo) -> Ref | None:
    """Over the given axes (none given: all), each as one window."""
    shape = writer.shapes[self.name]
    dims = [dim] if isinstance(dim, int) else list(dim) or list(range(len(shape)))
    axes = [axis % max(len(shape), 1) for axis in dims]
    if not axes or not shape or max(shape[axis] for axis in axes) > LONGEST:
        return None
    for axis in axes:
        self = writer.over_windows(self, axis, adaptive(shape[axis], 1), of_two)
    return writer.call(aten.reshape.default, self, list(writer.node.shape), shape=writer.node.shape)


def _scattered(
    writer: Writer,
    self: Any,
    dim: int,
    index: Any,
    src: Any,
    reduce: str,
    include_self: bool = True,
) -> Ref | None:
    """The extreme of what arrives at each place (over the edges of a graph), else a constant."""
    of_two = {"amax": Writer.larger, "amin": Writer.smaller}.get(reduce)
    settled = isinstance(self, Tensor) and isinstance(index, Tensor) and not include_self
    if of_two is None or not settled or not isinstance(src, Ref) or not index.numel():
        return None
    entries = torch.arange(self.numel()).reshape(self.shape)
    targets = entries.gather(dim, index).reshape(1, -1)
    members = (torch.arange(self.numel()).reshape(-1, 1) == targets).double()
    arriving = members.sum(1) > 0
    if members.numel() > LARGEST or int(members.sum(1).max()) > LONGEST:
        return None
    shape = writer.shapes[src.name]
    reads = torch.arange(shape.numel()).reshape(shape)[tuple(map(slice, index.shape))]
    flat = writer.call(aten.reshape.default, src, [-1], shape=[shape.numel()])
    read = writer.picked(flat, 0, reads.reshape(-1))
    members[~arriving, 0] = 1.0
    found = writer.over_windows(read, 0, Windows(members, members.sum(1)), of_two)
    back = writer.call(aten.reshape.default, found, list(self.shape), shape=self.shape)
    if bool(arriving.all()):
        return back
    known = arriving.reshape(self.shape)
    return writer.call(aten.where.self, known, back, self.double(), shape=self.shape)


def _sorted_pairs(
    writer: Writer, self: Ref, dim: int = -1, descending: bool = False, stable: bool | None = None
) -> Ref | None:
    """Sorting two numbers a and b gives a - r and b + r with r = relu(a - b) (MaxMin, GroupSort of
    two)."""
    shape = writer.shapes[self.name]
    if not shape or shape[dim] != 2:
        return None
    axis = dim % len(shape)
    first = torch.tensor([0])
    a = writer.picked(self, axis, first)
    second = torch.tensor([1])
    b = writer.picked(self, axis, second)
    rest = writer.above(a, b)
    pair = [
        writer.call(aten.sub.Tensor, a, rest, shape=writer.shapes[a.name]),
        writer.call(aten.add.Tensor, b, rest, shape=writer.shapes[b.name]),
    ]
    return writer.call(aten.cat.default, pair[::-1] if descending else pair, dim, shape=shape)


Lowerings = dict[Callable[..., Any], Callable[..., Ref | None]]

LOWERINGS: Lowerings = {
    aten.max_pool1d.default: _max_pool,
    aten.max_pool2d.default: _max_pool,
    aten.max_pool3d.default: _max_pool,
    aten.max_pool1d_with_indices.default: _max_pool,
    aten.max_pool2d_with_indices.default: _max_pool,
    aten.max_pool3d_with_indices.default: _max_pool,
    aten.adaptive_max_pool1d.default: _adaptive_max_pool,
    aten.adaptive_max_pool2d.default: _adaptive_max_pool,
    aten.adaptive_max_pool3d.default: _adaptive_max_pool,
    aten.maximum.default: _maximum,
    aten.minimum.default: _minimum,
    aten.amax.default: _amax,
    aten.max.dim: _amax,
    aten.max.default: _amax,
    aten.amin.default: _amin,
    aten.min.dim: _amin,
    aten.min.default: _amin,
    aten.scatter_reduce.two: _scattered,
    aten.sort.default: _sorted_pairs,
    aten.sort.stable: _sorted_pairs,
}
"""What is taken apart, and how; a lowering may decline (None)."""
