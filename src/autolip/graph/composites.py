"""Activations that arrive in pieces, recognised and put together again.

Taken apart, the pieces use the same value several times, and their slopes multiply and add to far
more than the whole has: x / (1 + |x|) has slopes in [0, 1], its parts have none that is finite for
all x; the modulus sqrt(x^2 + y^2) is 1-Lipschitz, the root alone is not at 0.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from autolip.graph.graph import Graph, Node, Ref

aten = torch.ops.aten


@dataclass(frozen=True)
class Composite:
    """An operation that ATen has no overload for, with a schema like one's."""

    name: str
    function: Callable[..., Tensor] = field(compare=False, repr=False)
    signature: str = "(Tensor self) -> Tensor"

    @property
    def _schema(self) -> Any:
        return torch._C.parse_schema(f"autolip::{self.name}{self.signature}")

    def __call__(self, *args: Any) -> Tensor:
        return self.function(*args)

    def __str__(self) -> str:
        return f"autolip.{self.name}"


softsign = Composite("softsign", torch.nn.functional.softsign)
tanhshrink = Composite("tanhshrink", torch.nn.functional.tanhshrink)


def _silu_pulled_back(gradient: Tensor, x: Tensor) -> Tensor:
    gate = torch.sigmoid(x)
    return gradient * gate * (1 + x * (1 - gate))


silu_backward = Composite(
    "silu_backward", _silu_pulled_back, "(Tensor grad_output, Tensor self) -> Tensor"
)
"""That of ATen, which cannot be differentiated again."""

rounds_within_half = Composite("rounds_within_half", torch.clone)
"""The identity, in the place of a rounding to integers, whose values are within 1/2 of it."""


@dataclass(frozen=True)
class Hole:
    """Any varying value, or any number >= 0 (`varies` None: or any constant); the same one at every
    place of the same name."""

    name: str
    varies: bool | None = True

    def takes(self, value: Any) -> bool:
        """Whether it may stand for the value."""
        if self.varies is None:
            return isinstance(value, Ref | Tensor | int | float)
        if self.varies:
            return isinstance(value, Ref)
        return isinstance(value, int | float) and value >= 0


@dataclass(frozen=True)
class Part:
    """A call of `target` in a pattern."""

    target: Any
    args: tuple[Any, ...]

    def __init__(self, target: Any, *args: Any) -> None:
        object.__setattr__(self, "target", target)
        object.__setattr__(self, "args", args)


X = Hole("x")
Y = Hole("y")
LEVEL = Hole("level", varies=False)
GRADIENT = Hole("gradient", varies=None)
_POWER = aten.pow.Tensor_Scalar
_SIZE = Part(aten.abs.default, X)
_GATE = Part(aten.sigmoid.default, X)

PATTERNS: tuple[tuple[Part, Any, tuple[Hole, ...]], ...] = (
    (Part(aten.div.Tensor, X, Part(aten.add.Tensor, _SIZE, 1)), softsign, (X,)),
    (Part(aten.sub.Tensor, X, Part(aten.tanh.default, X)), tanhshrink, (X,)),
    (Part(aten.mul.Tensor, X, Part(aten.sigmoid.default, X)), aten.silu.default, (X,)),
    (
        Part(aten.mul.Tensor, X, Part(aten.tanh.default, Part(aten.softplus.default, X))),
        aten.mish.default,
        (X,),
    ),
    (
        Part(
            aten.where.self,
            Part(aten.gt.Scalar, _SIZE, LEVEL),
            Part(aten.sub.Tensor, X, Part(aten.mul.Tensor, Part(aten.sign.default, X), LEVEL)),
            Part(aten.mul.Tensor, X, 0),
        ),
        aten.softshrink.default,
        (X, LEVEL),
    ),
    (
        Part(aten.sqrt.default, Part(aten.add.Tensor, Part(_POWER, X, 2), Part(_POWER, Y, 2))),
        aten.hypot.default,
        (X, Y),
    ),
    (
        Part(aten.mul.Tensor, Part(aten.sign.default, X), Part(aten.relu.default, _SIZE)),
        aten.clone.default,
        (X,),
    ),
    (
        Part(aten.where.ScalarSelf, Part(aten.le.Scalar, _SIZE, LEVEL), 0, X),
        aten.hardshrink.default,
        (X, LEVEL),
    ),
    (
        Part(
            aten.mul.Tensor,
            Part(aten.mul.Tensor, GRADIENT, _GATE),
            Part(
                aten.add.Scalar,
                Part(aten.mul.Tensor, X, Part(aten.sub.Tensor, 1, _GATE)),
                1,
            ),
        ),
        silu_backward,
        (GRADIENT, X),
    ),
    (Part(aten.silu_backward.default, GRADIENT, X), silu_backward, (GRADIENT, X)),
)
"""Pattern, the operation it is, and that operation's arguments."""

