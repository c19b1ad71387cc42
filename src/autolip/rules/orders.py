"""Values that grow or fall without bound, next to powers and exponentials of the variable.

Divided by what dominates them, values are bounded, and so are their quotients and products (the
scale of powers and exponentials: G. H. Hardy, Orders of Infinity, 1910).
"""

import math
from dataclasses import dataclass, replace
from fractions import Fraction

import torch

from autolip.intervals import Interval, inverted

FALL = 8
"""Chosen: e^-w is known as w^-FALL where w is no multiple of the variable."""

FARTHEST = 2.0**40
"""Chosen: where such a w begins, at most."""

LOGS = 2.0**-48
"""Assumed of PyTorch's logarithms and exponentials, and proved of sums of two terms with them: what
they are off by, relatively to the terms."""

LEAST = 2.0**-1000
"""Assumed: what an exponential is off by absolutely, where it is next to underflow."""


NO_ORDER = (Fraction(0), Fraction(0))
"""That of what is bounded, and bounded away from 0."""


class UnknownOrder(Exception):
    """No power and exponential is known to bound a value."""


@dataclass(frozen=True)
class Scaled:
    """A function of t >= start: t^power e^(rate t) times what lies in `share`, which is bounded.

    Where a `line` (b, a) is given it is b + a t exactly.
    """

    start: float
    power: Fraction
    rate: Fraction
    share: Interval
    line: tuple[Fraction, Fraction] | None = None

    def __post_init__(self) -> None:
        if not bool(self.share.lo.isfinite().all() & self.share.hi.isfinite().all()):
            raise UnknownOrder

    @property
    def order(self) -> tuple[Fraction, Fraction]:
        """What decides which of two values dominates the other."""
        return self.rate, self.power

    @property
    def grows(self) -> bool:
        """Whether its scale tends to infinity."""
        return self.order > NO_ORDER

    @property
    def is_zero(self) -> bool:
        return not bool(self.share.lo.any() | self.share.hi.any())

    @property
    def whole(self) -> Interval:
        """Where its values lie; ends may be infinite."""
        return self.share * growth(self.start, self.power, self.rate)

    def on(self, power: Fraction, rate: Fraction) -> "Scaled":
        """The same on another scale."""
        further = self.power - power
        faster = self.rate - rate
        share = self.share * growth(self.start, further, faster)
        return Scaled(self.start, power, rate, share, self.line)

    def __add__(self, other: "Scaled") -> "Scaled":
        if self.is_zero or other.is_zero:
            return other if self.is_zero else self
        rate, power = max(self.order, other.order)
        one = self.on(power, rate)
        two = other.on(power, rate)
        share = one.share + two.share
        line = None
        if self.line is not None and other.line is not None:
            begins = self.line[0] + other.line[0]
            rises = self.line[1] + other.line[1]
            line = (begins, rises)
        return Scaled(self.start, power, rate, share, line)

    def __mul__(self, other: "Scaled") -> "Scaled":
        if self.is_zero or other.is_zero:
            return constant(self.start, _interval(0.0, 0.0), Fraction(0))
        line = None
        for one, factor in ((self, other), (other, self)):
            if one.line is not None and factor.line is not None and factor.line[1] == 0:
                line = (one.line[0] * factor.line[0], one.line[1] * factor.line[0])
        power = self.power + other.power
        rate = self.rate + other.rate
        share = self.share * other.share
        return Scaled(self.start, power, rate, share, line)

    def __neg__(self) -> "Scaled":
        line = None if self.line is None else (-self.line[0], -self.line[1])
        return replace(self, share=-self.share, line=line)

    def inverse(self) -> "Scaled":
        """1 over it."""
        line = None
        if self.line is not None and self.line[1] == 0 and self.line[0] != 0:
            line = (1 / self.line[0], Fraction(0))
        return Scaled(self.start, -self.power, -self.rate, inverted(self.share), line)

    def power_of(self, n: Fraction) -> "Scaled":
        """Its n-th power, where it is positive."""
        if not bool((self.share.lo > 0).all()):
            raise UnknownOrder
        number = float(n)
        first = self.share.lo.log() * number
        last = self.share.hi.log() * number
        size = torch.maximum(first.abs(), last.abs())
        slack = LOGS * (1 + size)
        below = torch.minimum(first, last) - slack
        above = torch.maximum(first, last) + slack
        share = Interval(below.exp(), above.exp()).widen(LOGS, LEAST)
        return Scaled(self.start, n * self.power, n * self.rate, share)


