"""A captured network as a classifier: the class of an input is the largest output."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils import _pytree as pytree

from autolip.arguments import array, shown
from autolip.capture.torch.export import Capture
from autolip.errors import InputError
from autolip.graph.evaluate import evaluate_batch
from autolip.graph.graph import Graph, Node, Ref
from autolip.intervals import Interval
from autolip.regions import Box
from autolip.robustness.pulls import Gains
from autolip.rules import range_of
from autolip.rules.lowering import lowered

aten = torch.ops.aten

Numbers = float | Sequence[float]


@dataclass(frozen=True)
class Classifier:
    """The function x -> f(x) of a captured network, and the program that computes it in `dtype`."""

    graph: Graph
    dtype: torch.dtype
    name: str
    kept: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)
    """What methods keep for the next sample, by names of their own; it stays in its process."""

    def __getstate__(self) -> dict[str, Any]:
        known = {"graph": self.graph, "dtype": self.dtype, "name": self.name}
        return known | {"kept": {}}

    @classmethod
    def of(
        cls, capture: Capture, name: str, mean: Numbers | None = None, std: Numbers | None = None
    ) -> "Classifier":
        """The network of a capture, after (x - mean) / std where these are given.

        InputError where it has fewer than two outputs, or ignores its input.
        """
        graph = capture.graph
        if graph.constant is not None:
            raise InputError(f"the output of {name} does not depend on the input: nothing to do")
        if graph.output_shape.numel() < 2:
            raise InputError(
                f"{name} has one output: a classifier has one for each class, at least two"
            )
        dtype = getattr(torch, capture.stored_dtype, torch.float64)
        dtype = dtype if dtype.is_floating_point else torch.float64
        if mean is not None or std is not None:
            graph = _normalised(graph, dtype, mean, std)
        return cls(graph, dtype, name)

    @property
    def shape(self) -> torch.Size:
        """Of one input."""
        return self.graph.input_shape

    @property
    def classes(self) -> int:
        return self.graph.output_shape.numel()

    @cached_property
    def lowered(self) -> Graph:
        """The same function with maxima in pieces."""
        return lowered(self.graph)

    @cached_property
    def gains(self) -> Gains:
        """Of every operation, in l2, wherever the input is."""
        return Gains.of(self.graph)

    @cached_property
    def _program(self) -> Graph:
        """The calls with constants in the program's type."""
        narrow = lambda leaf: leaf.to(self.dtype) if _is_real(leaf) else leaf  # noqa: E731
        nodes = [
            replace(
                node,
                args=pytree.tree_map(narrow, node.args),
                kwargs=pytree.tree_map(narrow, node.kwargs),
            )
            for node in self.graph
        ]
        return replace(self.graph, nodes=tuple(nodes))

    def values(self, x: Float[Tensor, "k *shape"]) -> Float[Tensor, "k classes"]:
        """f(x_i) in float64, not rounded outward; differentiable."""
        return evaluate_batch(self.graph, x).flatten(1)

    def computed(self, x: Float[Tensor, "k *shape"]) -> Float[Tensor, "k classes"]:
        """What the program makes of inputs of its own type: the captured calls in that type."""
        return evaluate_batch(self._program, x.to(self.dtype)).flatten(1)

    def proved(self, x: Float[Tensor, "*shape"]) -> Interval:
        """An interval that contains f(x), class by class."""
        image = range_of(self.graph, Box(x, x))
        return Interval(image.lo.reshape(-1), image.hi.reshape(-1))


def _is_real(leaf: object) -> bool:
    return isinstance(leaf, Tensor) and leaf.is_floating_point()


def _normalised(
    graph: Graph, dtype: torch.dtype, mean: Numbers | None, std: Numbers | None
) -> Graph:
    """The network behind (x - mean) / std, numbers for all entries or for each channel, rounded to
    the program's type: the map is one of that type."""
    shape = graph.input_shape
    less = _channels(0.0 if mean is None else mean, "mean", shape).to(dtype).double()
    by = _channels(1.0 if std is None else std, "std", shape).to(dtype).double()
    if not bool((by > 0).all()):
        raise InputError(f"std is {shown(std)}: give numbers > 0")
    centred = Node("centred", aten.sub.Tensor, (Ref(graph.input), less), shape)
    scaled = Node("normalised", aten.div.Tensor, (Ref("centred"), by), shape)
    rest = tuple(_renamed(node, graph.input, scaled.name) for node in graph)
    return replace(graph, nodes=(centred, scaled, *rest))


def _renamed(node: Node, old: str, new: str) -> Node:
    """The node that reads another value in place of one."""

    def rename(leaf: Any) -> Any:
        return Ref(new) if leaf == Ref(old) else leaf

    is_leaf = lambda leaf: isinstance(leaf, Ref)  # noqa: E731
    args, kwargs = pytree.tree_map(rename, (node.args, node.kwargs), is_leaf=is_leaf)
    return replace(node, args=args, kwargs=kwargs)


def _channels(given: Numbers, what: str, shape: torch.Size) -> Tensor:
    """One number for every entry, or one for each channel (the last axis but two), in the input's
    shape."""
    numbers = array(given, what).reshape(-1)
    if not bool(numbers.isfinite().all()):
        raise InputError(f"{what} is {shown(given)}: give finite numbers")
    if len(numbers) == 1:
        return numbers.expand(shape).contiguous()
    if len(shape) < 3 or shape[-3] != len(numbers):
        raise InputError(
            f"{what} has {len(numbers)} numbers: give one, or one for each channel of inputs of "
            f"shape {tuple(shape)}"
        )
    return numbers.reshape(-1, 1, 1).expand(shape).contiguous()
