"""Powers, roots and reciprocals, evaluated to a few units in the last place whatever their size:
`absolute=TINY`."""

import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import torch
from torch import Tensor

from autolip.errors import InputError, UnsupportedOperation
from autolip.intervals import Interval
from autolip.roundoff import TINY
from autolip.rules.curves import value_range
from autolip.rules.derive import entrywise
from autolip.rules.elementary import exponential
from autolip.rules.rule import (
    Action,
    Constant,
    Example,
    Jump,
    Operand,
    Pointwise,
    Turn,
    Variable,
    rule,
)
from autolip.rules.secants import secant_range

aten = torch.ops.aten
INF = math.inf


@rule(aten.sqrt.default, Example(Variable(2, 5, lo=0.1)))
def sqrt(self: Operand) -> Pointwise:
    """Between(0, inf); finite where the range is above 0."""
    return _power(self, 0.5, torch.sqrt, lambda x: 0.5 / torch.sqrt(x))


@rule(aten.rsqrt.default, Example(Variable(2, 5, lo=0.1)))
def rsqrt(self: Operand) -> Pointwise:
    """Between(-inf, 0); finite where the range is above 0."""
    return _power(self, -0.5, torch.rsqrt, lambda x: -0.5 / torch.sqrt(x) / x)


@rule(aten.reciprocal.default, Example(Variable(2, 5, lo=0.1)), Example(Variable(3, hi=-0.1)))
def reciprocal(self: Operand) -> Pointwise:
    """Between(-inf, 0); finite where the range does not meet 0."""
    return _power(self, -1.0, torch.reciprocal, lambda x: -((1 / x) ** 2))


@rule(aten.square.default, Example(Variable(2, 5)))
def square(self: Operand) -> Pointwise:
    """Between(2 lo, 2 hi) on [lo, hi]."""
    return _power(self, 2.0, torch.square, lambda x: 2 * x)


@rule(
    aten.pow.Tensor_Scalar,
    Example(Variable(2, 5), 2),
    Example(Variable(3), 3),
    Example(Variable(3), 4),
    Example(Variable(3, lo=0.1), 1.5),
    Example(Variable(3, lo=0.1), -0.5),
    Example(Variable(3), -2),
    Example(Variable(3), -3.0),
    Example(Variable(3, lo=0.1), 0.5),
    Example(Variable(3, lo=0.1), 2.7),
    Example(Variable(3, lo=0.1), -1.3),
    Example(Variable(3), 0),
    Example(Variable(3), 1),
)
@rule(aten.float_power.Tensor_Scalar, Example(Variable(3), 2))
def power(self: Operand, exponent: float) -> Pointwise:
    """Range of p x^(p - 1); global only for p = 0 and 1.

    Where p - 1 rounds, x^(p - 1) is off by up to 745 u, relatively.
    """
    p = float(exponent)
    if not math.isfinite(p):
        raise InputError(f"the exponent of the power is {p}: give a finite one")
    if p == 0:
        return Pointwise(self, torch.ones_like, torch.zeros_like, (1.0, 1.0), (0.0, 0.0), error=0.0)
    record = _power(self, p, lambda x: torch.pow(x, exponent), lambda x: p * torch.pow(x, p - 1))
    below = Fraction(p) - 1
    rounds = below != Fraction(p - 1)
    return replace(record, error=2.0**-42) if rounds else record


def _power(
    x: Operand, p: float, value: Callable[[Tensor], Tensor], derivative: Callable[[Tensor], Tensor]
) -> Pointwise:
    """x^p for p != 0: on both signs for an integer p, with a pole at 0 for p < 0; else for x >=
    0."""
    limits = (INF if p > 0 else 0.0, INF if p > 1 else 1.0 if p == 1 else 0.0)
    whole = p.is_integer()
    even = p % 2 == 0
    at_zero = 0.0 if p > 0 else INF
    slope_at_zero = 0.0 if p > 1 else 1.0 if p == 1 else INF
    if not whole:
        return Pointwise(
            x,
            value,
            derivative,
            (at_zero, limits[0]),
            (math.copysign(slope_at_zero, p), math.copysign(limits[1], p)),
            domain=(0.0, INF),
            absolute=TINY,
            values_within=(0.0, INF),
            slopes_within=(0.0, INF) if p > 0 else (-INF, 0.0),
        )
    before = 1.0 if even else -1.0
    ends = (before * limits[0], limits[0])
    far = math.copysign(limits[1], p)
    slopes = (-before * far, far)
    pole = Jump(0.0, before * INF, INF)
    right = math.copysign(slope_at_zero, p)
    steep = Turn(0.0, -before * right, right)
    return Pointwise(
        x,
        value,
        derivative,
        ends,
        slopes,
        value_turns=(0.0,) if p > 0 else (),
        slope_turns=(steep,),
        jumps=(pole,) if p < 0 else (),
        absolute=TINY,
        values_within=(0.0, INF) if even else (-INF, INF),
        slopes_within=(-INF, INF) if even else (0.0, INF) if p > 0 else (-INF, 0.0),
    )


@rule(
    aten.pow.Tensor_Tensor,
    Example(Variable(2, 3), torch.tensor([2.0, 0.0, -1.0])),
    Example(Variable(3, lo=0.1), Constant(2, 3)),
    Example(Constant(3, positive=True), Variable(2, 3)),
)
def power_by_tensor(self: Operand | Tensor, exponent: Operand | Tensor) -> Action:
    """Range of p x^(p - 1), or of log(b) b^x for a constant base b; both varying: refused."""
    if isinstance(self, Operand) and isinstance(exponent, Tensor):
        return _by_entry(self, exponent, power)
    if isinstance(self, Tensor) and isinstance(exponent, Operand):
        return _by_entry(exponent, self, lambda x, base: exponential(base, x))
    raise UnsupportedOperation("base and exponent both depend on the network's input: only one may")


def _by_entry(x: Operand, parameters: Tensor, law: Callable[[Operand, float], Pointwise]) -> Action:
    """A pointwise law whose parameter differs between entries: one law for each distinct value."""
    shape = torch.broadcast_shapes(x.shape, parameters.shape)
    slopes = Interval.everywhere(shape)
    values = Interval.everywhere(shape)
    for parameter in parameters.unique().tolist():
        curve = law(x, parameter)
        here = parameters == parameter
        slopes = _where(here, secant_range(curve), slopes)
        values = _where(here, value_range(curve), values)
    return entrywise(x, slopes, values, shape)


def _where(here: Tensor, new: Interval, old: Interval) -> Interval:
    return Interval(torch.where(here, new.lo, old.lo), torch.where(here, new.hi, old.hi))
