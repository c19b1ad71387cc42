"""Tensor intervals with outward rounding: the one place where ranges meet floating point.

Every operation returns an interval that contains the exact image; 0 * inf = 0.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.roundoff import UNIT


def centre_and_radius(
    lo: Float[Tensor, "*shape"], hi: Float[Tensor, "*shape"]
) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
    """c and r with [lo, hi] inside [c - r, c + r]: exactly, and r is the least double for this c.

    c is about the middle, and lo where lo = hi; where an end is infinite c = 0 and r = inf.
    """
    bounded = lo.isfinite() & hi.isfinite()
    centre = torch.where(bounded, torch.where(lo == hi, lo, lo / 2 + hi / 2), 0.0)
    return centre, torch.maximum(difference_up(hi, centre), difference_up(centre, lo))


def difference_up(a: Tensor, b: Tensor) -> Tensor:
    """The least double that is at least a - b.

    The rounding error of a - b is a double, found exactly (D. E. Knuth, The Art of Computer
    Programming 2, section 4.2.2, theorem B).
    """
    difference = a - b
    minus_b = difference - a
    lost_of_a = a - (difference - minus_b)
    lost_of_b = b + minus_b
    error = lost_of_a - lost_of_b
    above = difference.nextafter(torch.full_like(difference, math.inf))
    return torch.where(error > 0, above, difference)


@dataclass(frozen=True)
class Interval:
    """The tensors x with lo <= x <= hi, elementwise (float64; ends may be infinite)."""

    lo: Float[Tensor, "*shape"]
    hi: Float[Tensor, "*shape"]

    def __post_init__(self) -> None:
        if self.lo.shape != self.hi.shape:
            raise ValueError(
                f"ends of shapes {tuple(self.lo.shape)} and {tuple(self.hi.shape)} differ"
            )

    @staticmethod
    def everywhere(shape: torch.Size | tuple[int, ...]) -> "Interval":
        """(-inf, inf) in every entry, stored as one number."""
        return Interval.uniform(-math.inf, math.inf, shape)

    @staticmethod
    def uniform(lo: float, hi: float, shape: torch.Size | tuple[int, ...]) -> "Interval":
        """[lo, hi] in every entry, stored as one number."""
        ends = torch.tensor([lo, hi], dtype=torch.float64)
        return Interval(ends[0].expand(shape), ends[1].expand(shape))

    @property
    def shape(self) -> torch.Size:
        return self.lo.shape

    @property
    def is_uniform(self) -> bool:
        """Whether every entry is stored as one number."""
        return all(s == 0 for s in self.lo.stride()) and all(s == 0 for s in self.hi.stride())

    @property
    def is_everywhere(self) -> bool:
        lo, hi = (self._one(self.lo), self._one(self.hi)) if self.is_uniform else (self.lo, self.hi)
        return bool((lo == -math.inf).all() and (hi == math.inf).all())

    @property
    def is_bounded(self) -> bool:
        lo, hi = self.ends()
        return bool(lo.isfinite().all() and hi.isfinite().all())

    def ends(self) -> tuple[Tensor, Tensor]:
        """Both ends, as single numbers where every entry is the same."""
        if self.is_uniform and self.lo.numel():
            return self._one(self.lo), self._one(self.hi)
        return self.lo, self.hi

    @staticmethod
    def _one(end: Tensor) -> Tensor:
        return end.as_strided((), ()) if end.numel() else end.new_zeros(())

    def magnitude(self) -> Tensor:
        """max |x| over the interval, elementwise."""
        return torch.maximum(self.lo.abs(), self.hi.abs())

    def widen(self, relative: float = 0.0, absolute: float | Tensor = 0.0) -> "Interval":
        """Outward by a relative and an absolute amount (infinite ends stay)."""
        below, above = (
            (end.abs() * relative + absolute)
            * (1 + 4 * UNIT)  # the step out of this rounds once more
            for end in (self.lo, self.hi)
        )
        lower = self.lo - below
        lo = torch.where(self.lo.isinf(), self.lo, lower)
        upper = self.hi + above
        hi = torch.where(self.hi.isinf(), self.hi, upper)
        return Interval(
            lo.nextafter(torch.full_like(lo, -math.inf)),
            hi.nextafter(torch.full_like(hi, math.inf)),
        )

    def meet(self, other: "Interval") -> "Interval":
        """The intersection of two intervals that both contain the value."""
        return Interval(torch.maximum(self.lo, other.lo), torch.minimum(self.hi, other.hi))

    def contains(self, x: Tensor) -> bool:
        return bool(((self.lo <= x) & (x <= self.hi)).all())

    def __mul__(self, other: "Interval") -> "Interval":
        """Products x y, with 0 * inf = 0."""
        corners = [_times(a, b) for a in (self.lo, self.hi) for b in (other.lo, other.hi)]
        stacked = torch.stack(corners)
        lo = stacked.amin(0)
        hi = stacked.amax(0)
        return Interval(lo, hi).widen(absolute=0.0)

    def __add__(self, other: "Interval") -> "Interval":
        if any(term.is_uniform and term.is_everywhere for term in (self, other)):
            return Interval.everywhere(torch.broadcast_shapes(self.shape, other.shape))
        lo = self.lo + other.lo
        hi = self.hi + other.hi
        total = Interval(lo, hi)
        around = total.widen()  # but for ends to which 0 is added
        return Interval(
            torch.where((self.lo == 0) | (other.lo == 0), total.lo, around.lo),
            torch.where((self.hi == 0) | (other.hi == 0), total.hi, around.hi),
        )

    def __neg__(self) -> "Interval":
        return Interval(-self.hi, -self.lo)

    def __sub__(self, other: "Interval") -> "Interval":
        return self + -other


def mean(x: Interval, y: Interval) -> Interval:
    """(x + y) / 2 for numbers of an interval x and of a part y of it: within x again.

    Halves of the smallest numbers round, and so does their sum: by less than a unit together.
    """
    lo = x.lo / 2 + y.lo / 2
    hi = x.hi / 2 + y.hi / 2
    halves = Interval(lo, hi)
    return halves.widen().meet(x)


def inverted(y: Interval) -> Interval:
    """1 / y, everything where y meets 0."""
    crosses = (y.lo <= 0) & (y.hi >= 0)
    safe = Interval(
        torch.where(crosses, torch.ones_like(y.lo), y.lo),
        torch.where(crosses, torch.ones_like(y.hi), y.hi),
    )
    inverse = Interval(1 / safe.hi, 1 / safe.lo).widen()
    infinite = torch.full_like(y.lo, math.inf)
    return Interval(
        torch.where(crosses, -infinite, inverse.lo), torch.where(crosses, infinite, inverse.hi)
    )


def _times(a: Tensor, b: Tensor) -> Tensor:
    product = a * b
    return torch.where((a == 0) | (b == 0), torch.zeros_like(product), product)
