"""How far rounding can move a network's value: a first-order bound by one backward pass.

An evaluation in floating point is the exact one with an error delta_k added to the result of each
operation k.  To first order the error of the number <u, f(x)> is sum_k <a_k, delta_k>, with a_k the
derivative of <u, f> with respect to that result, which backpropagation gives for all operations at
once.  Hence the bound sum_k <|a_k|, |delta_k|> (Linnainmaa, BIT 1976), with for each kind of
operation

    moving and choosing numbers        0
    one correctly rounded operation    4 u |result|
    sums of n products                 gamma_n times the same sum of absolute values
    anything else                      8 u max |result| on the result,
                                       8 u max |operand| on each operand

and u = 2^-53.  The second-order terms are smaller by another factor u; `SAFETY` covers them.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils import _pytree as pytree

from autolip.graph.graph import Graph, Node
from autolip.lower.cost import MULTIPLYING, SUMMING, packet_of, shapes_of, terms
from autolip.lower.problem import LowerProblem
from autolip.operators.operator import DTYPE
from autolip.roundoff import dot_error, units

aten = torch.ops.aten

SAFETY = 2.0
"""Proved above: more than the terms of second order add."""

UNDERFLOW = 2.0**-1050
"""Proved: more than what underflows in one result, half of the smallest double for each of its
products."""

MOVING = frozenset(
    {
        aten.view,
        aten._unsafe_view,
        aten.reshape,
        aten.flatten,
        aten.permute,
        aten.transpose,
        aten.t,
        aten.expand,
        aten.clone,
        aten.alias,
        aten.slice,
        aten.select,
        aten.index,
        aten.gather,
        aten.squeeze,
        aten.unsqueeze,
        aten.cat,
        aten.stack,
        aten.split,
        aten.chunk,
        aten.flip,
        aten.roll,
        aten.pad,
        aten.constant_pad_nd,
        aten.relu,
        aten.abs,
        aten.neg,
        aten.clamp,
        aten.hardtanh,
        aten.maximum,
        aten.minimum,
        aten.max_pool1d,
        aten.max_pool2d,
        aten.max_pool3d,
    }
)
ROUNDED = frozenset(
    {
        aten.add,
        aten.sub,
        aten.mul,
        aten.div,
        aten.leaky_relu,
        aten.prelu,
        aten.sqrt,
        aten.reciprocal,
    }
)


def rounding_error(
    problem: LowerProblem, x: Float[Tensor, "*shape"], u: Float[Tensor, "*out"]
) -> float:
    """Bound on |<u, f(x)> computed - <u, f(x)>| for one input, to first order. Costs two passes."""
    tally = _Tally(problem.graph)
    point = x.detach().to(DTYPE).reshape(problem.graph.input_shape).requires_grad_()
    value = problem.read(tally.evaluate(point)[None])[0]
    problem.passes += 2
    size = value.detach().abs()
    if value.requires_grad:
        torch.autograd.grad(value, point, u, allow_unused=True)
    return SAFETY * (tally.total + units(8, float((u.abs() * size.max()).sum())))


class _Tally:
    """One evaluation, and the sum of <|a_k|, |delta_k|> that backpropagation through it
    collects."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.shapes = shapes_of(graph)
        self.total = 0.0

    def evaluate(self, x: Tensor) -> Tensor:
        """f(x), for x that requires a gradient."""
        if self.graph.constant is not None:
            return self.graph.constant
        values: dict[str, Any] = {self.graph.input: x}
        for node in self.graph:
            values[node.name] = self._call(node, values)
        return values[self.graph.output]

    def _call(self, node: Node, values: dict[str, Any]) -> Any:
        packet = packet_of(node)
        if packet in MOVING:
            return node.call(values.__getitem__)
        if packet in MULTIPLYING | SUMMING:
            result = node.call(values.__getitem__)
            return self._moved(
                result, dot_error(terms(node, self.shapes) + 6, _of_magnitudes(node, values))
            )
        if packet in ROUNDED and not node.kwargs:
            result = node.call(values.__getitem__)
            return self._moved(result, units(4, result.detach().abs()))
        return self._other(node, values)

    def _other(self, node: Node, values: dict[str, Any]) -> Any:
        """An operation of which nothing is known: stable in the sense of mixed forward and backward
        errors."""

        def operand(name: str) -> Tensor:
            value = values[name]
            if not value.is_floating_point():
                return value
            return self._moved(value.view_as(value), units(8, _largest(value)))

        result = node.call(operand)
        return (
            self._moved(result, units(8, _largest(result)))
            if result.is_floating_point()
            else result
        )

    def _moved(self, tensor: Tensor, error: Tensor) -> Tensor:
        """The tensor, of which rounding moves each entry by at most `error`."""
        if tensor.requires_grad and error.numel():
            top = float(error.max()) + UNDERFLOW
            bound = (
                error / top
            ).float()  # a bound needs no more digits, and they would double the memory

            def collect(gradient: Tensor) -> None:
                self.total += (
                    float((gradient.abs() * bound).sum()) * top
                    + float(gradient.abs().sum()) * UNDERFLOW
                )

            tensor.register_hook(collect)
        return tensor


def _of_magnitudes(node: Node, values: dict[str, Any]) -> Tensor:
    """The operation applied to the absolute values of everything."""
    args, kwargs = node.bind(lambda name: values[name].detach())

    def magnitude(leaf: Any) -> Any:
        return leaf.abs() if isinstance(leaf, Tensor) and leaf.is_floating_point() else leaf

    args = pytree.tree_map(magnitude, args)
    kwargs = {
        key: abs(value) if key in ("alpha", "beta") else value for key, value in kwargs.items()
    }
    with torch.no_grad():
        result = node.target(*args, **pytree.tree_map(magnitude, kwargs))
    return result if node.pick is None else result[node.pick]


def _largest(value: Tensor) -> Tensor:
    return value.detach().abs().max() if value.numel() else value.new_zeros(())
