"""Rounding and remainders: constant or of slope 1 where the range holds no jump, else infinite."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from autolip.errors import UnsupportedOperation
from autolip.graph.composites import rounds_within_half
from autolip.intervals import Interval
from autolip.operators.diagonal import Identity
from autolip.roundoff import relative_error
from autolip.rules.derive import entrywise
from autolip.rules.rule import (
    Action,
    Constant,
    Example,
    Operand,
    Variable,
    require_constant,
    rule,
)
from autolip.slopes import Exact

aten = torch.ops.aten
INF = math.inf


def _steps(x: Operand, function: Callable[[Tensor], Tensor]) -> Action:
    """A monotone piecewise constant function: constant where it agrees at both ends (NaN: nothing
    is known)."""
    lo, hi = (function(end).double() for end in x.range.ends())
    lowest = torch.where(lo <= hi, 0.0, -INF)
    highest = torch.where(lo >= hi, 0.0, INF)
    slopes = Interval(lowest, highest)
    low = torch.minimum(lo, hi)
    high = torch.maximum(lo, hi)
    image = Interval(torch.where(low.isnan(), -INF, low), torch.where(high.isnan(), INF, high))
    return entrywise(x, slopes, image, torch.broadcast_shapes(x.shape, lo.shape))


@rule(aten.sign.default, Example(Variable(2, 5)))
@rule(aten.sgn.default, Example(Variable(3)))
def sign(self: Operand) -> Action:
    """Infinite where the range meets 0, else Between(0, 0)."""
    return _steps(self, torch.sign)


@rule(aten.floor.default, Example(Variable(2, 5)))
def floor(self: Operand) -> Action:
    """Infinite where the range meets an integer from below, else Between(0, 0)."""
    return _steps(self, torch.floor)


@rule(aten.ceil.default, Example(Variable(2, 5)))
def ceil(self: Operand) -> Action:
    """Infinite where the range meets an integer from above, else Between(0, 0)."""
    return _steps(self, torch.ceil)


@rule(aten.trunc.default, Example(Variable(2, 5)))
@rule(aten.fix.default, Example(Variable(3)))
def trunc(self: Operand) -> Action:
    """Infinite where the range meets an integer other than 0, else Between(0, 0)."""
    return _steps(self, torch.trunc)


@rule(aten.round.default, Example(Variable(2, 5)))
def round_to_integer(self: Operand) -> Action:
    """Infinite where the range crosses the middle between two integers, else Between(0, 0)."""
    return _steps(self, torch.round)


@rule(rounds_within_half, Example(Variable(2, 5)))
def left_out_rounding(self: Operand) -> Action:
    """Exact: the identity, on a range that holds what rounding makes of it as well."""
    return Action(((self, Exact(Identity(self.shape))),), self.range.widen(absolute=0.5))


@rule(
    aten.round.decimals,
    Example(Variable(2, 5), decimals=1),
    Example(Variable(3, lo=-99.0, hi=99.0), decimals=-1),
)
@rule(aten.special_round.default, Example(Variable(3), decimals=0))
def round_to_decimals(self: Operand, decimals: int) -> Action:
    """Infinite where two ends of the range round differently, else Between(0, 0)."""
    return _steps(self, lambda x: torch.round(x, decimals=decimals))


@rule(
    aten.floor_divide.default,
    Example(Variable(2, 5), Constant(5)),
    Example(Variable(3), Constant()),
)
def floor_divide(self: Operand, other: Tensor) -> Action:
    """Infinite where both ends of the range have different quotients, else Between(0, 0)."""
    require_constant(other=other)
    return _steps(self, lambda x: torch.floor_divide(x, other))


@rule(aten.floor_divide.Scalar, Example(Variable(2, 5), 0.7))
def floor_divide_by_number(self: Operand, other: float) -> Action:
    """Infinite where both ends of the range have different quotients, else Between(0, 0)."""
    return _steps(self, lambda x: torch.floor_divide(x, other))


@rule(
    aten.div.Tensor_mode,
    Example(Variable(2, 5), Constant(5), rounding_mode="floor"),
    Example(Variable(3), Constant(2, 3), rounding_mode="trunc"),
)
def divide(self: Operand, other: Tensor, rounding_mode: str | None) -> Action:
    """Infinite where both ends of the range have different quotients, else Between(0, 0)."""
    require_constant(other=other)
    if rounding_mode is None:
        raise UnsupportedOperation(
            "division without rounding is torch.div(x, y): leave `rounding_mode` out"
        )
    return _steps(self, lambda x: torch.div(x, other, rounding_mode=rounding_mode))


@rule(aten.remainder.Tensor, Example(Variable(2, 5), Constant(5)), Example(Variable(3), Constant()))
def remainder_by_tensor(self: Operand, other: Tensor) -> Action:
    """Between(1, 1) where the range lies within one period, else infinite."""
    require_constant(other=other)
    return _remainder(self, other.double())


@rule(aten.remainder.Scalar, Example(Variable(2, 5), 0.7), Example(Variable(3), -1.5))
def remainder(self: Operand, other: float) -> Action:
    """Between(1, 1) where the range lies within one period, else infinite."""
    return _remainder(self, torch.tensor(float(other), dtype=torch.float64))


def _remainder(x: Operand, period: Tensor) -> Action:
    """x - p floor(x / p): an interval shorter than p lies within one period if the remainders keep
    their order."""
    lo, hi = x.range.ends()
    first = torch.remainder(lo, period)
    last = torch.remainder(hi, period)
    inside = (hi - lo < period.abs()) & ((first < last) | (lo == hi))
    least = period.clamp(max=0.0)
    most = period.clamp(min=0.0)
    ends = Interval(least, most)
    return _sawtooth(x, inside, Interval(first, last), ends, period)


@rule(aten.fmod.Tensor, Example(Variable(2, 5), Constant(5)), Example(Variable(3), Constant()))
def fmod_by_tensor(self: Operand, other: Tensor) -> Action:
    """Between(1, 1) where the range lies within one period, else infinite."""
    require_constant(other=other)
    return _fmod(self, other.double())


@rule(aten.fmod.Scalar, Example(Variable(2, 5), 0.7), Example(Variable(3), -1.5))
def fmod(self: Operand, other: float) -> Action:
    """Between(1, 1) where the range lies within one period, else infinite."""
    return _fmod(self, torch.tensor(float(other), dtype=torch.float64))


@rule(aten.frac.default, Example(Variable(2, 5)))
def frac(self: Operand) -> Action:
    """Between(1, 1) where the range lies between two integers, else infinite."""
    return _fmod(self, torch.ones((), dtype=torch.float64))


def _fmod(x: Operand, period: Tensor) -> Action:
    """x - p trunc(x / p), exact in floating point; the period around 0 is (-p, p), and there it is
    x itself."""
    lo, hi = x.range.ends()
    size = period.abs()
    first = torch.fmod(lo, size)
    last = torch.fmod(hi, size)
    of_one_sign = (lo >= 0) | (hi <= 0)
    in_one_period = (hi - lo < size) & ((first < last) | (lo == hi))
    is_above = -size < lo
    is_below = hi < size
    around_zero = is_above & is_below
    inside = (of_one_sign & in_one_period) | around_zero
    least = torch.where(lo < 0, -size, 0.0)
    most = torch.where(hi > 0, size, 0.0)
    ends = Interval(least, most)
    return _sawtooth(x, inside, Interval(first, last), ends, period)


def _sawtooth(
    x: Operand, inside: Tensor, values: Interval, ends: Interval, period: Tensor
) -> Action:
    """x minus a constant where `inside` one period, else anything between the `ends`; undefined for
    period 0."""
    slopes = Interval(torch.where(inside, 1.0, -INF), torch.where(inside, 1.0, INF))
    values = values.widen(relative_error(3))
    defined = period != 0
    lo = torch.where(inside, values.lo, torch.where(defined, ends.lo, -INF))
    hi = torch.where(inside, values.hi, torch.where(defined, ends.hi, INF))
    shape = torch.broadcast_shapes(x.shape, inside.shape)
    return entrywise(x, slopes, Interval(lo, hi), shape)