def growth(start: float, power: Fraction, rate: Fraction) -> Interval:
    """Where t^power e^(rate t) lies for t >= start > 0: it turns at -power / rate, if at all."""
    if power == rate == 0:
        return _interval(1.0, 1.0)
    turn = float(-power / rate) if rate else 0.0
    extreme = _at(max(start, turn), power, rate)
    if (rate, power) < NO_ORDER:
        return Interval(torch.zeros_like(extreme.hi), extreme.hi)
    largest = torch.finfo(torch.float64).max
    return Interval(extreme.lo.clamp(max=largest), torch.full_like(extreme.hi, math.inf))


def _at(t: float, power: Fraction, rate: Fraction) -> Interval:
    """t^power e^(rate t) at one t, or next to it where it turns there: the value is off by the
    square of that."""
    of_power = float(power) * math.log(t)
    of_rate = float(rate) * t
    slack = LOGS * (abs(of_power) + abs(of_rate))
    whole = of_power + of_rate
    ends = _interval(whole - slack, whole + slack)
    return Interval(ends.lo.exp(), ends.hi.exp()).widen(LOGS, LEAST)


def exponential(u: Scaled) -> Scaled:
    """e^u: exactly on its scale where u is a line, a power that falls where u falls."""
    if u.line is not None:
        b, a = u.line
        near = float(b)
        slack = LOGS * abs(near)
        ends = _interval(near - slack, near + slack)
        share = Interval(ends.lo.exp(), ends.hi.exp())
        return Scaled(u.start, Fraction(0), a, share.widen(LOGS, LEAST))
    whole = u.whole
    if u.grows and bool((u.share.hi < 0).all()):
        return _falling(u)
    share = Interval(whole.lo.exp(), whole.hi.exp()).widen(LOGS, LEAST)
    return constant(u.start, Interval(share.lo.clamp(min=0), share.hi))


def _falling(u: Scaled) -> Scaled:
    """e^u where w = -u grows: at most w^-k sup w^k e^-w, which is at k, or where w begins."""
    size = -u.share.hi
    least = (-u.whole).lo
    turn = least.clamp(min=FALL, max=FARTHEST)
    times = turn / size
    logs = FALL * times.log()
    slack = LOGS * (1 + logs.abs() + turn)
    whole = logs - turn
    above = (whole + slack).exp()
    around = Interval(above, above).widen(LOGS, LEAST)
    share = Interval(torch.zeros_like(above), around.hi)
    return Scaled(u.start, -FALL * u.power, -FALL * u.rate, share)


def logarithm(u: Scaled) -> Scaled:
    """log u of what is positive: bounded, or next to t."""
    if not bool((u.share.lo > 0).all()) or u.start < math.e:
        raise UnknownOrder
    if u.order == NO_ORDER:
        return constant(u.start, _log(u.share))
    here = _interval(u.start, u.start)
    upto = _interval(0.0, 1.0)  # of what 1 / t and log t / t are at the start: both fall
    inverse = upto * inverted(here)
    quotient = _log(here) * inverted(here)
    logs = upto * quotient
    of_share = _log(u.share) * inverse
    of_power = _number(u.power) * logs
    share = _number(u.rate) + of_power + of_share
    return Scaled(u.start, Fraction(1), Fraction(0), share)


def _log(x: Interval) -> Interval:
    return Interval(x.lo.log(), x.hi.log()).widen(relative=LOGS, absolute=LOGS)


def _number(value: Fraction) -> Interval:
    near = float(value)
    return _interval(near, near).widen()


def _interval(lo: float, hi: float) -> Interval:
    return Interval(torch.tensor(lo, dtype=torch.float64), torch.tensor(hi, dtype=torch.float64))


def constant(start: float, value: Interval, exactly: Fraction | None = None) -> Scaled:
    """What does not depend on t."""
    line = None if exactly is None else (exactly, Fraction(0))
    return Scaled(start, Fraction(0), Fraction(0), value, line)
