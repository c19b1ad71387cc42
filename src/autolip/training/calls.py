"""The exported calls of a module, with the weights that it has now.

Parameters and buffers are looked up in the module whenever values are asked for; what does not
depend on them nor on the input is computed once.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.utils import _pytree as pytree

from autolip.graph.graph import Node

aten = torch.ops.aten

Weights = dict[str, Any]
"""The value of everything that does not depend on the input, by the name of its node."""

WITHOUT_BIAS: Mapping[Any, Mapping[int, Any]] = {
    aten.linear.default: {2: None},
    aten.convolution.default: {2: None},
    aten.conv1d.default: {2: None},
    aten.conv2d.default: {2: None},
    aten.conv3d.default: {2: None},
    aten.conv_transpose1d.default: {2: None},
    aten.conv_transpose2d.input: {2: None},
    aten.conv_transpose3d.input: {2: None},
    aten.batch_norm.default: {2: None, 3: torch.zeros_like},
}
"""Affine operations whose linear part is the same call with other arguments, by position."""

HALVES = (torch.float16, torch.bfloat16)
"""Types whose numbers are too short to improve vectors with."""


class Constants:
    """What does not depend on the input: parameters, buffers, and what is computed from them."""

    def __init__(
        self, program: ExportedProgram, fixed: Sequence[Tensor], module: nn.Module
    ) -> None:
        self._live: list[tuple[str, nn.Module, str]] = []
        self._held: Weights = {}
        self._nodes: list[torch.fx.Node] = []
        self._device = torch.device("cpu")
        rest = iter(fixed)
        varying = set[str]()
        for spec in program.graph_signature.input_specs:
            name = spec.arg.name
            if (
                spec.kind in (InputKind.PARAMETER, InputKind.BUFFER)
                and spec.target in program.state_dict
            ):
                owner, _, attribute = str(spec.target).rpartition(".")
                self._live.append((name, module.get_submodule(owner), attribute))
            elif spec.kind is not InputKind.USER_INPUT:
                self._held[name] = program.constants[str(spec.target)]
            elif not varying:
                varying.add(name)
            else:
                self._held[name] = next(rest)
        live = {name for name, _, _ in self._live}
        for node in program.graph.nodes:
            if node.op != "call_function":
                continue
            inputs = {other.name for other in node.all_input_nodes}
            if inputs & varying:
                varying.add(node.name)
            elif inputs & live:
                live.add(node.name)
                self._nodes.append(node)
            else:
                self._held[node.name] = _called(node, self._held)
        self.varying = varying

    @property
    def device(self) -> torch.device:
        """Where the module's tensors are."""
        for _, owner, attribute in self._live:
            tensor: Tensor = getattr(owner, attribute)
            return tensor.device
        return self._device

    def now(self) -> tuple[Weights, list[Tensor]]:
        """All of it, floats at least float32, and the module's tensors that it is made of."""
        live = [getattr(owner, attribute) for _, owner, attribute in self._live]
        self._follow(live)
        values = dict(self._held)
        for (name, _, _), value in zip(self._live, live, strict=True):
            values[name] = value.float() if value.dtype in HALVES else value
        for node in self._nodes:
            values[node.name] = _called(node, values)
        return values, live

    def _follow(self, live: list[Tensor]) -> None:
        """What is not of the module moves to where the module is."""
        device = live[0].device if live else self._device
        if device != self._device:
            self._held = pytree.tree_map_only(Tensor, lambda held: held.to(device), self._held)
            self._device = device


def _called(node: torch.fx.Node, values: Weights) -> Any:
    """A node's value, given those of what it reads."""
    given = (node.args, dict(node.kwargs))
    args, kwargs = torch.fx.node.map_arg(given, lambda n: values[n.name])
    return node.target(*args, **kwargs)  # type: ignore[operator]


