"""Piecewise linear activations: the relu family, clipping, shrinkage, thresholds, the absolute
value."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from autolip.errors import InputError
from autolip.roundoff import relative_error
from autolip.rules.rule import (
    Constant,
    Example,
    Jump,
    Operand,
    Pointwise,
    Turn,
    Variable,
    require_constant,
    rule,
)
from autolip.values import round_up

aten = torch.ops.aten
INF = math.inf
Number = Tensor | float


def _piecewise(
    x: Operand,
    value: Callable[[Tensor], Tensor],
    limits: tuple[Number, Number],
    knots: tuple[Number, ...],
    slopes: tuple[Number, ...],
    **details: Any,
) -> Pointwise:
    """A function of slope slopes[0] before knots[0], slopes[1] up to knots[1], and so on."""

    def derivative(at: Tensor) -> Tensor:
        slope = torch.as_tensor(slopes[0], dtype=torch.float64)
        for knot, after in zip(knots, slopes[1:], strict=True):
            slope = torch.where(at >= knot, after, slope)
        return slope.expand(torch.broadcast_shapes(slope.shape, at.shape))

    corners = zip(knots, slopes, slopes[1:], strict=False)
    turns = tuple(Turn(*corner) for corner in corners)
    return Pointwise(
        x,
        value,
        derivative,
        value_limits=limits,
        slope_limits=(slopes[0], slopes[-1]),
        value_turns=knots,
        slope_turns=turns,
        piecewise_linear=not details.get("jumps"),
        **{"error": 0.0} | details,
    )


@rule(aten.relu.default, Example(Variable(2, 5)))
def relu(self: Operand) -> Pointwise:
    """Between(0, 1)."""
    return _piecewise(self, lambda x: x.clamp(min=0), (0.0, INF), (0.0,), (0.0, 1.0))


@rule(aten.abs.default, Example(Variable(2, 5)))
@rule(aten.absolute.default, Example(Variable(3)))
def absolute(self: Operand) -> Pointwise:
    """Between(-1, 1)."""
    return _piecewise(self, torch.abs, (INF, INF), (0.0,), (-1.0, 1.0))


def _clipped(x: Operand, low: Number | None, high: Number | None) -> Pointwise:
    """min(max(x, low), high); constant where low >= high."""
    low = -INF if low is None else low
    high = INF if high is None else high
    bottom, top = torch.broadcast_tensors(
        *(torch.as_tensor(end, dtype=torch.float64) for end in (low, high))
    )
    first = torch.minimum(bottom, top)
    middle = (bottom < top).double()
    return _piecewise(
        x,
        lambda x: torch.minimum(torch.maximum(x, bottom), top),
        (first, top),
        (first, top),
        (0.0, middle, 0.0),
    )


@rule(aten.relu6.default, Example(Variable(2, 5, hi=9.0)))
def relu6(self: Operand) -> Pointwise:
    """Between(0, 1)."""
    return _clipped(self, 0.0, 6.0)


@rule(
    aten.hardtanh.default,
    Example(Variable(2, 5)),
    Example(Variable(3), -0.5, 2.0),
    Example(Variable(3), 0.0, 6.0),
    Example(Variable(3), 1.0, 1.0),
)
def hardtanh(self: Operand, min_val: float, max_val: float) -> Pointwise:
    """Between(0, 1)."""
    return _clipped(self, min_val, max_val)


@rule(
    aten.clamp.default,
    Example(Variable(2, 5), -1, 0.5),
    Example(Variable(3), 0.25),
    Example(Variable(3), None, 0.5),
    Example(Variable(3), 2.0, 1.0),
)
@rule(aten.clip.default, Example(Variable(3), -1.0, 1.0))
def clamp(self: Operand, min: float | None, max: float | None) -> Pointwise:
    """Between(0, 1)."""
    return _clipped(self, min, max)


@rule(
    aten.clamp.Tensor,
    Example(Variable(2, 5), Constant(5), Constant(2, 1)),
    Example(Variable(5), Constant(2, 5)),
    Example(Variable(3), None, Constant(3)),
)
@rule(aten.clip.Tensor, Example(Variable(3), Constant(3)))
def clamp_by_tensors(self: Operand, min: Tensor | None, max: Tensor | None) -> Pointwise:
    """Between(0, 1)."""
    require_constant(min=min, max=max)
    return _clipped(self, min, max)


@rule(aten.clamp_min.default, Example(Variable(2, 5), 0.5))
def clamp_min(self: Operand, min: float) -> Pointwise:
    """Between(0, 1)."""
    return _clipped(self, min, None)


@rule(aten.clamp_max.default, Example(Variable(2, 5), 0.5))
def clamp_max(self: Operand, max: float) -> Pointwise:
    """Between(0, 1)."""
    return _clipped(self, None, max)


@rule(
    aten.clamp_min.Tensor,
    Example(Variable(2, 5), Constant(5)),
    Example(Variable(2, 1), Constant(2, 3)),
)
def clamp_min_by_tensor(self: Operand, min: Tensor) -> Pointwise:
    """Between(0, 1)."""
    require_constant(min=min)
    return _clipped(self, min, None)


@rule(aten.clamp_max.Tensor, Example(Variable(2, 5), Constant(5)))
def clamp_max_by_tensor(self: Operand, max: Tensor) -> Pointwise:
    """Between(0, 1)."""
    require_constant(max=max)
    return _clipped(self, None, max)


def _leaky(x: Operand, slope: Number) -> Pointwise:
    """x for x > 0, slope * x below; the slopes are exact, the products round once."""
    below = torch.as_tensor(slope, dtype=torch.float64)
    ends = below.amin().item(), below.amax().item()
    return _piecewise(
        x,
        lambda x: torch.where(x > 0, x, below * x),
        (torch.where(below == 0, 0.0, -INF * below.sign()), INF),
        (0.0,),
        (below, 1.0),
        error=relative_error(1),
        absolute=0.0,
        slopes_within=(min(1.0, *ends), max(1.0, *ends)),
        exact_slopes=True,
    )


@rule(
    aten.leaky_relu.default,
    Example(Variable(2, 5)),
    Example(Variable(3), -3.0),
    Example(Variable(3), 2),
    Example(Variable(3), 0.0),
)
def leaky_relu(self: Operand, negative_slope: float) -> Pointwise:
    """Between(min(1, negative_slope), max(1, negative_slope))."""
    return _leaky(self, negative_slope)


@rule(
    aten.prelu.default,
    Example(Variable(2, 3, 4), Constant(3)),
    Example(Variable(2, 5), Constant(1)),
    Example(Variable(3), Constant(1)),
)
def prelu(self: Operand, weight: Tensor) -> Pointwise:
    """Between(min(1, weight), max(1, weight)), one weight for all or one per channel (axis 1)."""
    require_constant(weight=weight)
    per_channel = weight.numel() > 1
    shape = (1, weight.numel(), *[1] * (self.dim - 2)) if per_channel else ()
    return _leaky(self, weight.reshape(shape))


@rule(aten.rrelu.default, Example(Variable(2, 5)), Example(Variable(3), -2.0, 0.5))
def rrelu(
    self: Operand, lower: float, upper: float, training: bool, generator: object
) -> Pointwise:
    """Between(min(1, s), max(1, s)) with the mean slope s = (lower + upper) / 2, in eval mode."""
    if training:
        raise InputError("rrelu draws random slopes in training mode: call model.eval()")
    return _leaky(self, (lower + upper) / 2)


@rule(aten.hardsigmoid.default, Example(Variable(2, 5, lo=-5.0, hi=5.0)))
def hardsigmoid(self: Operand) -> Pointwise:
    """Between(0, 1/6)."""
    return _piecewise(
        self,
        lambda x: (x + 3).clamp(0, 6) / 6,
        (0.0, 1.0),
        (-3.0, 3.0),
        (0.0, 1 / 6, 0.0),
        error=relative_error(2),
        values_within=(0.0, 1.0),
        slopes_within=(0.0, round_up(1 / 6)),
    )


@rule(
    aten.softshrink.default,
    Example(Variable(2, 5)),
    Example(Variable(3), 0.0),
    Example(Variable(3), 1.75),
)
def softshrink(self: Operand, lambd: float) -> Pointwise:
    """Between(0, 1)."""
    return _piecewise(
        self,
        lambda x: torch.where(x > lambd, x - lambd, torch.where(x < -lambd, x + lambd, 0.0)),
        (-INF, INF),
        (-lambd, lambd),
        (1.0, 0.0 if lambd else 1.0, 1.0),
        error=relative_error(1),
        slopes_within=(0.0, 1.0),
        exact_slopes=True,
    )


@rule(
    aten.hardshrink.default,
    Example(Variable(2, 5)),
    Example(Variable(3), 0.0),
    Example(Variable(3), 1.75),
    Example(Variable(3), -1.0),
)
def hardshrink(self: Operand, lambd: float) -> Pointwise:
    """Infinite where the range crosses -lambd or lambd > 0, else Between(0, 1)."""
    if lambd <= 0:
        return _piecewise(self, torch.clone, (-INF, INF), (), (1.0,))
    return _piecewise(
        self,
        lambda x: torch.where(x.abs() <= lambd, 0.0, x),
        (-INF, INF),
        (-lambd, lambd),
        (1.0, 0.0, 1.0),
        jumps=(Jump(-lambd, -lambd, 0.0), Jump(lambd, 0.0, lambd)),
    )


@rule(
    aten.threshold.default,
    Example(Variable(2, 5), 0.5, 2.0),
    Example(Variable(3), 1.0, 1.0),
    Example(Variable(3), -1, 0),
    Example(Variable(3), -0.75, -2.0),
)
def threshold(self: Operand, threshold: float, value: float) -> Pointwise:
    """Infinite where the range crosses a threshold != value, else Between(0, 1)."""
    return _piecewise(
        self,
        lambda x: torch.where(x > threshold, x, float(value)),
        (float(value), INF),
        (threshold,),
        (0.0, 1.0),
        jumps=() if threshold == value else (Jump(threshold, value, threshold),),
    )


@rule(
    aten.heaviside.default, Example(Variable(2, 5), Constant(5)), Example(Variable(3), Constant())
)
def heaviside(self: Operand, values: Tensor) -> Pointwise:
    """Infinite where the range crosses 0, else Between(0, 0)."""
    require_constant(values=values)
    at_zero = values.double()
    return _piecewise(
        self,
        lambda x: torch.heaviside(x, at_zero),
        (0.0, 1.0),
        (0.0,),
        (0.0, 0.0),
        jumps=(Jump(0.0, 0.0, 1.0),),
    )
