"""One rule for every number of a certificate: finite, and 0 or between 2^-250 and 2^250 in size.

A product of three such numbers, and of two with the square of a third, is then a normal float64 or
0, and 0 only where a factor is.  What is multiplied more often is checked again after every product
(`admitted`), or carries the allowance for underflow that `maps` and `forms` derive.  Comparisons
are written so that NaN fails them.
"""

import math
import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from autolip_check.container import Array, require

LEAST = 2.0**-250
"""Proved above: no product of four such numbers underflows (2^-1000 is a normal number)."""

LARGEST = 2.0**250
"""Proved above: no product of four such numbers overflows."""

MOST = float(np.finfo(np.float64).max)
"""Defined by IEEE 754."""

LARGEST_TENSOR = 2**28
"""Tuned: entries of a computed tensor, and of all values of the network together (2 GiB)."""

AT_ONCE = 2**16
"""Chosen: entries of an array that are looked at together, half a megabyte."""

LONGEST_TEXT = 100
"""Tuned: characters of a name that are repeated in a sentence."""


def number(value: Any) -> float:
    """An admitted number: an int or a float of JSON (bool is neither)."""
    require(type(value) in (int, float), f"{quoted(value)} is not a number")
    require(abs(value) <= LARGEST, f"{quoted(value)} is too large, or not a number")
    require(value == 0 or abs(value) >= LEAST, f"{quoted(value)} is too small: it is below 2^-250")
    return _exactly(value)


def finite(value: Any) -> float:
    """A finite number that enters no product in float64: a claim."""
    require(type(value) in (int, float), f"{quoted(value)} is not a number")
    require(abs(value) <= MOST, f"{quoted(value)} is not finite")
    return _exactly(value)


def _exactly(value: float) -> float:
    """The same number as a double: an integer of more than 53 bits may be none."""
    require(float(value) == value, f"{quoted(value)} is not a number of double precision")
    return float(value)


def admitted(numbers: Array) -> Array:
    """The same array, every entry of it admitted; looked at in parts, without a copy of all."""
    flat = np.asarray(numbers).reshape(-1)
    for start in range(0, len(flat), AT_ONCE):
        sizes = np.abs(flat[start : start + AT_ONCE])
        known = (sizes >= LEAST) | (sizes == 0)
        require(bool((sizes <= LARGEST).all()), "a number is too large, or not a number")
        require(bool(known.all()), "a number is too small: it is below 2^-250")
    return numbers


def product(factor: Array, other: Array) -> Array:
    """The products of admitted numbers, admitted as well: none underflows to 0."""
    return admitted(factor * other)


def relative_error(value: Any) -> float:
    """How far a number may be off, relatively, in units of 2^-53."""
    error = number(value)
    require(0 <= error < 1e-3, f"{quoted(value)} is no relative error")
    return error * 2.0**53


def positive(numbers: Array, what: str) -> Array:
    """The same array, every entry admitted and above 0."""
    require(bool((admitted(numbers) > 0).all()), f"{what} is not positive")
    return numbers


def shape_of(value: Any) -> tuple[int, ...]:
    """A shape: a list of integers >= 0, not too many entries in all."""
    require(isinstance(value, list) and len(value) <= 32, f"{quoted(value)} is not a shape")
    require(
        all(type(n) is int and 0 <= n <= LARGEST_TENSOR for n in value),
        f"{quoted(value)} is not a shape",
    )
    require(math.prod(value) <= LARGEST_TENSOR, f"a tensor of shape {quoted(value)} is too large")
    return tuple(value)


def fields_of(value: Any, wanted: set[str], what: str) -> dict[str, Any]:
    """An object of exactly these fields."""
    require(
        isinstance(value, dict) and set(value) == wanted,
        f"{what} has unknown fields, or lacks some",
    )
    return dict(value)


def list_of(value: Any, what: str) -> list[Any]:
    """A list."""
    require(isinstance(value, list), f"{what} is not a list")
    return list(value)


def text_of(value: Any, what: str) -> str:
    """A string."""
    require(isinstance(value, str), f"{what} is not a text")
    return str(value)


def one_of(kinds: Iterable[str], entry: Any, field: str, what: str) -> str:
    """The text in a field of an object, one of a closed set."""
    kind = entry.get(field) if isinstance(entry, dict) else None
    require(isinstance(kind, str) and kind in kinds, f"{what} {quoted(kind)} is not known")
    return str(kind)


def quoted(value: Any) -> str:
    """What a file says, in quotes where it is text: printable ASCII on one line, cut where it is
    long."""
    is_plain = isinstance(value, str | int | float | bool | None)
    shown = ascii(value) if is_plain else f"a {type(value).__name__}"
    if len(shown) > LONGEST_TEXT:
        return f"{shown[:LONGEST_TEXT]}... ({len(shown)} characters)"
    return shown


def printable(sentence: str) -> str:
    """A sentence with everything but printable ASCII escaped: what is printed is one line."""
    return re.sub(
        r"[^ -~]", lambda found: found[0].encode("unicode_escape").decode("ascii"), sentence
    )
