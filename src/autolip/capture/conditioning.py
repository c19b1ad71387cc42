"""How much rounding in a given precision can change what a graph computes at a point."""

from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from autolip.graph.graph import Graph

aten = torch.ops.aten

DRAWS = 4
"""Chosen: random signs of the errors that are tried."""

SATURATING = frozenset(
    {
        aten.sigmoid.default,
        aten.tanh.default,
        aten.erf.default,
        aten.softmax.int,
        aten._softmax.default,
        aten.log_softmax.int,
        aten._log_softmax.default,
        aten.silu.default,
        aten.gelu.default,
        aten.exp.default,
        aten.softplus.default,
        aten.elu.default,
    }
)
"""Functions whose tails libraries compute with an error that is small beside 1 and their argument,
not their value."""


def sensitivity(graph: Graph, x: Tensor, eps: float, generator: torch.Generator) -> Tensor:
    """For every output entry, the most it moved when every operand and result moved by eps,
    relatively.

    Signs are random and drawn afresh several times.  Costs five evaluations.
    """
    exact = _evaluated(graph, x, 0.0, generator)
    moved = [(_evaluated(graph, x, eps, generator) - exact).abs() for _ in range(DRAWS)]
    return torch.stack(moved).nan_to_num(nan=0.0, posinf=0.0).amax(0)


def _evaluated(graph: Graph, x: Tensor, eps: float, generator: torch.Generator) -> Tensor:
    if graph.constant is not None:
        return _moved(graph.constant, eps, generator).reshape(-1)
    values: dict[str, Tensor] = {graph.input: _moved(x, eps, generator)}
    for node in graph.nodes:
        args, kwargs = node.bind(values.__getitem__)
        args, kwargs = pytree.tree_map(lambda leaf: _moved(leaf, eps, generator), (args, kwargs))
        result = node.target(*args, **kwargs)
        result = result if node.pick is None else result[node.pick]
        size = _largest(args) if node.target in SATURATING else 0.0
        values[node.name] = _moved(result, eps, generator, size)
    return values[graph.output].reshape(-1)


def _largest(args: Any) -> float:
    """The largest operand, at least 1."""
    sizes = [
        leaf.abs().max().item()
        for leaf in pytree.tree_leaves(args)
        if isinstance(leaf, Tensor) and leaf.numel()
    ]
    return max([1.0, *sizes])


def _moved(value: Any, eps: float, generator: torch.Generator, size: float = 0.0) -> Any:
    """Every entry changed by eps of its size, and of `size`, upwards or downwards."""
    if eps == 0.0 or not isinstance(value, Tensor) or not value.is_floating_point():
        return value
    drawn = torch.randint(0, 2, value.shape, generator=generator, dtype=value.dtype)
    sign = drawn * 2 - 1
    return value + eps * sign * (value.abs() + size)