class LinearCall:
    """The linear part of one exported call towards its varying operands."""

    def __init__(
        self,
        node: torch.fx.Node,
        pick: int | None,
        operands: Sequence[str],
        shapes: Mapping[str, tuple[int, ...]],
    ) -> None:
        self.node = node
        self.pick = pick
        self.operands = set(operands)
        self.shapes = shapes
        self.replaced = dict(WITHOUT_BIAS.get(node.target, {}))
        self.offset = not self.replaced and self._has_offset()
        read = [place for place, new in self.replaced.items() if new is None]
        kept = [None if place in read else given for place, given in enumerate(node.args)]
        names = [other.name for other in _nodes_in((kept, node.kwargs))]
        self.weights = tuple(dict.fromkeys(n for n in names if n not in self.operands))
        self.is_unary = (
            pick is None
            and [name for name in names if name in self.operands] == list(operands)
            and isinstance(node.args[0], torch.fx.Node)
            and node.args[0].name in self.operands
        )
        """Whether its only operand is its first argument."""

    def _has_offset(self) -> bool:
        """Whether zero operands give something else than zero, whatever the constants: seen with
        random ones."""

        def sample(node: torch.fx.Node) -> Any:
            value = node.meta["val"]
            if node.name in self.operands:
                return torch.zeros(value.shape)
            return (
                torch.rand(value.shape) + 0.5
                if value.is_floating_point()
                else torch.zeros_like(value, device="cpu")
            )

        given = (self.node.args, dict(self.node.kwargs))
        args, kwargs = torch.fx.node.map_arg(given, sample)
        result = self.node.target(*args, **kwargs)  # type: ignore[operator]
        result = result if self.pick is None else result[self.pick]
        return bool((result != 0).any())

    def __call__(self, values: Mapping[str, Tensor], weights: Weights) -> Tensor:
        found = self._result(values, weights)
        if not self.offset:
            return found
        moved = [name for name in self.operands if name in values]
        zeros = {name: torch.zeros_like(values[name]) for name in moved}
        return found - self._result(zeros, weights)

    def _result(self, values: Mapping[str, Tensor], weights: Weights) -> Tensor:
        args = [self._argument(argument, values, weights) for argument in self.node.args]
        kwargs = {
            key: self._argument(value, values, weights) for key, value in self.node.kwargs.items()
        }
        for place, new in self.replaced.items():
            if place < len(args):
                args[place] = (
                    new(args[place]) if callable(new) and args[place] is not None else None
                )
        result: Any = self.node.target(*args, **kwargs)  # type: ignore[operator]
        return result if self.pick is None else result[self.pick]

    def _argument(self, argument: Any, values: Mapping[str, Tensor], weights: Weights) -> Any:
        if isinstance(argument, torch.fx.Node):
            if argument.name not in self.operands:
                return weights[argument.name]
            if argument.name in values:
                return values[argument.name]
            return next(iter(values.values())).new_zeros(self.shapes[argument.name])
        if isinstance(argument, (list, tuple)):
            return [self._argument(item, values, weights) for item in argument]
        return argument


def _nodes_in(given: Any) -> list[torch.fx.Node]:
    """The nodes among arguments, in order."""
    found: list[torch.fx.Node] = []
    torch.fx.node.map_arg(given, found.append)
    return found


def inserted(
    node: Node, shapes: Mapping[str, torch.Size], batched: bool
) -> Callable[[Mapping[str, Tensor], Weights], Tensor]:
    """Wiring that is not among the exported calls (a broadcast, parts of a maximum): of a whole
    batch where that is the same, else column by column."""

    def whole(values: Mapping[str, Tensor]) -> Tensor:
        found: Tensor = node.call(values.__getitem__)
        return found

    def column(values: Mapping[str, Tensor]) -> Tensor:
        return whole({name: value[None] for name, value in values.items()})[0]

    def apart(values: Mapping[str, Tensor]) -> Tensor:
        return torch.vmap(column)(values)

    call = whole if not batched or _same(whole, apart, node, shapes) else apart
    return lambda values, weights: call(values)


def _same(
    first: Callable[[Mapping[str, Tensor]], Tensor],
    second: Callable[[Mapping[str, Tensor]], Tensor],
    node: Node,
    shapes: Mapping[str, torch.Size],
) -> bool:
    """Whether two ways to call a node give the same for two random columns."""
    generator = torch.Generator().manual_seed(0)
    drawn = {
        name: torch.randn(2, *shapes[name][1:], generator=generator) for name in node.operands()
    }
    try:
        return torch.equal(first(drawn), second(drawn))
    except RuntimeError:  # it takes no other batch size
        return False
