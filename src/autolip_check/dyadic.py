"""Exact arithmetic with arrays: every float64 is a whole number times a power of two, and so are
sums and products of them."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autolip_check.container import Array

Whole = NDArray[np.object_]
"""Integers of Python, of any length."""


@dataclass(frozen=True)
class Dyadic:
    """whole 2^exponent."""

    whole: Whole
    exponent: int

    @staticmethod
    def of(values: Array) -> "Dyadic":
        """Exactly these finite numbers."""
        parts, exponents = np.frexp(values)
        mantissas = np.ldexp(parts, 53).astype(np.int64)
        used = exponents[mantissas != 0]
        least = int(used.min()) if used.size else 0
        shifts = np.where(mantissas != 0, exponents - least, 0)
        whole = mantissas.astype(object) << shifts.astype(object)
        return Dyadic(np.asarray(whole, dtype=object), least - 53)

    @staticmethod
    def zeros(*shape: int) -> "Dyadic":
        """All 0."""
        return Dyadic(np.full(shape, 0, dtype=object), 0)

    def __getitem__(self, index: Any) -> "Dyadic":
        return Dyadic(np.asarray(self.whole[index], dtype=object), self.exponent)

    def __add__(self, other: "Dyadic") -> "Dyadic":
        least = min(self.exponent, other.exponent)
        mine = self.whole << (self.exponent - least)
        others = other.whole << (other.exponent - least)
        return Dyadic(np.asarray(mine + others, dtype=object), least)

    def __neg__(self) -> "Dyadic":
        return Dyadic(np.asarray(-self.whole, dtype=object), self.exponent)

    def __sub__(self, other: "Dyadic") -> "Dyadic":
        return self + -other

    def __mul__(self, other: "Dyadic") -> "Dyadic":
        both = self.exponent + other.exponent
        return Dyadic(np.asarray(self.whole * other.whole, dtype=object), both)

    def __matmul__(self, other: "Dyadic") -> "Dyadic":
        both = self.exponent + other.exponent
        return Dyadic(np.asarray(self.whole @ other.whole, dtype=object), both)

    def __abs__(self) -> "Dyadic":
        return Dyadic(np.asarray(np.abs(self.whole), dtype=object), self.exponent)

    @property
    def is_zero(self) -> bool:
        return not self.whole.any()

    def number(self) -> Fraction:
        """The only entry."""
        return int(self.whole.reshape(-1)[0]) * Fraction(2) ** self.exponent

    def nearest(self) -> tuple[Array, Array]:
        """Doubles, and at least how far each of them is off: nothing where it is exact."""
        shape = self.whole.shape
        unit = Fraction(2) ** self.exponent
        pairs = [_rounded(int(n) * unit) for n in self.whole.reshape(-1).tolist()]
        both = np.array(pairs).reshape(*shape, 2)
        return both[..., 0], both[..., 1]


def _rounded(value: Fraction) -> tuple[float, float]:
    """A double near a number, and at least how far it is off; 0 where it is not."""
    near = float(value)
    off = abs(value - Fraction(near))
    return near, math.nextafter(float(off), math.inf) if off else 0.0


def upwards(value: Fraction) -> float:
    """A double that is at least a number."""
    near = float(value)
    return near if Fraction(near) >= value else math.nextafter(near, math.inf)


def root_above(value: Fraction) -> Fraction:
    """At least the root of a number >= 0, and little more."""
    scaled = value * 2**200
    return Fraction(math.isqrt(math.ceil(scaled)) + 1, 2**100)
