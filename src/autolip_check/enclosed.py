"""Arrays of float64 and how far each entry may be off, rounding included.

With X within E of X' and Y within F of Y', n products in a sum, X' Y' as computed is off by at most
|X'| F + E (|Y'| + F) + gamma_n |X'| |Y'|, and by TINY where products underflow.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from autolip_check.container import Array
from autolip_check.dyadic import Dyadic
from autolip_check.maps import TINY, UNIT, gamma


@dataclass(frozen=True)
class Enclosed:
    """Everything within `error` of `value`."""

    value: Array
    error: Array

    @staticmethod
    def exact(value: Array) -> "Enclosed":
        """Just these numbers."""
        return Enclosed(value, np.zeros_like(value))

    @staticmethod
    def of(numbers: Dyadic) -> "Enclosed":
        """Numbers known exactly."""
        return Enclosed(*numbers.nearest())

    @staticmethod
    def between(lo: Array, hi: Array) -> "Enclosed":
        """Everything from lo to hi."""
        middle = lo / 2 + hi / 2
        reach = np.maximum(hi - middle, middle - lo)
        return Enclosed(middle, np.where(lo == hi, 0.0, reach * (1 + 4 * UNIT) + TINY))

    def __getitem__(self, index: Any) -> "Enclosed":
        return Enclosed(self.value[index], self.error[index])

    @property
    def T(self) -> "Enclosed":
        return Enclosed(self.value.T, self.error.T)

    @property
    def size(self) -> Array:
        """At least every modulus."""
        sizes = np.abs(self.value) + self.error
        return np.asarray(sizes * (1 + 4 * UNIT))

    @property
    def lo(self) -> Array:
        """At most everything."""
        end = self.value - self.error
        return np.asarray(end - 2 * UNIT * np.abs(end) - TINY)

    @property
    def hi(self) -> Array:
        """At least everything."""
        end = self.value + self.error
        return np.asarray(end + 2 * UNIT * np.abs(end) + TINY)

    def __add__(self, other: "Enclosed") -> "Enclosed":
        value = self.value + other.value
        error = self.error + other.error + UNIT * np.abs(value)
        return Enclosed(value, error * (1 + 8 * UNIT) + TINY)

    def __neg__(self) -> "Enclosed":
        return Enclosed(-self.value, self.error)

    def __mul__(self, other: "Enclosed") -> "Enclosed":
        value = self.value * other.value
        sizes = np.abs(other.value) + other.error
        beside = np.abs(self.value) * other.error + self.error * sizes
        error = beside + UNIT * np.abs(value)
        return Enclosed(value, error * (1 + 16 * UNIT) + TINY)

    def __matmul__(self, other: "Enclosed") -> "Enclosed":
        terms = self.value.shape[-1]
        mine = np.abs(self.value)
        sizes = np.abs(other.value)
        lost = gamma(terms) * (mine @ sizes)
        beside = mine @ other.error + self.error @ (sizes + other.error)
        error = (lost + beside) * (1 + gamma(2 * terms + 16))
        return Enclosed(self.value @ other.value, error + TINY)


def above(sums: Array, terms: int) -> Array:
    """At least sums of so many numbers >= 0 that were computed, and twice rounded on."""
    return np.asarray(sums * (1 + gamma(terms + 8)) + TINY)
