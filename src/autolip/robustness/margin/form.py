"""The least margin over a region, bounded from below by a quadratic form with multipliers.

For x within R of the centre and hinges z = max(v, 0) with lo < v < hi, every one of

    z (v - z) = 0      (v - lo) (z - v) >= 0      z (hi - z) >= 0      R^2 - |x|^2 >= 0

holds, and with y = (1, x, z) each is a quadratic form in y, as v is linear in y.  If for some
numbers a (of any sign), b >= 0, c >= 0, m >= 0 the form

    margin(y) - g - m (R^2 - |x|^2) - sum_i [a_i z_i (v_i - z_i) + b_i (v_i - lo_i) (z_i - v_i)
                                             + c_i z_i (hi_i - z_i)]

is positive semidefinite, the margin is at least g on the region (A. Raghunathan, J. Steinhardt and
P. Liang, NeurIPS 2018, with other constraints).  More constraints on one hinge would change
nothing: a quadratic form in (1, z, v) that is nonnegative on both pieces [lo, 0] x {0} and
{(v, v): 0 <= v <= hi} is a sum of squares and of these three, as a quadratic polynomial that is
nonnegative on [s, t] is a square plus a multiple of (v - s) (t - v) (and of v^2).

A hinge whose sign is fixed, by a case distinction, is no variable: z = 0, and (v - lo) (0 - v) >= 0
stays; or z = v, and v (hi - v) >= 0 stays.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from autolip.budget import charge
from autolip.operators.norms.semidefinite import is_semidefinite
from autolip.robustness.margin.hinges import Hinges
from autolip.rounded import Rounded

NARROW = 0.02
"""Tuned on zoo/robustness/mnist_mlp: a range that reaches beyond 0 by less than this part of the
other side is widened to it, so that no multiplier is far larger than the others."""

OPEN, OFF, ON = 0, 1, 2
"""Defined: what is known of a hinge's sign."""


@dataclass(frozen=True)
class Multipliers:
    """a, b and c of the constraints of a form, in their order, and m."""

    hinges: Float[Tensor, " q"]
    ball: float


