"""Directed scalars: outward rounding, union bound over distinct events, no mixing of directions."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autolip.values import (
    INFINITE,
    ONE,
    ZERO,
    Certainty,
    Estimate,
    Event,
    Lower,
    Upper,
    round_down,
    round_up,
)

sizes = st.floats(min_value=0, max_value=1e100, allow_nan=False)


@given(sizes, sizes)
def test_products_and_sums_round_outward(a: float, b: float) -> None:
    assert Fraction((Upper(a) * Upper(b)).value) >= Fraction(a) * Fraction(b)
    assert Fraction((Upper(a) + Upper(b)).value) >= Fraction(a) + Fraction(b)


@given(sizes)
def test_roots_round_outward(a: float) -> None:
    assert Fraction(Upper(a).sqrt().value) ** 2 >= Fraction(a)


@given(sizes)
def test_neutral_elements_are_exact(a: float) -> None:
    assert (Upper(a) * ONE).value == a
    assert (Upper(a) + ZERO).value == a


ends = st.sampled_from(
    [
        0.0,
        5e-324,
        2.0**-1074 * 3,
        2.0**-1022,
        2.0**-537,
        2.0**-538,
        1.0,
        2.0**512,
        1.7e308,
        math.inf,
    ]
)
anything = st.one_of(st.floats(min_value=0, allow_nan=False, allow_infinity=True), ends)


def exactly(a: float) -> Fraction | None:
    """The number; None for infinity."""
    return Fraction(a) if math.isfinite(a) else None


@given(anything, anything)
def test_the_whole_range_rounds_outward(a: float, b: float) -> None:
    """Sums and products beyond the largest double, below the smallest, and of infinity: never less
    than exact."""
    x, y = exactly(a), exactly(b)
    product, total = (Upper(a) * Upper(b)).value, (Upper(a) + Upper(b)).value
    if x == 0 or y == 0:
        assert product == 0
    elif x is None or y is None:
        assert product == math.inf
    else:
        assert product == math.inf or Fraction(product) >= x * y
    assert total == math.inf or (x is not None and y is not None and Fraction(total) >= x + y)


@given(anything)
def test_roots_of_the_whole_range_round_outward(a: float) -> None:
    root = Upper(a).sqrt().value
    assert root == math.inf if math.isinf(a) else Fraction(root) ** 2 >= Fraction(a)


@given(st.lists(anything, min_size=1, max_size=60))
def test_a_product_is_zero_only_if_a_factor_is(factors: list[float]) -> None:
    """However often it underflows on the way: a zero is a proof."""
    product = ONE
    for factor in factors:
        product = product * Upper(factor)
    assert (product.value == 0) == (0.0 in factors)
    assert (product * INFINITE).value == (0.0 if 0.0 in factors else math.inf)


def test_what_is_not_a_number_bounds_nothing() -> None:
    assert Upper.at_most(math.nan) == INFINITE and Upper.at_most(2.0) == Upper(2.0)


def test_zero_blocks_infinity() -> None:
    assert (ZERO * INFINITE).value == 0.0
    assert (INFINITE * ZERO).value == 0.0


@pytest.mark.parametrize("bad", [math.nan, -1.0, -math.inf])
def test_nonsense_is_refused_at_construction(bad: float) -> None:
    with pytest.raises(ValueError, match="number >= 0"):
        Upper(bad)
    with pytest.raises(ValueError, match="number >= 0"):
        Lower(bad)


@pytest.mark.parametrize("other", [Estimate(1.0), Lower(1.0), 1.0])
def test_only_uppers_enter_an_upper(other: object) -> None:
    with pytest.raises(TypeError, match="Upper combines with an Upper only"):
        Upper(1.0) * other  # type: ignore[operator]
    with pytest.raises(TypeError, match="Upper combines with an Upper only"):
        Upper(1.0) + other  # type: ignore[operator]


def test_an_event_used_twice_counts_once() -> None:
    event, other = Event("norm of conv1", 1e-9), Event("norm of conv1", 1e-9)
    a, b = Upper(2.0, frozenset({event})), Upper(3.0, frozenset({event, other}))
    assert (a * a).delta == 1e-9
    assert (a + b).delta == pytest.approx(2e-9)
    assert a.certainty is Certainty.CONFIDENT and ONE.certainty is Certainty.PROVED


def test_choosing_among_random_bounds_adds_their_probabilities() -> None:
    a, b = Upper(2.0, frozenset({Event("a", 1e-9)})), Upper(3.0, frozenset({Event("b", 1e-6)}))
    assert Upper.least([a, b]).delta == pytest.approx(1e-9 + 1e-6)
    assert Upper.least([a, b, Upper(1.5)]).certainty is Certainty.PROVED


def test_largest_of_none_is_zero() -> None:
    assert Upper.largest([]).value == 0.0
    assert Upper.largest([Upper(1.0), Upper(4.0)]).value == 4.0


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_step_up_is_above_and_a_step_down_below(value: float) -> None:
    assert round_down(value) < value < round_up(value)


def test_a_maximum_fails_where_any_of_its_bounds_does() -> None:
    first, second = Event("a", 1e-3), Event("b", 1e-2)
    largest = Upper.largest(
        [Upper(2.0, frozenset({first})), Upper(1.0, frozenset({second})), Upper(1.5)]
    )
    assert largest.value == 2.0 and largest.events == {first, second}
