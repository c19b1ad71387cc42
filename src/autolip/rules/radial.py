"""Vectors that are made longer or shorter: x g(|x|), bounded by a function of the length alone.

With r = |x|_2 and h(r) = r g(r) the derivative is g(r) I + r g'(r) u u^T, u = x / r: along u it is
h'(r), across it g(r).  By the mean value theorem |g(r)| <= max(|g(a)|, sup |h'|) for any a below r
where it is finite.  So in l2 nothing is steeper than c = max(|g(a)|, sup |h'|); in l1 and linf
nothing than c + |h' - g| (1 + sqrt(n)) / 2, as |u|_1 |u|_inf <= (1 + sqrt(n)) / 2, and |h' - g| is
at most c where both have one sign, 2 c otherwise.  Lengths are those in a box around the values of
x, which is convex.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from autolip.graph.graph import Graph, Node, Ref
from autolip.graph.views import Edge, SlopeGraph
from autolip.intervals import Interval
from autolip.norms import Norm
from autolip.rules.branches import Scalar, as_number, is_one_number
from autolip.rules.roots import is_square
from autolip.rules.rule import Operand
from autolip.rules.scalars import ENTRYWISE, on_piece, slopes_of
from autolip.rules.tails import ActionOf
from autolip.slopes import Gain
from autolip.values import Upper, round_up

aten = torch.ops.aten

SHAPING = {aten.unsqueeze.default, aten.expand.default, aten.view.default, aten.reshape.default}
PRODUCTS = {aten.mul.Tensor, aten.div.Tensor}


@dataclass(frozen=True)
class Length:
    """The 2-norm of a value along axes; in what is written of it `name` stands for it."""

    x: str
    dims: tuple[int, ...]
    name = "length"

    def node(self, shape: torch.Size) -> Node:
        """The operation that measures a value of a shape."""
        kept = list(shape)
        for axis in self.dims:
            kept[axis] = 1
        dims = list(self.dims)
        args = (Ref(self.x), 2, dims, True)
        return Node(self.name, aten.linalg_vector_norm.default, args, torch.Size(kept))


def with_radial(graph: Graph, slopes: SlopeGraph, action_of: ActionOf) -> SlopeGraph:
    """The same slope sets, those of vectors times functions of their lengths as one; the same graph
    where there are none."""
    vertices = slopes.by_name | {}
    for length in dict.fromkeys(measured for _, measured, _ in _measured(graph)):
        if length.x not in vertices:
            continue
        for name, factor in _products(graph, length).items():
            gain = _gain(factor, slopes[length.x].range, length, action_of)
            if gain is not None:
                vertices[name] = replace(vertices[name], edges=(Edge(length.x, gain),))
    if vertices == slopes.by_name:
        return slopes
    return replace(slopes, vertices=tuple(vertices.values())).pruned()


# What is written of a length
# --------------------------------------------------------------------------------------------------


def _measured(graph: Graph) -> Iterator[tuple[str, Length, list[Node]]]:
    """The name of every norm, sum or mean of squares along axes, of what, and how it is written."""
    nodes = {node.name: node for node in graph}
    shapes = graph.shapes
    for node in graph:
        if node.kwargs or not node.args or not isinstance(node.args[0], Ref):
            continue
        of = node.args[0].name
        if node.target is aten.linalg_vector_norm.default and _is_2_norm(node):
            own = _axes(node.args[2:], shapes[of])
            yield node.name, Length(of, own), [_called(node.name, aten.mul.Tensor, LENGTH, 1)]
        elif node.target in SUMS and of in nodes and is_square(nodes[of]):
            x = nodes[of].operands()[0]
            own = _axes(node.args[1:], shapes[of])
            square = _called(f"{node.name}:square", aten.square.default, LENGTH)
            count = math.prod(shapes[of][axis] for axis in own) if node.target in MEANS else 1
            mean = _called(node.name, aten.div.Tensor, Ref(square.name), count)
            yield node.name, Length(x, own), [square, mean]


def _is_2_norm(node: Node) -> bool:
    return len(node.args) < 2 or float(node.args[1]) == 2


SUMS = {aten.sum.dim_IntList, aten.sum.default, aten.mean.dim, aten.mean.default}
MEANS = {aten.mean.dim, aten.mean.default}
LENGTH = Ref(Length.name)


def _called(name: str, target: Any, *args: Any) -> Node:
    return Node(name, target, args, torch.Size(()))


def _axes(args: Sequence[Any], shape: torch.Size) -> tuple[int, ...]:
    """The first of the arguments, counted from the first axis; all where it is None or missing."""
    rank = len(shape)
    dims = args[0] if args else None
    return tuple(sorted(axis % rank for axis in dims)) if dims else tuple(range(rank))


def _products(graph: Graph, length: Length) -> dict[str, Scalar]:
    """Every value that is x times a function of its length, and that something else uses; with
    that function."""
    starts = {name: nodes for name, of, nodes in _measured(graph) if of == length}
    shapes = graph.shapes
    writing = _Writing(length, shapes[length.x], shapes)
    for node in graph:
        if node.name in starts:
            writing.add_scalar(node.name, *starts[node.name])
        elif writing.is_scalar(node):
            same = node.target in SHAPING
            own = _called(node.name, aten.mul.Tensor, node.args[0], 1) if same else node
            writing.add_scalar(node.name, replace(own, shape=torch.Size(())))
        else:
            writing.add_product(node)
    return {name: writing.factor(name) for name in writing.products & _used_outside(graph, writing)}


def _used_outside(graph: Graph, writing: "_Writing") -> set[str]:
    outside = (node for node in graph if node.name not in writing.products)
    return {name for node in outside for name in node.operands()} | {graph.output}


@dataclass
class _Writing:
    """Functions of the length of x, and products of x with them, as they are met."""

    length: Length
    shape: torch.Size
    shapes: Mapping[str, torch.Size]
    written: list[Node] = field(default_factory=list)
    scalars: set[str] = field(default_factory=set)
    products: set[str] = field(default_factory=set)

    def add_scalar(self, name: str, *nodes: Node) -> None:
        self._write(*nodes)
        self.scalars.add(name)

    def _write(self, *nodes: Node) -> None:
        """Tensors of one number as that: nothing here has entries."""
        for node in nodes:
            args = tuple(_number(arg) if isinstance(arg, Tensor) else arg for arg in node.args)
            self.written.append(replace(node, args=args))

    def is_scalar(self, node: Node) -> bool:
        """Whether it is a function of the length: of such functions, of one shape, and numbers; or
        the same numbers in the shape of x."""
        operands = node.operands()
        if not operands or not self.scalars.issuperset(operands):
            return False
        shapes = {self.shapes[name] for name in operands}
        if node.target in SHAPING:
            (shape,) = shapes
            return node.shape in self.aligned and self._is_aligned(shape, node.shape)
        numbers = [arg for arg in node.args if isinstance(arg, Tensor)]
        plain = not node.kwargs and all(map(is_one_number, numbers))
        return node.target in ENTRYWISE and shapes == {node.shape} and plain

    @property
    def aligned(self) -> tuple[torch.Size, torch.Size]:
        """The shapes in which each length stands beside what it is the length of."""
        return self.length.node(self.shape).shape, self.shape

    def _is_aligned(self, shape: torch.Size, other: torch.Size) -> bool:
        """Whether lengths of a shape stand in the other beside what they are the lengths of."""
        in_order = shape.numel() == other.numel()  # axes of one come and go
        return shape in self.aligned or in_order or self.aligned[0].numel() == 1

    def add_product(self, node: Node) -> None:
        """x, or a product that is known, times or over a function of the length."""
        if node.target not in PRODUCTS or node.kwargs or node.shape != self.shape:
            return
        ways = [node.args] if node.target is aten.div.Tensor else [node.args, node.args[::-1]]
        for vector, factor in ways:
            if not isinstance(vector, Ref) or not self._is_factor(factor, vector):
                continue
            if not isinstance(factor, Ref) and vector.name == self.length.x:
                self._write(*_scaled(node, factor))
            elif vector.name in self.products:
                self._write(_called(node.name, node.target, vector, factor))
            elif node.target is aten.div.Tensor:
                self._write(_called(node.name, aten.reciprocal.default, factor))
            else:
                self._write(_called(node.name, aten.mul.Tensor, factor, 1))
            self.products.add(node.name)
            return

    def _is_factor(self, factor: Any, vector: Ref) -> bool:
        if vector.name not in {*self.products, self.length.x}:
            return False
        if not isinstance(factor, Ref):
            return is_one_number(factor)
        return factor.name in self.scalars  # of the shape of x: both are written out

    def factor(self, name: str) -> Scalar:
        """What x is multiplied with."""
        wanted = {name}
        nodes = list[Node]()
        for node in reversed(self.written):
            if node.name in wanted:
                nodes.append(node)
                wanted.update(node.operands())
        return Scalar(self.length.name, tuple(nodes[::-1]))


def _number(value: Tensor) -> float:
    return float(as_number(value))


def _scaled(node: Node, factor: Any) -> tuple[Node, ...]:
    """A number, or 1 over it, as a function of the length."""
    nothing, one = (f"{node.name}:{part}" for part in ("nothing", "one"))
    return (
        _called(nothing, aten.mul.Tensor, LENGTH, 0),
        _called(one, aten.add.Tensor, Ref(nothing), 1),
        _called(node.name, node.target, Ref(one), factor),
    )


# Its slopes
# --------------------------------------------------------------------------------------------------


def _gain(factor: Scalar, box: Interval, length: Length, action_of: ActionOf) -> Gain | None:
    """The gain of x g(|x|) for x in a box; None where none is known, or the parts have hardly
    more."""
    node = length.node(box.shape)
    operand = Operand(length.x, box.shape, box)
    image = action_of(node, {length.x: operand}).image
    least = image.lo.amin()
    ends = Interval(least.clamp(min=0), image.hi.amax())
    last = factor.nodes[-1]
    scaled = _called("scaled", aten.mul.Tensor, LENGTH, Ref(last.name))
    whole = Scalar(factor.x, (*factor.nodes, scaled))
    steep = slopes_of(whole, ends, action_of, _near_zero(factor))
    first = on_piece(factor, Interval(ends.lo, ends.lo), action_of)
    if steep is None or first is None:
        return None
    along = steep.magnitude().item()
    across = first[0].magnitude().item()
    size = max(along, across)
    if not size < _parts(factor, ends, action_of) / FEWER:
        return None
    bound = Upper(size)
    positive = bool((steep.lo >= 0) & (first[0].lo >= 0))
    apart = bound if positive else bound + bound
    sizes = [box.shape[axis] for axis in length.dims]
    root = math.sqrt(math.prod(sizes))
    spread = (1 + root) / 2
    times = Upper(round_up(round_up(spread)))
    entrywise = bound + apart * times
    norms = {Norm.L1: entrywise, Norm.L2: bound, Norm.LINF: entrywise}
    return Gain(box.shape, box.shape, norms, length.dims)


FEWER = 8.0
"""Tuned on a transformer layer: how many times less steep the whole has to be than its parts, which
know directions.  At one point the parts of a norm come to twice the whole."""


def _parts(factor: Scalar, ends: Interval, action_of: ActionOf) -> float:
    """What the factor and the length times its slopes come to: what the parts have, in l2."""
    found = on_piece(factor, ends, action_of)
    if found is None:
        return math.inf
    values, slopes = found
    bend = ends.hi * slopes.magnitude()
    size = values.magnitude() + bend
    return size.nan_to_num(nan=math.inf).item()


def _near_zero(factor: Scalar) -> list[float]:
    """Where pieces end below 1, and where lengths are cut off."""
    cut = [node.args[1] for node in factor.nodes if node.target in CUTS and node.args[1]]
    return [2 ** (-octave / OCTAVE) for octave in range(OCTAVES * OCTAVE)] + cut


CUTS = {aten.clamp_min.default, aten.clamp.default}

OCTAVE, OCTAVES = 4, 50
"""Chosen: how many pieces there are between a length and its double, and how far down they go."""
