"""The captured network: a list of ATen calls on one varying input, constants folded."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree


@dataclass(frozen=True)
class Place:
    """Where an operation stands in the user's model: module path and source line."""

    module: str = ""
    source: str = ""

    def __str__(self) -> str:
        module = self.module or "the model itself"
        return f"{module} ({self.source})" if self.source else module


@dataclass(frozen=True)
class Ref:
    """An argument that is another node's value."""

    name: str


@dataclass(frozen=True)
class Node:
    """One call `target(*args, **kwargs)`; of a target with several results, number `pick`.

    Arguments are `Ref`s, numbers, lists and float64 constant tensors.
    """

    name: str
    target: Callable[..., Any]
    args: tuple[Any, ...]
    shape: torch.Size
    kwargs: dict[str, Any] = field(default_factory=dict)
    pick: int | None = None
    place: Place = Place()

    def __getstate__(self) -> dict[str, Any]:
        """PyTorch's operations cannot be pickled: their names can."""
        return self.__dict__ | {"target": _named(self.target)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state | {"target": _called(state["target"])})

    def operands(self) -> tuple[str, ...]:
        """Names of the nodes whose values this one uses, each once, in order."""
        refs = _refs([*self.args, *self.kwargs.values()])
        return tuple(dict.fromkeys(ref.name for ref in refs))

    def bind(self, value_of: Callable[[str], Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments with every reference replaced."""

        def bound(argument: Any) -> Any:
            if isinstance(argument, Ref):
                return value_of(argument.name)
            if isinstance(argument, list | tuple):
                return type(argument)(map(bound, argument))
            return argument

        args = tuple(map(bound, self.args))
        return args, {key: bound(argument) for key, argument in self.kwargs.items()}

    def call(self, value_of: Callable[[str], Any]) -> Any:
        """The node's value, given its operands' values."""
        args, kwargs = self.bind(value_of)
        result = self.target(*args, **kwargs)
        return result if self.pick is None else result[self.pick]


def _named(target: Callable[..., Any]) -> Any:
    """`aten.linear.default` for that operation; anything else as it is."""
    return str(target) if isinstance(target, torch._ops.OpOverload) else target


def _called(target: Any) -> Callable[..., Any]:
    """The operation of a name."""
    if not isinstance(target, str):
        return target
    found: object = torch.ops
    for part in target.split("."):
        found = getattr(found, part)
    assert callable(found)
    return found


def _refs(arguments: Iterable[Any]) -> Iterator[Ref]:
    """The references among arguments, those in lists too."""
    for argument in arguments:
        if isinstance(argument, Ref):
            yield argument
        elif isinstance(argument, list | tuple):
            yield from _refs(argument)


def _is_ref(leaf: object) -> bool:
    return isinstance(leaf, Ref)


@dataclass(frozen=True)
class Graph:
    """A function of one tensor `input`: nodes in topological order, the last use being `output`."""

    input: str
    input_shape: torch.Size
    nodes: tuple[Node, ...]
    output: str
    constant: Tensor | None = None
    """The output itself where it does not depend on the input (then there are no nodes)."""

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    @property
    def output_shape(self) -> torch.Size:
        if self.constant is not None:
            return self.constant.shape
        return next(
            (node.shape for node in reversed(self.nodes) if node.name == self.output),
            self.input_shape,
        )

    def then(
        self, target: Callable[..., Any], *args: Any, shape: tuple[int, ...], name: str
    ) -> "Graph":
        """This graph followed by `target(output, *args)`."""
        if self.constant is not None:
            return replace(self, constant=target(self.constant, *args))
        node = Node(
            name,
            target,
            (Ref(self.output), *args),
            torch.Size(shape),
            place=Place("the chosen output"),
        )
        return replace(self, nodes=(*self.nodes, node), output=name)

    def scaled(self, factors: Tensor) -> "Graph":
        """The same function of u where its input is factors * u."""
        if self.constant is not None:
            return self
        name = f"{self.input}:units"
        target = torch.ops.aten.mul.Tensor
        first = Node(self.input, target, (Ref(name), factors), self.input_shape)
        return replace(self, input=name, nodes=(first, *self.nodes))

    @property
    def shapes(self) -> dict[str, torch.Size]:
        """Of the input and of every operation's value, by name."""
        return {self.input: self.input_shape} | {node.name: node.shape for node in self.nodes}

    def on(self, device: torch.device) -> "Graph":
        """The same, whose constants are on a device."""

        def there(leaf: Any) -> Any:
            if isinstance(leaf, Tensor):
                return leaf.to(device)
            return device if isinstance(leaf, torch.device) else leaf

        def moved(node: Node) -> Node:
            args, kwargs = pytree.tree_map(there, (node.args, node.kwargs), is_leaf=_is_ref)
            return replace(node, args=args, kwargs=kwargs)

        constant = None if self.constant is None else self.constant.to(device)
        return replace(self, nodes=tuple(map(moved, self.nodes)), constant=constant)

    def pruned(self) -> "Graph":
        """Without the nodes that the output does not use."""
        needed = {self.output}
        for node in reversed(self.nodes):
            if node.name in needed:
                needed.update(node.operands())
        return replace(self, nodes=tuple(node for node in self.nodes if node.name in needed))
