"""Printed digits never move an upper bound down or a lower bound up."""

import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autolip.report.digits import (
    delta_up,
    digits_down,
    digits_near,
    digits_up,
    ratio_down,
    ratio_near,
    ratio_up,
)

norms = st.floats(min_value=0, allow_nan=False, allow_infinity=False)
positive = st.floats(min_value=1e-140, max_value=1e140)


@given(norms)
def test_directions_hold_exactly_and_cost_less_than_a_digit(value: float) -> None:
    exact, up, down = Decimal(value), Decimal(digits_up(value)), Decimal(digits_down(value))
    assert down <= exact <= up
    assert up - exact <= exact * Decimal("1e-5")
    assert exact - down <= exact * Decimal("1e-5")
    assert min(up - exact, exact - down) == abs(Decimal(digits_near(value)) - exact)


@given(positive, positive)
def test_ratios_hold_exactly(value: float, lower: float) -> None:
    exact = Fraction(value) / Fraction(lower)
    assert Fraction(ratio_down(value, lower)) <= exact <= Fraction(ratio_up(value, lower))
    assert float(ratio_near(value, lower)) == pytest.approx(float(exact), rel=1e-3)


@pytest.mark.parametrize(
    ("value", "up", "down"),
    [
        (0.0, "0", "0"),
        (1.0, "1", "1"),
        (0.1, "0.100001", "0.1"),
        (28.04123456, "28.0413", "28.0412"),
        (123456.0, "123456", "123456"),
        (1234567.0, "1.23457e+6", "1.23456e+6"),
        (1.5e-9, "1.5e-9", "1.49999e-9"),
        (5e-324, "4.94066e-324", "4.94065e-324"),
        (math.inf, "inf", "inf"),
    ],
)
def test_written_plainly(value: float, up: str, down: str) -> None:
    assert (digits_up(value), digits_down(value)) == (up, down)


def test_ratios_at_the_ends() -> None:
    assert ratio_up(0.0, 0.0) == "1"
    assert ratio_up(2.0, 0.0) == "inf"
    assert ratio_up(math.inf, 2.0) == "inf"
    assert ratio_down(2.0, math.inf) == "0"
    assert ratio_up(math.inf, math.inf) == "1"


def test_probabilities_are_rounded_up_from_their_shortest_form() -> None:
    assert delta_up(1e-9) == "1e-9"
    assert delta_up(3.3333333e-11) == "3.4e-11"
