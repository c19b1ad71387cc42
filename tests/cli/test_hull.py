"""Boxes around bounds joined by `and` and `or`: exact in decimals, rounded outward at the end."""

from decimal import Decimal

import pytest

from autolip.cli.hull import Hull, decimal
from autolip.errors import InputError


def between(lo: str, hi: str, index: int = 0) -> Hull:
    hull = Hull.bound(index, ">=", Decimal(lo))
    hull.narrow(Hull.bound(index, "<=", Decimal(hi)))
    return hull


def name(index: int) -> str:
    return f"X_{index}"


def test_bounds_that_are_no_doubles_are_rounded_outward() -> None:
    box = between("0.1", "0.3").box(1, name)
    assert Decimal(box.lower[0]) <= Decimal("0.1") and Decimal(box.upper[0]) >= Decimal("0.3")
    assert Decimal(box.lower[0]) > Decimal("0.0999999999999999")
    exact = between("0.25", "0.5").box(1, name)
    assert (exact.lower, exact.upper) == ([0.25], [0.5])


def test_and_keeps_the_narrower_bound() -> None:
    hull = between("0", "2")
    hull.narrow(between("1", "3"))
    box = hull.box(1, name)
    assert (box.lower, box.upper) == ([1.0], [2.0])


def test_or_is_the_box_around_both_and_counts_them() -> None:
    box = Hull.around([between("0", "1"), between("3", "4")]).box(1, name)
    assert (box.lower, box.upper, box.joined) == ([0.0], [4.0], 2)


def test_an_alternative_that_nothing_satisfies_is_left_out() -> None:
    box = Hull.around([between("0", "1"), between("9", "8")]).box(1, name)
    assert (box.lower, box.upper, box.joined) == ([0.0], [1.0], 1)


def test_an_input_that_only_one_alternative_bounds_is_unbounded() -> None:
    both = Hull.around([between("0", "1"), between("0", "1", index=1)])
    with pytest.raises(InputError, match="X_0 has no lower bound: a box needs both"):
        both.box(1, name)


@pytest.mark.parametrize(
    ("text", "value"),
    [("0.1", Decimal("0.1")), ("-1e-3", Decimal("-0.001")), (".5", Decimal("0.5")), ("x", None)],
)
def test_numbers_are_exact(text: str, value: Decimal | None) -> None:
    assert decimal(text) == value


@pytest.mark.parametrize("text", ["1e99999", "1" * 2000, "0.1.2"])
def test_what_no_double_is_like_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="no decimal number, or has more digits"):
        decimal(text)


def test_a_bound_above_every_double_is_refused() -> None:
    with pytest.raises(InputError, match="larger than every double"):
        between("0", "1e400").box(1, name)