WITH_NUMBERS: dict[Any, Any] = {
    aten.gt.Tensor: aten.gt.Scalar,
    aten.ge.Tensor: aten.ge.Scalar,
    aten.lt.Tensor: aten.lt.Scalar,
    aten.le.Tensor: aten.le.Scalar,
}
"""Comparisons with tensors, and those with numbers."""

_COMMUTATIVE = {aten.add.Tensor, aten.mul.Tensor}


def recognised(graph: Graph) -> Graph:
    """The same function, with every activation of `PATTERNS` that stands in pieces as one node."""
    graph = replace(graph, nodes=tuple(map(_with_number, graph.nodes)))
    nodes = {node.name: node for node in graph.nodes}
    whole = tuple(_recognised(node, nodes) for node in graph.nodes)
    return replace(graph, nodes=whole).pruned()


def _with_number(node: Node) -> Node:
    """A comparison with a tensor of one number as one with that number."""
    if node.target not in WITH_NUMBERS:
        return node
    x, level = node.args
    if not isinstance(level, Tensor) or level.dim() or not level.is_floating_point():
        return node
    return replace(node, target=WITH_NUMBERS[node.target], args=(x, level.item()))


def _recognised(node: Node, nodes: dict[str, Node]) -> Node:
    for pattern, target, arguments in PATTERNS:
        for found in _matches(pattern, Ref(node.name), nodes, {}):
            args = tuple(found[hole.name] for hole in arguments)
            return replace(node, target=target, args=args, kwargs={})
    return node


def _matches(
    pattern: Any, value: Any, nodes: dict[str, Node], found: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Every way to fill the pattern's holes, given those filled so far, so that it is the value."""
    if isinstance(pattern, Part):
        yield from _matches_call(pattern, value, nodes, found)
    elif isinstance(pattern, Hole):
        if pattern.name in found:
            yield from [found] if _same(found[pattern.name], value) else []
        elif pattern.takes(value):
            yield found | {pattern.name: value}
    elif _same(pattern, value):
        yield found


def _matches_call(
    pattern: Part, value: Any, nodes: dict[str, Node], found: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    node = nodes.get(value.name) if isinstance(value, Ref) else None
    if (
        node is None
        or node.target != pattern.target
        or node.kwargs
        or len(node.args) != len(pattern.args)
    ):
        return
    orders = [node.args, node.args[::-1]] if node.target in _COMMUTATIVE else [node.args]
    for args in orders:
        ways = [found]
        for part, argument in zip(pattern.args, args, strict=True):
            if isinstance(part, int | float):
                argument = _number(argument, node, nodes)
            ways = [more for way in ways for more in _matches(part, argument, nodes, way)]
        yield from ways


def _number(value: Any, node: Node, nodes: dict[str, Node]) -> Any:
    """A constant of equal entries as their number, where it broadcasts no operand of the call."""
    if not isinstance(value, Tensor) or value.dim() == 0 or value.numel() == 0:
        return value
    others = [nodes[name].shape for name in node.operands() if name in nodes]
    widens = len(others) < len(node.operands()) or any(shape != node.shape for shape in others)
    first = value.flatten()[0]
    return value if widens or bool((value != first).any()) else first.item()


def _same(a: Any, b: Any) -> bool:
    """Equal references or numbers (a constant tensor may hold a number)."""
    if isinstance(b, Tensor):
        b = b.item() if b.dim() == 0 else None
    if isinstance(a, Ref) or isinstance(b, Ref):
        return bool(a == b)
    return isinstance(a, int | float) and isinstance(b, int | float) and a == b
