"""Printed digits that keep the direction of an inequality."""

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal
from typing import assert_never

from autolip.errors import Refusal
from autolip.values import Estimate, Lower, Upper

VALUE_DIGITS = 6
"""Chosen: significant digits of a value."""

RATIO_DIGITS = 4
"""Chosen: significant digits of a ratio."""

SMALLEST_FIXED = -4
"""Chosen: the smallest decimal exponent of a number that is written without a power of ten."""

LARGEST_FIXED = 5
"""Chosen: the largest one."""


def digits_up(value: float, digits: int = VALUE_DIGITS) -> str:
    """The least decimal number of this many significant digits that is >= value: for upper
    bounds."""
    return _written(value, digits, ROUND_CEILING)


def digits_down(value: float, digits: int = VALUE_DIGITS) -> str:
    """The largest decimal number of this many significant digits that is <= value: for lower
    bounds."""
    return _written(value, digits, ROUND_FLOOR)


def digits_near(value: float, digits: int = VALUE_DIGITS) -> str:
    """The nearest decimal number of this many significant digits: for estimates, which are no
    bounds."""
    return _written(value, digits, ROUND_HALF_EVEN)


def delta_up(delta: float) -> str:
    """A failure probability, its shortest decimal form rounded up to two digits: 1e-9 stays
    1e-9."""
    return _plain(Context(prec=2, rounding=ROUND_CEILING).create_decimal(repr(delta)))


def digits_of(answer: Upper | Lower | Estimate | Refusal, digits: int = VALUE_DIGITS) -> str:
    """The number of an answer, an upper bound rounded up, a lower one down; "-" for a refusal."""
    if isinstance(answer, Refusal):
        return "-"
    return _written(answer.value, digits, _rounding(answer))


def ratio_of(answer: Upper | Lower | Estimate, lower: float) -> str:
    """The answer over a lower bound, rounded the same way from the exact quotient; "inf" where the
    lower bound alone is 0."""
    value = answer.value
    if value == lower:
        return "1"
    if lower == 0 or math.isinf(value):
        return "inf"
    if math.isinf(lower):
        return "0"
    context = Context(prec=RATIO_DIGITS, rounding=_rounding(answer))
    return _plain(context.divide(Decimal(value), Decimal(lower)))


def _rounding(answer: Upper | Lower | Estimate) -> str:
    """The direction that keeps what an answer claims."""
    match answer:
        case Upper():
            return ROUND_CEILING
        case Lower():
            return ROUND_FLOOR
        case Estimate():
            return ROUND_HALF_EVEN
        case _:
            assert_never(answer)


def _written(value: float, digits: int, rounding: str) -> str:
    if math.isinf(value):
        return "inf"
    return _plain(Context(prec=digits, rounding=rounding).create_decimal_from_float(value))


def _plain(number: Decimal) -> str:
    """Without trailing zeros; with a power of ten where the number is very large or small."""
    number = number.normalize()
    fixed = number == 0 or SMALLEST_FIXED <= number.adjusted() <= LARGEST_FIXED
    return f"{number:f}" if fixed else f"{number:e}"
