"""Printed digits that keep the direction of an inequality."""

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal

VALUE_DIGITS = 6
RATIO_DIGITS = 4
SMALLEST_FIXED, LARGEST_FIXED = -4, 5
"""Decimal exponents between which a number is written without a power of ten."""


def digits_up(value: float, digits: int = VALUE_DIGITS) -> str:
    """The least decimal number of so many significant digits that is >= value: for upper bounds."""
    return _written(value, digits, ROUND_CEILING)


def digits_down(value: float, digits: int = VALUE_DIGITS) -> str:
    """The largest decimal number of so many significant digits that is <= value: for lower
    bounds."""
    return _written(value, digits, ROUND_FLOOR)


def digits_near(value: float, digits: int = VALUE_DIGITS) -> str:
    """The nearest decimal number of so many significant digits: for estimates, which are no
    bounds."""
    return _written(value, digits, ROUND_HALF_EVEN)


def delta_up(delta: float) -> str:
    """A failure probability, its shortest decimal form rounded up to two digits: 1e-9 stays
    1e-9."""
    return _plain(Context(prec=2, rounding=ROUND_CEILING).create_decimal(repr(delta)))


def ratio_up(upper: float, lower: float) -> str:
    """upper / lower, rounded up from the exact quotient; "inf" where lower is 0 and upper is
    not."""
    return _ratio(upper, lower, ROUND_CEILING)


def ratio_down(value: float, lower: float) -> str:
    """value / lower, rounded down from the exact quotient."""
    return _ratio(value, lower, ROUND_FLOOR)


def ratio_near(value: float, lower: float) -> str:
    """value / lower, to the nearest."""
    return _ratio(value, lower, ROUND_HALF_EVEN)


def _ratio(value: float, lower: float, rounding: str) -> str:
    if value == lower:
        return "1"
    if lower == 0 or math.isinf(value):
        return "inf"
    if math.isinf(lower):
        return "0"
    return _plain(
        Context(prec=RATIO_DIGITS, rounding=rounding).divide(Decimal(value), Decimal(lower))
    )


def _written(value: float, digits: int, rounding: str) -> str:
    if math.isinf(value):
        return "inf"
    return _plain(Context(prec=digits, rounding=rounding).create_decimal_from_float(value))


def _plain(number: Decimal) -> str:
    """Without trailing zeros; with a power of ten where the number is very large or small."""
    number = number.normalize()
    fixed = number == 0 or SMALLEST_FIXED <= number.adjusted() <= LARGEST_FIXED
    return f"{number:f}" if fixed else f"{number:e}"
