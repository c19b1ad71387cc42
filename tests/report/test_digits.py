"""Printed digits never move an upper bound down or a lower bound up."""

import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autolip.errors import Refusal
from autolip.report.digits import (
    delta_up,
    digits_down,
    digits_near,
    digits_of,
    digits_up,
    ratio_of,
)
from autolip.values import Estimate, Lower, Upper

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
    down, up = ratio_of(Lower(value), lower), ratio_of(Upper(value), lower)
    assert Fraction(down) <= exact <= Fraction(up)
    assert float(ratio_of(Estimate(value), lower)) == pytest.approx(float(exact), rel=1e-3)


@given(norms)
def test_an_answer_is_rounded_in_its_direction(value: float) -> None:
    assert digits_of(Upper(value)) == digits_up(value)
    assert digits_of(Lower(value)) == digits_down(value)
    assert digits_of(Estimate(value)) == digits_near(value)
    assert digits_of(Refusal("no")) == "-"


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
    assert ratio_of(Upper(0.0), 0.0) == "1"
    assert ratio_of(Upper(2.0), 0.0) == "inf"
    assert ratio_of(Upper(math.inf), 2.0) == "inf"
    assert ratio_of(Lower(2.0), math.inf) == "0"
    assert ratio_of(Upper(math.inf), math.inf) == "1"


def test_probabilities_are_rounded_up_from_their_shortest_form() -> None:
    assert delta_up(1e-9) == "1e-9"
    assert delta_up(3.3333333e-11) == "3.4e-11"
