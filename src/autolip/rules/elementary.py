"""Elementary functions: exponentials, logarithms, trigonometric and hyperbolic functions and their
inverses.

Most of them are evaluated to a few units in the last place, whatever their size: `absolute=TINY`
says so.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from autolip.errors import InputError
from autolip.intervals import Interval
from autolip.roundoff import TINY
from autolip.rules.derive import entrywise
from autolip.rules.rule import Action, Example, Operand, Pointwise, Turn, Variable, rule

aten = torch.ops.aten
INF = math.inf


@rule(aten.exp.default, Example(Variable(2, 5)))
def exp(self: Operand) -> Pointwise:
    """Between(0, inf); finite where the range is bounded above."""
    return Pointwise(
        self,
        torch.exp,
        torch.exp,
        (0.0, INF),
        (0.0, INF),
        absolute=TINY,
        values_within=(0.0, INF),
        slopes_within=(0.0, INF),
    )


@rule(aten.expm1.default, Example(Variable(2, 5)))
@rule(aten.special_expm1.default, Example(Variable(3)))
def expm1(self: Operand) -> Pointwise:
    """Between(0, inf); finite where the range is bounded above."""
    return Pointwise(
        self,
        torch.expm1,
        torch.exp,
        (-1.0, INF),
        (0.0, INF),
        absolute=TINY,
        values_within=(-1.0, INF),
        slopes_within=(0.0, INF),
    )


@rule(aten.exp2.default, Example(Variable(2, 5)))
@rule(aten.special_exp2.default, Example(Variable(3)))
def exp2(self: Operand) -> Pointwise:
    """Between(0, inf); finite where the range is bounded above."""
    return _exponential(self, 2.0, torch.exp2)


@rule(
    aten.pow.Scalar,
    Example(2, Variable(2, 5)),
    Example(0.3, Variable(3)),
    Example(1.0, Variable(3)),
)
def exponential(self: float, exponent: Operand) -> Pointwise:
    """Between(0, inf) for a base above 1, Between(-inf, 0) below; finite where the range is bounded
    on that side."""
    if self <= 0:
        raise InputError(
            f"the base of the power is {self}: only a positive one is defined for every exponent"
        )
    return _exponential(exponent, float(self), lambda x: torch.pow(self, x))


def _exponential(x: Operand, base: float, value: Callable[[Tensor], Tensor]) -> Pointwise:
    """base^x, slope log(base) base^x."""
    rate = math.log(base)
    limits = (1.0, 1.0) if rate == 0 else (0.0, INF) if rate > 0 else (INF, 0.0)
    slopes = (0.0, 0.0) if rate == 0 else (0.0, INF) if rate > 0 else (-INF, 0.0)
    return Pointwise(
        x,
        value,
        lambda x: rate * value(x),
        limits,
        slopes,
        absolute=TINY,
        values_within=(0.0, INF),
        slopes_within=slopes,
    )


def _logarithm(
    x: Operand, value: Callable[[Tensor], Tensor], unit: float, start: float = 0.0
) -> Pointwise:
    """log(x - start) / unit, slope 1 / (unit (x - start))."""
    return Pointwise(
        x,
        value,
        lambda x: 1 / (unit * (x - start)),
        (-INF, INF),
        (INF, 0.0),
        domain=(start, INF),
        absolute=TINY,
        slopes_within=(0.0, INF),
    )


@rule(aten.log.default, Example(Variable(2, 5, lo=0.1)))
def log(self: Operand) -> Pointwise:
    """Between(0, inf); finite where the range is above 0."""
    return _logarithm(self, torch.log, 1.0)


@rule(aten.log2.default, Example(Variable(2, 5, lo=0.1)))
def log2(self: Operand) -> Pointwise:
    """Between(0, inf); finite where the range is above 0."""
    return _logarithm(self, torch.log2, math.log(2))


@rule(aten.log10.default, Example(Variable(2, 5, lo=0.1)))
def log10(self: Operand) -> Pointwise:
    """Between(0, inf); finite where the range is above 0."""
    return _logarithm(self, torch.log10, math.log(10))


@rule(aten.log1p.default, Example(Variable(2, 5, lo=-0.9)))
@rule(aten.special_log1p.default, Example(Variable(3, lo=-0.9)))
def log1p(self: Operand) -> Pointwise:
    """Between(0, inf); finite where the range is above -1."""
    return _logarithm(self, torch.log1p, 1.0, start=-1.0)


def _wave(x: Interval, function: Callable[[Tensor], Tensor], peak: float) -> Interval:
    """Range of a sine whose maxima are at peak + 2 pi k: its ends, and 1 or -1 where an extreme may
    lie inside.

    Positions count in turns, blurred by far more than they are rounded; a peak beyond the end by
    that much adds less than 1e-15 to the range.
    """
    lo = function(x.lo)
    hi = function(x.hi)
    top = _meets(x, peak, 2 * math.pi)
    opposite = peak + math.pi
    bottom = _meets(x, opposite, 2 * math.pi)
    smaller = torch.minimum(lo, hi)
    least = smaller.nan_to_num(-1.0)
    larger = torch.maximum(lo, hi)
    most = larger.nan_to_num(1.0)
    low = torch.where(bottom, -1.0, least)
    high = torch.where(top, 1.0, most)
    return Interval((low - 2.0**-48).clamp(min=-1.0), (high + 2.0**-48).clamp(max=1.0))


def _meets(x: Interval, point: float, period: float) -> Tensor:
    """Whether an interval may contain point + period k for some integer k."""
    first = (x.lo - point) / period
    last = (x.hi - point) / period
    size = torch.maximum(first.abs(), last.abs())
    relative = 2.0**-50 * size
    blur = 2.0**-30 + relative
    return (torch.ceil(first - blur) <= torch.floor(last + blur)) | ~(last - first).isfinite()


@rule(aten.sin.default, Example(Variable(2, 5)))
def sin(self: Operand) -> Action:
    """Between(-1, 1)."""
    x = Interval(*self.range.ends())
    return entrywise(self, _wave(x, torch.cos, 0.0), _wave(x, torch.sin, math.pi / 2))


@rule(aten.cos.default, Example(Variable(2, 5)))
def cos(self: Operand) -> Action:
    """Between(-1, 1)."""
    x = Interval(*self.range.ends())
    return entrywise(
        self, _wave(x, lambda x: -torch.sin(x), -math.pi / 2), _wave(x, torch.cos, 0.0)
    )


@rule(aten.tan.default, Example(Variable(2, 5, lo=-1.5, hi=1.5)))
def tan(self: Operand) -> Action:
    """Infinite where the range meets a pole, else Between(1, 1 + max tan^2)."""
    x = Interval(*self.range.ends())
    lo = torch.tan(x.lo)
    hi = torch.tan(x.hi)
    pole = _meets(x, math.pi / 2, math.pi)
    flat = _meets(x, 0.0, math.pi)
    below = 1 + lo**2
    above = 1 + hi**2
    ends = torch.stack([below, above])
    values = Interval(torch.where(pole, -INF, lo), torch.where(pole, INF, hi)).widen(
        2.0**-48, 2.0**-48
    )
    least = torch.where(flat, 1.0, ends.amin(0) * (1 - 2.0**-47)).clamp(min=1.0)
    raised = 1 + 2.0**-47
    most = ends.amax(0) * raised
    lowest = torch.where(pole, -INF, least)
    highest = torch.where(pole, INF, most)
    slopes = Interval(lowest, highest)
    return entrywise(self, slopes, values)


@rule(aten.asin.default, Example(Variable(2, 5, lo=-0.9, hi=0.9)))
@rule(aten.arcsin.default, Example(Variable(3, lo=-0.9, hi=0.9)))
def asin(self: Operand) -> Pointwise:
    """Between(1, inf); finite inside (-1, 1)."""
    half = math.pi / 2
    return Pointwise(
        self,
        torch.asin,
        lambda x: torch.rsqrt((1 - x) * (1 + x)),
        (-half, half),
        (INF, INF),
        slope_turns=(Turn(0.0),),
        domain=(-1.0, 1.0),
        slopes_within=(1.0, INF),
    )


@rule(aten.acos.default, Example(Variable(2, 5, lo=-0.9, hi=0.9)))
@rule(aten.arccos.default, Example(Variable(3, lo=-0.9, hi=0.9)))
def acos(self: Operand) -> Pointwise:
    """Between(-inf, -1); finite inside (-1, 1)."""
    return Pointwise(
        self,
        torch.acos,
        lambda x: -torch.rsqrt((1 - x) * (1 + x)),
        (math.pi, 0.0),
        (-INF, -INF),
        slope_turns=(Turn(0.0),),
        domain=(-1.0, 1.0),
        slopes_within=(-INF, -1.0),
    )


@rule(aten.atan.default, Example(Variable(2, 5)))
@rule(aten.arctan.default, Example(Variable(3)))
def atan(self: Operand) -> Pointwise:
    """Between(0, 1)."""
    half = math.pi / 2
    return Pointwise(
        self,
        torch.atan,
        lambda x: 1 / (1 + x * x),
        (-half, half),
        (0.0, 0.0),
        slope_turns=(Turn(0.0),),
        slopes_within=(0.0, 1.0),
    )


@rule(aten.sinh.default, Example(Variable(2, 5)))
def sinh(self: Operand) -> Pointwise:
    """Between(1, inf); finite where the range is bounded."""
    return Pointwise(
        self,
        torch.sinh,
        torch.cosh,
        (-INF, INF),
        (INF, INF),
        slope_turns=(Turn(0.0),),
        absolute=TINY,
        slopes_within=(1.0, INF),
    )


@rule(aten.cosh.default, Example(Variable(2, 5)))
def cosh(self: Operand) -> Pointwise:
    """Between(sinh(lo), sinh(hi)) on [lo, hi]."""
    return Pointwise(
        self,
        torch.cosh,
        torch.sinh,
        (INF, INF),
        (-INF, INF),
        value_turns=(0.0,),
        absolute=TINY,
        values_within=(1.0, INF),
    )


@rule(aten.asinh.default, Example(Variable(2, 5)))
@rule(aten.arcsinh.default, Example(Variable(3)))
def asinh(self: Operand) -> Pointwise:
    """Between(0, 1)."""
    return Pointwise(
        self,
        torch.asinh,
        lambda x: 1 / torch.hypot(torch.ones_like(x), x),
        (-INF, INF),
        (0.0, 0.0),
        slope_turns=(Turn(0.0),),
        slopes_within=(0.0, 1.0),
    )


@rule(aten.acosh.default, Example(Variable(2, 5, lo=1.1, hi=4.0)))
@rule(aten.arccosh.default, Example(Variable(3, lo=1.1, hi=4.0)))
def acosh(self: Operand) -> Pointwise:
    """Between(0, inf); finite where the range is above 1."""
    return Pointwise(
        self,
        torch.acosh,
        lambda x: torch.rsqrt(x - 1) * torch.rsqrt(x + 1),
        (0.0, INF),
        (INF, 0.0),
        domain=(1.0, INF),
        values_within=(0.0, INF),
        slopes_within=(0.0, INF),
    )


@rule(aten.atanh.default, Example(Variable(2, 5, lo=-0.9, hi=0.9)))
@rule(aten.arctanh.default, Example(Variable(3, lo=-0.9, hi=0.9)))
def atanh(self: Operand) -> Pointwise:
    """Between(1, inf); finite inside (-1, 1)."""
    return Pointwise(
        self,
        torch.atanh,
        lambda x: 1 / ((1 - x) * (1 + x)),
        (-INF, INF),
        (INF, INF),
        slope_turns=(Turn(0.0),),
        domain=(-1.0, 1.0),
        slopes_within=(1.0, INF),
    )


@rule(aten.erf.default, Example(Variable(2, 5)))
@rule(aten.special_erf.default, Example(Variable(3)))
def erf(self: Operand) -> Pointwise:
    """Between(0, 2/sqrt(pi))."""
    return _error_function(self, torch.erf, 1.0, (-1.0, 1.0))


@rule(aten.erfc.default, Example(Variable(2, 5)))
@rule(aten.special_erfc.default, Example(Variable(3)))
def erfc(self: Operand) -> Pointwise:
    """Between(-2/sqrt(pi), 0)."""
    return _error_function(self, torch.erfc, -1.0, (2.0, 0.0))


def _error_function(
    x: Operand, value: Callable[[Tensor], Tensor], sign: float, limits: tuple[float, float]
) -> Pointwise:
    """Slope +- 2/sqrt(pi) exp(-x^2)."""
    height = sign * 2 / math.sqrt(math.pi)
    return Pointwise(
        x,
        value,
        lambda x: height * torch.exp(-x * x),
        limits,
        (0.0, 0.0),
        slope_turns=(Turn(0.0),),
        values_within=(min(limits), max(limits)),
        slopes_within=(0.0, INF) if sign > 0 else (-INF, 0.0),
    )
