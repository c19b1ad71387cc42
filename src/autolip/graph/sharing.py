"""What a network computes twice is computed once: equal operations, and functions of one argument
with a kink at zero.

A network that takes the maximum and the minimum of one pair, or both halves of its values apart,
uses one decision twice.  Bounds that see two decisions let them contradict each other.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from autolip.graph.graph import Graph, Node, Ref

aten = torch.ops.aten

Slopes = tuple[float, float]
"""Of a function f with f(0) = 0, linear on either side: that below zero, and that above."""


def merged(graph: Graph) -> Graph:
    """The same function without operations that repeat an earlier one; the same graph where none
    does."""
    seen: dict[Hashable, str] = {}
    names: dict[str, str] = {}
    nodes: list[Node] = []
    for node in graph:
        here = _renamed(node, names) if names else node
        first = seen.setdefault(_identity(here), here.name)
        if first == here.name or here.name == graph.output:
            nodes.append(here)
        else:
            names[here.name] = first
    return replace(graph, nodes=tuple(nodes)) if names else graph


def _renamed(node: Node, names: dict[str, str]) -> Node:
    def rename(leaf: object) -> object:
        return Ref(names.get(leaf.name, leaf.name)) if isinstance(leaf, Ref) else leaf

    args, kwargs = pytree.tree_map(rename, (node.args, node.kwargs), is_leaf=_is_ref)
    return replace(node, args=args, kwargs=kwargs)


def _is_ref(leaf: object) -> bool:
    return isinstance(leaf, Ref)


def _identity(node: Node) -> Hashable:
    """Equal for equal operations only; places and masks count by their values, weights by which
    tensor they are."""
    leaves, structure = pytree.tree_flatten((node.args, node.kwargs), is_leaf=_is_ref)
    return node.target, node.pick, structure, tuple(map(_named, leaves))


def _named(leaf: Any) -> Hashable:
    if not isinstance(leaf, Tensor):
        return type(leaf), leaf
    if leaf.is_floating_point():
        return id(leaf)
    return leaf.dtype, tuple(leaf.shape), tuple(leaf.reshape(-1).tolist())


# Kinks
# --------------------------------------------------------------------------------------------------


def with_shared_kinks(graph: Graph) -> Graph:
    """The same function, with all that has a kink where one value is zero written with its relu:
    relu(-x) = relu(x) - x, |x| = 2 relu(x) - x; the same graph where a kink is used once."""
    nodes = {node.name: node for node in graph}
    shapes = graph.shapes
    groups = defaultdict[Hashable, list[_Kinked]](list)
    for node in graph:
        kinked = _kinked(node, nodes, shapes)
        if kinked is not None:
            groups[kinked.decides].append(kinked)
    several = [group for group in groups.values() if len(group) > 1]
    if not several:
        return graph
    written = {one.node.name: one for group in several for one in group}
    relus: dict[Hashable, Ref] = {}
    result: list[Node] = []
    for node in graph:
        one = written.get(node.name)
        result += [node] if one is None else one.parts(relus)
    return replace(graph, nodes=tuple(result))


@dataclass(frozen=True)
class _Kinked:
    """A function of the value x, of slopes `below` and `above`, found at a node; `turned`: of -x,
    as far as what `decides` is concerned."""

    node: Node
    x: Ref
    turned: bool
    slopes: Slopes
    decides: Hashable

    def parts(self, relus: dict[Hashable, Ref]) -> Iterator[Node]:
        """The nodes in its place: below x + (above - below) relu(x), by the relu of those that came
        before."""
        node, shape, place = self.node, self.node.shape, self.node.place
        below, above = self.slopes
        if self.decides not in relus:
            relus[self.decides] = Ref(f"{node.name}.relu")
            value = self.x
            if self.turned:
                value = Ref(f"{node.name}.turned")
                yield Node(value.name, aten.neg.default, (self.x,), shape, place=place)
            yield Node(f"{node.name}.relu", aten.relu.default, (value,), shape, place=place)
        # of the relu that is there, relu(-x), one has relu(x) = relu(-x) + x
        straight = above if self.turned else below
        rest = Ref(f"{node.name}.rest") if straight else Ref(node.name)
        bent = (relus[self.decides], above - below)
        yield Node(rest.name, aten.mul.Tensor, bent, shape, place=place)
        if straight:
            line = Ref(f"{node.name}.line")
            yield Node(line.name, aten.mul.Tensor, (self.x, straight), shape, place=place)
            yield Node(node.name, aten.add.Tensor, (line, rest), shape, place=place)


def _kinked(node: Node, nodes: dict[str, Node], shapes: dict[str, torch.Size]) -> _Kinked | None:
    """What a node is, where it is a function with a kink at zero."""
    slopes_of = KINKS.get(node.target)
    operands = node.operands()
    if slopes_of is None or node.kwargs or node.pick or len(operands) != 1:
        return None
    slopes = slopes_of(*(None if isinstance(arg, Ref) else arg for arg in node.args))
    if slopes is None or Fraction(slopes[1]) - Fraction(slopes[0]) != slopes[1] - slopes[0]:
        return None
    x = Ref(operands[0])
    if shapes[x.name] != node.shape:
        return None
    decides, turned = _up_to_sign(x, nodes)
    return _Kinked(node, x, turned, slopes, decides)


def _up_to_sign(x: Ref, nodes: dict[str, Node]) -> tuple[Hashable, bool]:
    """What value decides where x is positive, and whether it is that of -x: a - b and b - a are one
    value, and -x and x."""
    turned = False
    while (node := nodes.get(x.name)) is not None and node.target is aten.neg.default:
        (x,) = node.args
        turned = not turned
    if node is None or node.target is not aten.sub.Tensor or node.kwargs or len(node.args) != 2:
        return x.name, turned
    a, b = node.args
    if not (isinstance(a, Ref) and isinstance(b, Ref)):
        return x.name, turned
    return ("difference", *sorted((a.name, b.name))), turned != (a.name > b.name)


def _is_zero(value: Any) -> bool:
    if isinstance(value, Tensor):
        return not bool(value.any())
    return isinstance(value, int | float) and value == 0


def _clamped(x: None, low: Any = None, high: Any = None) -> Slopes | None:
    if high is None and _is_zero(low):
        return 0.0, 1.0
    return (1.0, 0.0) if low is None and _is_zero(high) else None


def _against(below: float, above: float) -> Callable[[Any, Any], Slopes | None]:
    """A maximum or minimum with zero, on either side."""
    return lambda a, b: (below, above) if _is_zero(b if a is None else a) else None


KINKS: dict[Callable[..., Any], Callable[..., Slopes | None]] = {
    aten.relu.default: lambda x: (0.0, 1.0),
    aten.abs.default: lambda x: (-1.0, 1.0),
    aten.leaky_relu.default: lambda x, slope=0.01: (float(slope), 1.0),
    aten.clamp.default: _clamped,
    aten.clamp_min.default: lambda x, low: _clamped(x, low),
    aten.clamp_max.default: lambda x, high: _clamped(x, None, high),
    aten.maximum.default: _against(0.0, 1.0),
    aten.minimum.default: _against(1.0, 0.0),
}
"""Functions of one varying argument (None) and constants that have their only kink at zero."""
