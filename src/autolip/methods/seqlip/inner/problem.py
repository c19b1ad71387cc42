"""The inner problem of SeqLip in balanced units: one pair of matrices with a box of slopes between
them.

    maximise  || A diag(s) B ||_2   over   lo <= s <= hi            A (p, n),  B (n, q)

The norm is a convex function of s, so that a vertex attains the maximum.  Three exact changes are
made first. Neurons that carry nothing (a zero column of A, row of B or slope interval) are left
out.  A neuron is invariant under a_i, b_i, s_i -> x a_i, y b_i, s_i / (x y): powers of two make its
column, its row and its slopes equally large, which costs no rounding and turns a badly scaled pair
into a well scaled one.  A power of two in front makes every entry at most one, so that an underflow
is less than 2^-500.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from autolip.errors import InputError
from autolip.rounded import Rounded
from autolip.roundoff import shifted
from autolip.values import round_down, round_up

UNDERFLOW = 2.0**-500
"""Proved: more than all that underflow loses in any sum of ours, in balanced units."""


@dataclass(frozen=True)
class Pair:
    """A (p, n), B (n, q) and slopes lo <= s <= hi (n) in balanced units: norms are in units of
    2^exponent."""

    a: Float[Tensor, "p n"]
    b: Float[Tensor, "n q"]
    lo: Float[Tensor, " n"]
    hi: Float[Tensor, " n"]
    exponent: int

    @property
    def width(self) -> int:
        return len(self.lo)

    @property
    def largest_slopes(self) -> Float[Tensor, " n"]:
        return torch.maximum(self.lo.abs(), self.hi.abs())

    def slopes(self, high: Bool[Tensor, "*k n"]) -> Float[Tensor, "*k n"]:
        """The vertex of the box at the upper end where `high`."""
        return torch.where(high, self.hi, self.lo)

    def attained(self, high: Bool[Tensor, " n"]) -> float:
        """Lower bound on || A diag(s) B || at this vertex, rounding accounted for, in balanced
        units."""
        if not self.a.numel() or not self.b.numel():
            return 0.0
        s = self.slopes(high)
        matrix = (self.a * s) @ self.b
        x = torch.linalg.svd(matrix, full_matrices=False).Vh[0]
        a, b, slopes, vector = (Rounded.exact(part) for part in (self.a, self.b, s, x))
        image = a @ (slopes * (b @ vector))
        length = vector.length()
        return round_down(image.least_length() / length) if length > 0 else 0.0

    def upward(self, value: float) -> float:
        """An upper bound in balanced units, in the units of the input."""
        return ldexp(value, self.exponent, round_up, math.inf)

    def downward(self, value: float) -> float:
        """A lower bound in balanced units, in the units of the input."""
        return max(0.0, ldexp(value, self.exponent, round_down, math.nextafter(math.inf, 0)))


def balanced(
    a: Float[Tensor, "p n"],
    b: Float[Tensor, "n q"],
    lo: Float[Tensor, " n"],
    hi: Float[Tensor, " n"],
) -> tuple[Pair, Int[Tensor, " live"]]:
    """The pair in balanced units, and which neurons are left.

    Raises InputError where shapes differ, an entry is not finite, or an interval is empty.
    """
    a, b, lo, hi = checked(a, b, lo, hi)
    slopes = torch.maximum(lo.abs(), hi.abs())
    tops = [_tops(a, 0), _tops(b, 1), slopes]
    live = ((tops[0] > 0) & (tops[1] > 0) & (tops[2] > 0)).nonzero().flatten()
    ea, eb, es = (torch.frexp(top[live]).exponent.long() for top in tops)
    total = ea + eb + es
    exponent = int(total.max()) if len(live) else 0
    exponent += exponent % 2
    left = (total - exponent).div(2, rounding_mode="floor")
    right = total - exponent - left
    pair = Pair(
        shifted(a[:, live], left - ea),
        shifted(b[live], (right - eb)[:, None]),
        shifted(lo[live], -es),
        shifted(hi[live], -es),
        exponent,
    )
    return pair, live


def checked(a: Tensor, b: Tensor, lo: Tensor, hi: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The four as float64; InputError where they do not make a problem."""
    if a.dim() != 2 or b.dim() != 2 or a.shape[1] != b.shape[0]:
        raise InputError(
            f"matrices {tuple(a.shape)} and {tuple(b.shape)} do not multiply: pass (p, n) "
            "and (n, q)"
        )
    if lo.shape != (a.shape[1],) or hi.shape != lo.shape:
        raise InputError(
            f"slopes {tuple(lo.shape)}, {tuple(hi.shape)}: pass one interval for each of "
            f"{a.shape[1]} neurons"
        )
    a, b, lo, hi = (x.detach().to(torch.float64) for x in (a, b, lo, hi))
    if not all(bool(x.isfinite().all()) for x in (a, b, lo, hi)):
        raise InputError("a matrix or a slope is not finite: the pair has no bound")
    if bool((lo > hi).any()):
        raise InputError("a slope interval is empty: pass lo <= hi")
    return a, b, lo, hi


def _tops(x: Tensor, dim: int) -> Tensor:
    return x.abs().amax(dim) if x.shape[dim] else x.new_zeros(x.shape[1 - dim])


def ldexp(value: float, exponent: int, rounded: Callable[[float], float], overflow: float) -> float:
    """2^exponent value, rounded as told where that is not exact; `overflow` where it is too
    large."""
    try:
        result = math.ldexp(value, exponent)
    except OverflowError:
        return overflow
    return result if math.ldexp(result, -exponent) == value else rounded(result)
