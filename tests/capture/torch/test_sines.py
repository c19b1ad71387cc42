"""Coefficients with sines and cosines are equal where the identities make them so."""

import math
from fractions import Fraction

import pytest

from autolip.capture.torch.sines import (
    Angle,
    Coefficient,
    cosine,
    number,
    scaled,
    sine,
    symbol,
    turned,
)

T: Angle = (("t", Fraction(1)),)
HALF: Angle = (("t", Fraction(1, 2)),)
U: Angle = (("u", Fraction(3)),)


def value(of: Coefficient, **constants: float) -> float:
    total = 0.0
    for (names, odd, angle), share in of.terms.items():
        turn = sum(float(part) * constants[name] for name, part in angle)
        wave = math.sin(turn) if odd else math.cos(turn)
        total += float(share) * math.prod(constants[name] for name in names) * wave
    return total


def test_double_angles_and_the_unit_circle() -> None:
    s, c = sine(HALF), cosine(HALF)
    assert cosine(T) == number(1) - scaled(s * s, Fraction(2))
    assert sine(T) == scaled(s * c, Fraction(2))
    assert s * s + c * c == number(1)
    assert sine(turned((), T, -1)) == -sine(T)
    assert cosine(turned((), T, -1)) == cosine(T)
    assert sine(()) == Coefficient()


@pytest.mark.parametrize("one", [sine(T), cosine(T), symbol("v"), number(3), sine(U) + symbol("t")])
@pytest.mark.parametrize("two", [sine(U), cosine(T), symbol("v"), sine(HALF) - number(2)])
def test_sums_and_products_have_the_values_of_theirs(one: Coefficient, two: Coefficient) -> None:
    constants = {"t": 0.7, "u": -1.3, "v": 2.5}
    a, b = value(one, **constants), value(two, **constants)
    assert value(one * two, **constants) == pytest.approx(a * b, abs=1e-14)
    assert value(one - two, **constants) == pytest.approx(a - b, abs=1e-14)
    assert one * two == two * one
