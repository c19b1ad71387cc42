"""The points of a ball whose entries lie between two numbers: pixels stay pixels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.arguments import number
from autolip.errors import InputError
from autolip.intervals import Interval
from autolip.norms import Norm
from autolip.regions.ball import Ball
from autolip.regions.box import Box
from autolip.regions.region import Region, flat, region
from autolip.roundoff import sum_error
from autolip.values import Upper

HALVINGS = 30
"""Chosen: steps of the search for a split of a form, which is a bound whatever they find."""

ALTERNATIONS = 10
"""Chosen: projections to and fro; the point is one of the region whatever they find."""


@region("clipped ball")
@dataclass(frozen=True, eq=False)
class Clipped(Region):
    """The inputs of a ball with lo <= x_i <= hi for every entry.

    The centre must be one of them, so that to move an entry between the two numbers is to move it
    nearer to the centre.
    """

    ball: Ball
    lo: float
    hi: float

    def __init__(self, ball: Ball, lo: Any, hi: Any) -> None:
        if not isinstance(ball, Ball):
            raise InputError("a clipped ball is given a Ball and two numbers")
        object.__setattr__(self, "ball", ball)
        object.__setattr__(self, "lo", number(lo, "the least value"))
        object.__setattr__(self, "hi", number(hi, "the largest value"))
        if not bool(((ball.center >= self.lo) & (ball.center <= self.hi)).all()):
            raise InputError(
                f"the ball's centre has entries outside of [{self.lo}, {self.hi}]: give the least "
                "and the largest value that an input may have"
            )

    @classmethod
    def examples(cls) -> tuple[Region, ...]:
        """A corner cut off, nothing cut off, one point, in every norm."""
        numbers = ((0.1, 0.5, 0.0, 1.0), (0.5, 0.25, -9.0, 9.0), (1.0, 0.0, 0.0, 1.0))
        return tuple(
            cls(Ball(centre, radius, norm), lo, hi)
            for norm in Norm
            for centre, radius, lo, hi in numbers
        )

    def describe(self) -> dict[str, object]:
        ball = {name: value for name, value in self.ball.describe().items() if name != "kind"}
        return {"kind": "clipped ball", **ball, "lo": self.lo, "hi": self.hi}

    @classmethod
    def read(cls, numbers: Mapping[str, Any]) -> Region:
        wanted = {"norm", "radius", "center", "lo", "hi"}
        if numbers.keys() != wanted:
            raise InputError(f"a clipped ball is written with {', '.join(sorted(wanted))}")
        ball = Ball(numbers["center"], numbers["radius"], numbers["norm"])
        return cls(ball, numbers["lo"], numbers["hi"])

    def shaped(self, shape: torch.Size) -> "Clipped":
        return Clipped(self.ball.shaped(shape), self.lo, self.hi)

    def _box(self) -> Box:
        return Box(self.lo, self.hi)

    # What bounds it

    def interval(self, shape: torch.Size) -> Interval:
        return self.ball.interval(shape).meet(self._box().interval(shape))

    def centre(self, shape: torch.Size) -> Tensor:
        """The ball's: distances are measured from there."""
        return self.ball.centre(shape)

    def reach(self, shape: torch.Size) -> Tensor:
        """The lesser of the radius and of what the entries leave."""
        return super().reach(shape).minimum(self.ball.reach(shape))

    def settled(self, shape: torch.Size) -> Tensor:
        """All of them where the radius is 0, and those of a single value."""
        return self.ball.settled(shape) | super().settled(shape)

    def stride(self, shape: torch.Size) -> Tensor:
        """The ball's, or half of what the entries leave."""
        return super().stride(shape).minimum(self.ball.stride(shape)) * ~self.settled(shape)

    def spread(self, norm: Norm, shape: torch.Size) -> Upper:
        """The lesser of the ball's and of what the entries leave."""
        return Upper.least([self.ball.spread(norm, shape), super().spread(norm, shape)])

    def support(self, rows: Float[Tensor, "k *shape"]) -> Float[Tensor, " k"]:
        """The least of the ball's, the entries', and the sum of the two for a split of the form.

        max <c, d> over both sets is at most max <a, d> over the one plus max <c - a, d> over the
        other, for every a, and equal for the best: in l2 a = t d with d = clamp(c / t), t as small
        as leaves d in the ball.
        """
        shape = rows.shape[1:]
        ends = self._from_centre(shape)
        least = self.ball.support(rows).minimum(_over(ends, rows))
        if self.ball.norm is not Norm.L2 or not self.ball.radius or not rows.numel():
            return least
        part = self._split(rows, ends)
        rest = rows - part
        exact = Interval(rows, rows) - Interval(part, part)
        inexact = torch.maximum(exact.hi - rest, rest - exact.lo)
        far = ends.magnitude()
        lost = _over(Interval(-far, far), inexact)  # what the difference was rounded by
        split = Interval(self.ball.support(part), self.ball.support(part))
        for term in (_over(ends, rest), lost):
            split = split + Interval(term, term)
        return least.minimum(split.hi.nan_to_num(torch.inf))

    def _from_centre(self, shape: torch.Size) -> Interval:
        """x - centre, entry by entry."""
        centre = self.ball.centre(shape)
        return self.interval(shape) - Interval(centre, centre)

    def _split(self, rows: Tensor, ends: Interval) -> Tensor:
        """t clamp(c / t) with the least t, up to a few digits, for which that is in the ball."""
        column = (-1, *[1] * (rows.dim() - 1))
        sizes = Norm.L2.of_rows(rows).clamp(min=1e-300)
        high = sizes / self.ball.radius
        low = high * 2.0**-HALVINGS
        for _ in range(HALVINGS):
            middle = (low * high).sqrt()
            moved = (rows / middle.view(column)).clamp(ends.lo, ends.hi)
            inside = Norm.L2.of_rows(moved) <= self.ball.radius
            low = torch.where(inside, low, middle)
            high = torch.where(inside, middle, high)
        scale = high.view(column)
        return ((rows / scale).clamp(ends.lo, ends.hi) * scale).nan_to_num(0.0, 0.0, 0.0)

    # Its points

    def contains(self, x: Tensor) -> bool:
        return self.ball.contains(x) and self._box().contains(x)

    def project(self, x: Tensor) -> Tensor:
        """By Dykstra's alternating projections (J. P. Boyle and R. L. Dykstra, 1986); the last one,
        into the box, leaves the ball no more."""
        box, y = self._box(), x
        p, q = torch.zeros_like(x), torch.zeros_like(x)
        for _ in range(ALTERNATIONS):
            inner = self.ball.project(y + p)
            p = y + p - inner
            y = box.project(inner + q)
            q = inner + q - y
        return box.project(self.ball.project(y))

    def inward(self, x: Tensor) -> Tensor:
        """As the ball moves them, and then between the two numbers."""
        return self._box().project(self.ball.inward(self.project(x)))

    def sample(self, count: int, example: Tensor, generator: torch.Generator) -> Tensor:
        return self.inward(self.ball.sample(count, example, generator))


def _over(ends: Interval, rows: Float[Tensor, "k *shape"]) -> Float[Tensor, " k"]:
    """At least max <row, d> over the box of these ends."""
    products = Interval(rows, rows) * Interval(ends.lo.expand_as(rows), ends.hi.expand_as(rows))
    terms = flat(products.hi)
    total = terms.sum(1)
    wide = Interval(total, total).widen(absolute=_of_sum(terms))
    return wide.hi.nan_to_num(torch.inf)


def _of_sum(x: Float[Tensor, "k n"]) -> Float[Tensor, " k"]:
    """At least what a sum along the rows loses."""
    return sum_error(x.shape[1] + 2, x.abs().sum(1))
