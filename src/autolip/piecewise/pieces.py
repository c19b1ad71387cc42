"""Piecewise linear functions of one number, each entry of a value with its own.

phi(v) = slopes[k] v + offsets[k]    for breaks[k - 1] <= v <= breaks[k],    k = 0, ..., m
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from autolip.intervals import Interval
from autolip.rounded import Rounded
from autolip.rules.rule import Pointwise


@dataclass(frozen=True)
class Pieces:
    """The functions of n entries; where some have fewer breaks than m, the others are infinite."""

    breaks: Float[Tensor, "n m"]
    slopes: Float[Tensor, "n m+1"]
    offsets: Rounded

    def within(self, values: Interval) -> tuple[Int64[Tensor, " n"], Int64[Tensor, " n"]]:
        """The first and the last piece that values strictly inside an interval may lie on.

        A value that stays at a break has differences 0, whatever the slope: either side will do.
        """
        lo, hi = values.lo.reshape(-1, 1), values.hi.reshape(-1, 1)
        first = (self.breaks <= lo).sum(1)
        last = (self.breaks < hi).sum(1)
        return first, torch.maximum(first, last)

    def padded(self, count: int) -> "Pieces":
        """The same with `count` breaks, the last ones infinite."""
        more = count - self.breaks.shape[1]
        tail = self.breaks.new_full((len(self.breaks), more), math.inf)

        def again(x: Tensor) -> Tensor:
            return torch.cat([x, x[:, -1:].expand(-1, more)], 1)

        offsets = Rounded(again(self.offsets.value), again(self.offsets.error))
        return Pieces(torch.cat([self.breaks, tail], 1), again(self.slopes), offsets)

    @staticmethod
    def joined(parts: "list[Pieces]") -> "Pieces":
        """The functions of several values, one after another."""
        count = max(part.breaks.shape[1] for part in parts)
        parts = [part.padded(count) for part in parts]
        offsets = [part.offsets for part in parts]
        return Pieces(
            torch.cat([part.breaks for part in parts]),
            torch.cat([part.slopes for part in parts]),
            Rounded(torch.cat([x.value for x in offsets]), torch.cat([x.error for x in offsets])),
        )


def pieces_of(curve: Pointwise) -> Pieces | None:
    """The pieces of a function that is applied entrywise; None where it is not piecewise linear, or
    its slopes, or its values where they change, are known up to rounding only."""
    if not curve.piecewise_linear or not (curve.exact_slopes or curve.error == 0):
        return None
    shape = curve.operand.shape
    size = shape.numel()

    def entries(values: Tensor | float) -> Tensor:
        number = torch.as_tensor(values, dtype=torch.float64)
        return number.expand(shape).reshape(size)

    knots = [entries(turn.at) for turn in curve.slope_turns]
    rights = [entries(turn.right) for turn in curve.slope_turns if turn.right is not None]
    slopes = torch.stack([entries(curve.slope_limits[0]), *rights], 1)
    anchors = knots or [entries(0.0)]
    values = [entries(curve.value(_finite(knot).reshape(shape))) for knot in anchors]
    if curve.error and any(bool(value.any()) for value in values):
        return None
    breaks = torch.stack(knots, 1) if knots else slopes.new_empty(size, 0)
    return Pieces(breaks, slopes, _offsets(anchors, values, slopes))


def _finite(knot: Tensor) -> Tensor:
    return torch.where(knot.isfinite(), knot, 0.0)


def _offsets(anchors: list[Tensor], values: list[Tensor], slopes: Tensor) -> Rounded:
    """phi(t) - slope t, for each piece at one of its ends t that is finite; at 0 where none is."""
    columns = []
    for k in range(slopes.shape[1]):
        before, after = max(k - 1, 0), min(k, len(anchors) - 1)
        inside = anchors[before].isfinite()
        at = torch.where(inside, _finite(anchors[before]), _finite(anchors[after]))
        value = torch.where(inside, values[before], values[after])
        product = Rounded.exact(slopes[:, k]) * Rounded.exact(at)
        columns.append(Rounded.exact(value) - product)
    return Rounded(
        torch.stack([column.value for column in columns], 1),
        torch.stack([column.error for column in columns], 1),
    )