@dataclass(frozen=True, eq=False)
class Form:
    """One margin of a network in one case."""

    rows: Rounded
    """(n + 1, 1 + r + k): v of all hinges, then the margin, over 1, x and the k open hinges."""
    lo: Float[Tensor, " n"]
    hi: Float[Tensor, " n"]
    signs: Int[Tensor, " n"]
    free: int
    """r."""
    reach: float

    @classmethod
    def of(cls, hinges: Hinges, number: int) -> "Form":
        """That of the margin with this number, all signs open."""
        count = hinges.count
        chosen = torch.cat([torch.arange(count), torch.tensor([count + number])])
        lo = torch.minimum(hinges.lo, -NARROW * hinges.hi)
        hi = torch.maximum(hinges.hi, -NARROW * lo)
        signs = torch.zeros(count, dtype=torch.long)
        return cls(hinges.rows[chosen], lo, hi, signs, hinges.free, hinges.reach.value)

    @property
    def size(self) -> int:
        """Of y."""
        return self.rows.value.shape[1]

    @cached_property
    def open(self) -> Int[Tensor, " k"]:
        """The hinges that are variables."""
        return (self.signs == OPEN).nonzero(as_tuple=True)[0]

    def fixed(self, hinge: int, sign: int) -> "Form":
        """The case v <= 0 or v >= 0 of an open hinge: z = 0 or z = v, wherever z stands."""
        column = 1 + self.free + int((self.open == hinge).nonzero())
        kept = torch.arange(self.size) != column
        rows = self.rows[:, kept]
        if sign == ON:
            own = self.rows[hinge : hinge + 1][:, kept]
            rows = rows + self.rows[:, column : column + 1] @ own
        signs = self.signs.clone()
        signs[hinge] = sign
        return replace(self, rows=rows, signs=signs)

    @cached_property
    def constraints(self) -> tuple[Rounded, Rounded]:
        """p and q, a row each: p(y) q(y) = 0 for the first k, p(y) q(y) >= 0 for the others."""
        v, one = self.rows[:-1], self._constant(torch.ones_like(self.lo))
        z = self._hinges(v)
        above = v - one.scale(rows=self.lo)
        below = one.scale(rows=self.hi) - z
        open_, off, on = (self.signs == OPEN, self.signs != ON, self.signs != OFF)
        first = [z[open_], above[off], z[on]]
        second = [(v - z)[open_], (z - v)[off], below[on]]
        return stacked(first), stacked(second)

    @cached_property
    def units(self) -> Float[Tensor, " q"]:
        """About the sizes of the constraints' values, the inverse of: multipliers are counted in
        these."""
        lo, hi = self.lo, self.hi
        open_, off, on = (self.signs == OPEN, self.signs != ON, self.signs != OFF)
        return torch.cat([-1 / (lo * hi)[open_], lo[off] ** -2, hi[on] ** -2])

    def _hinges(self, v: Rounded) -> Rounded:
        """z of all hinges."""
        z = torch.zeros_like(v.value)
        error = torch.zeros_like(z)
        z[self.open, 1 + self.free + torch.arange(len(self.open))] = 1.0
        on = self.signs == ON
        z[on], error[on] = v.value[on], v.error[on]
        return Rounded(z, error)

    def _constant(self, values: Tensor) -> Rounded:
        rows = torch.zeros(len(values), self.size, dtype=torch.float64)
        rows[:, 0] = values
        return Rounded.exact(rows)

    def proves(self, multipliers: Multipliers, bound: float) -> bool:
        """Whether these multipliers prove that the margin is at least `bound`, every rounding
        counted, for every network within the errors of the rows."""
        ball, reach = (
            torch.tensor([number], dtype=torch.float64) for number in (multipliers.ball, self.reach)
        )
        return self.shown(multipliers.hinges, ball, reach, bound)

    def shown(
        self,
        weights: Float[Tensor, " q"],
        ball: Float[Tensor, " s"],
        reach: Float[Tensor, " s"],
        bound: float,
    ) -> bool:
        """The same for multipliers of |x|^2 <= R^2, or of x_k^2 <= R_k^2 for every k."""
        p, q = self.constraints
        if bool((weights[len(self.open) :] < 0).any()) or not bool((ball >= 0).all()):
            return False
        charge(4 * len(weights) * self.size**2)
        half = p.scale(rows=weights / 2).H @ q
        ends = torch.zeros(self.size, self.size, dtype=torch.float64)
        ends.diagonal()[1 : 1 + self.free] = ball
        each = Rounded.exact(reach.unsqueeze(1))
        row = Rounded.exact(ball.unsqueeze(0))
        given = row @ (each * each)
        number = torch.tensor([[bound]], dtype=torch.float64)
        least = Rounded.exact(number)
        both = half + half.H  # exactly symmetric, as the others are
        statement = self._margin() + Rounded.exact(ends) - both - self._corner(given + least)
        return is_semidefinite(statement)

    def _margin(self) -> Rounded:
        """The margin as a quadratic form."""
        row = self.rows[-1:].scale(rows=torch.tensor([0.5], dtype=torch.float64))
        value, error = (torch.zeros(self.size, self.size, dtype=torch.float64) for _ in range(2))
        value[:1] += row.value
        error[:1] += row.error
        one = Rounded(value, error)
        return one + one.H

    def _corner(self, number: Rounded) -> Rounded:
        """number y_0^2."""
        value, error = (torch.zeros(self.size, self.size, dtype=torch.float64) for _ in range(2))
        value[:1, :1], error[:1, :1] = number.value, number.error
        return Rounded(value, error)


def stacked(parts: list[Rounded]) -> Rounded:
    return Rounded(*(torch.cat([getattr(p, name) for p in parts]) for name in ("value", "error")))
