"""Values next to powers and exponentials: what is computed holds at every t, and close to it."""

import math
from collections.abc import Callable
from fractions import Fraction

import pytest
import torch
from mpmath import exp, log, mp, mpf

from autolip.intervals import Interval
from autolip.rules.orders import (
    Scaled,
    UnknownOrder,
    constant,
    exponential,
    growth,
    logarithm,
)

START = 8.0
PLACES = [START * (1 + 1e-12), 8.5, 11.0, 40.0, 300.0]
ORDERS = [
    (0, 0),
    (1, 0),
    (-2, 0),
    (Fraction(1, 2), 0),
    (3, -1),
    (-3, 1),
    (0, -2),
    (5, Fraction(-1, 8)),
]
mp.dps = 60


def _scale(t: float, power: Fraction, rate: Fraction) -> mpf:
    p, q = (mpf(x.numerator) / x.denominator for x in (Fraction(power), Fraction(rate)))
    return exp(p * log(mpf(t)) + q * mpf(t))


def _interval(lo: float, hi: float) -> Interval:
    return Interval(*torch.tensor([lo, hi], dtype=torch.float64))


def _scaled(power: Fraction | int, rate: Fraction | int, lo: float, hi: float) -> Scaled:
    return Scaled(START, Fraction(power), Fraction(rate), _interval(lo, hi))


def _holds(found: Scaled, t: float, value: mpf) -> bool:
    share = value / _scale(t, found.power, found.rate)
    lo, hi = mpf(found.share.lo.item()), mpf(found.share.hi.item())
    return bool(lo - mpf(10) ** -50 <= share <= hi + mpf(10) ** -50)


@pytest.mark.parametrize("order", ORDERS)
def test_growth_is_its_range(order: tuple[Fraction, Fraction]) -> None:
    """Contains it, and one end is attained to 2^-40."""
    found = growth(START, Fraction(order[0]), Fraction(order[1]))
    lo, hi = found.lo.item(), found.hi.item()
    turn = -order[0] / order[1] if order[1] else 0
    values = [_scale(t, *order) for t in [*PLACES, max(START, float(turn))]]
    assert all(mpf(lo) <= value <= mpf(hi) for value in values)
    end = max(values) if hi < math.inf else min(values)
    assert float(end) == pytest.approx(hi if hi < math.inf else lo, rel=2.0**-40)


@pytest.mark.parametrize("one", ORDERS)
@pytest.mark.parametrize("two", ORDERS)
def test_sums_and_products(one: tuple[Fraction, Fraction], two: tuple[Fraction, Fraction]) -> None:
    a, b = _scaled(*one, -0.75, 1.5), _scaled(*two, 0.25, 3.0)
    for t in PLACES:
        for x in (-0.75, 1.5):
            for y in (0.25, 3.0):
                p, q = mpf(x) * _scale(t, *one), mpf(y) * _scale(t, *two)
                assert _holds(a + b, t, p + q)
                assert _holds(a * b, t, p * q)
                assert _holds(a * b.inverse(), t, p / q)
                assert _holds(-a, t, -p)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("lo", "hi"), [(0.25, 0.5), (1.0, 1.0), (3.0, 5.0)])
def test_logarithms_and_powers(order: tuple[Fraction, Fraction], lo: float, hi: float) -> None:
    a = _scaled(*order, lo, hi)
    root, cube = a.power_of(Fraction(1, 2)), a.power_of(Fraction(-3))
    for t in PLACES:
        for x in (lo, hi):
            value = mpf(x) * _scale(t, *order)
            assert _holds(logarithm(a), t, log(value))
            assert _holds(root, t, value ** (mpf(1) / 2))
            assert _holds(cube, t, 1 / value**3)


FALLING: dict[str, tuple[Scaled, Callable[[mpf], mpf]]] = {
    "a line": (
        Scaled(START, Fraction(1), Fraction(0), _interval(-3.0, -2.0), (Fraction(3), Fraction(-3))),
        lambda t: 3 - 3 * t,
    ),
    "a rising line": (
        Scaled(START, Fraction(1), Fraction(0), _interval(1.0, 1.5), (Fraction(1, 3), Fraction(1))),
        lambda t: mpf(1) / 3 + t,
    ),
    "a square": (_scaled(2, 0, -1.0, -0.5), lambda t: -t * t / 2),
    "a slow root": (_scaled(Fraction(1, 2), 0, -2.0, -1.0), lambda t: -(t ** (mpf(1) / 2))),
    "exponentially": (_scaled(0, 1, -2.0, -1.0), lambda t: -exp(t)),
    "bounded": (_scaled(-1, 0, -2.0, 1.0), lambda t: 1 / t),
}


@pytest.mark.parametrize("name", FALLING)
def test_exponentials(name: str) -> None:
    u, value = FALLING[name]
    assert all(_holds(exponential(u), t, exp(value(mpf(t)))) for t in PLACES)


def test_what_may_rise_or_be_negative_is_unknown() -> None:
    with pytest.raises(UnknownOrder):
        exponential(_scaled(2, 0, -1.0, 1.0))
    with pytest.raises(UnknownOrder):
        logarithm(_scaled(1, 0, -1.0, 1.0))
    with pytest.raises(UnknownOrder):
        _scaled(1, 0, 0.0, 1.0).inverse()
    with pytest.raises(UnknownOrder):
        _scaled(1, 0, 0.0, 1.0).power_of(Fraction(1, 2))


def test_lines_are_exact() -> None:
    t = Scaled(START, Fraction(1), Fraction(0), _interval(1.0, 1.0), (Fraction(0), Fraction(1)))
    third = constant(START, _interval(0.3, 0.4), Fraction(1, 3))
    assert ((t + third) * third + -t).line == (Fraction(1, 9), Fraction(-2, 3))
    assert (t * t).line is None
    assert third.inverse().line == (Fraction(3), Fraction(0))
