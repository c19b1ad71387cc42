"""Two straight lines around a pointwise function on its operand's range, from its one record.

Between two turns the derivative is monotone, the function convex or concave: so f(t) - s t has its
extremes at the ends, at the turns, and where f'(t) = s.  Which slope s is taken is a matter of
choice; for each of them the offset is proved.
"""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.intervals import Interval
from autolip.rounded import Rounded
from autolip.roundoff import TINY, raised
from autolip.rules.curves import slope_range, slopes_beside, value_at, value_range
from autolip.rules.rule import Pointwise

INF = math.inf

HALVINGS = 50
"""Tuned: steps of the search for f'(t) = s; an offset is proved however far it came."""

GRID = 16
"""Tuned: points of a curved function through which its convex and concave hull are drawn."""


class Lines(NamedTuple):
    """lo_slope t + lo_offset <= f(t) <= hi_slope t + hi_offset for all t of a range, entrywise."""

    lo_slope: Float[Tensor, "*shape"]
    lo_offset: Float[Tensor, "*shape"]
    hi_slope: Float[Tensor, "*shape"]
    hi_offset: Float[Tensor, "*shape"]


def lines(curve: Pointwise) -> Lines:
    """The lines that touch the function's convex and concave hull above the middle of its range.

    Horizontal ones, by the function's values, where no slope or no end of the range is finite.
    """
    slopes = slope_range(curve)
    values = value_range(curve)
    bounded = slopes.lo.isfinite() & slopes.hi.isfinite() & _is_bounded(curve)
    lo_slope, hi_slope = (
        torch.where(bounded, slope.nan_to_num(0.0).clamp(slopes.lo, slopes.hi), 0.0)
        for slope in _supporting(curve)
    )
    lo_offsets = offsets(curve, lo_slope)
    lo_offset = torch.where(bounded, lo_offsets.lo, values.lo)
    hi_offsets = offsets(curve, hi_slope)
    hi_offset = torch.where(bounded, hi_offsets.hi, values.hi)
    return Lines(lo_slope, lo_offset, hi_slope, hi_offset)


def _is_bounded(curve: Pointwise) -> Tensor:
    lo, hi = curve.operand.range.ends()
    return lo.isfinite() & hi.isfinite()


def offsets(curve: Pointwise, slope: Float[Tensor, "*shape"]) -> Interval:
    """The range of f(t) - slope t, where the operand's range is bounded and f has finite slopes."""
    breaks = _breaks(curve)
    return joined([offsets_between(curve, slope, ends) for ends in itertools.pairwise(breaks)])


def offsets_between(
    curve: Pointwise, slope: Float[Tensor, "*shape"], ends: tuple[Tensor, Tensor]
) -> Interval:
    """The same between two points with no turn inside."""
    rests = tuple(_rest(curve, slope, end) for end in ends)
    return joined([*rests, _between(curve, slope, ends, (rests[0], rests[1]))])


def joined(found: Sequence[Interval]) -> Interval:
    """The least interval around some; infinite where one has an end that is NaN."""
    least = _stacked([one.lo.nan_to_num(-INF, INF, -INF) for one in found]).amin(0)
    most = _stacked([one.hi.nan_to_num(INF, INF, -INF) for one in found]).amax(0)
    return Interval(least, most)


def _stacked(tensors: Sequence[Tensor]) -> Tensor:
    return torch.stack(torch.broadcast_tensors(*tensors))


def _breaks(curve: Pointwise) -> list[Tensor]:
    """The ends of the range and the turns inside, in rising order; for a turn outside an end."""
    lo, hi = curve.operand.range.ends()
    turns = [torch.as_tensor(turn.at, dtype=lo.dtype) for turn in curve.slope_turns]
    inside = [torch.minimum(torch.maximum(turn, lo), hi) for turn in turns]
    return list(_stacked([lo, *inside, hi]).sort(0).values)


def _rest(curve: Pointwise, slope: Tensor, t: Tensor) -> Interval:
    """f(t) - slope t, f being off by what its record allows."""
    value = value_at(curve, t)
    known = Rounded(value, raised(value.abs() * curve.error + curve.slack, 2))
    return (known - Rounded.exact(slope) * Rounded.exact(t)).interval()


def _between(
    curve: Pointwise,
    slope: Tensor,
    ends: tuple[Tensor, Tensor],
    rests: tuple[Interval, Interval],
) -> Interval:
    """g(t) = f(t) - slope t between two breaks p and q, beyond its values there.

    f' is monotone from d = f'(p+) to e = f'(q-).  Where they are about equal, g is above and below
    its chord by at most (|d - e| + errors) (q - p).  Elsewhere, with m a point where f' is about
    the slope, a convex g is above its tangent at m, and a concave one below.
    """
    p, q = ends
    d, e = slopes_beside(curve, p)[1], slopes_beside(curve, q)[0]
    relative, absolute = curve.slope_allowance
    sizes = torch.maximum(d.abs(), e.abs())
    wrong = sizes * relative + absolute
    turned = (d - e).abs()
    straight = turned <= 4 * wrong
    convex = d < e
    turn = turned + 2 * wrong
    strayed = raised(turn * (q - p), 6)
    least = torch.minimum(rests[0].lo, rests[1].lo)
    most = torch.maximum(rests[0].hi, rests[1].hi)
    rests_range = Interval(least, most)
    around = rests_range + Interval(-strayed, strayed)
    if bool(straight.all()):
        return around
    tangent = _tangent(curve, slope, ends, convex)
    lo = torch.where(convex, tangent.lo, rests[0].lo)
    hi = torch.where(convex, rests[0].hi, tangent.hi)
    return Interval(torch.where(straight, around.lo, lo), torch.where(straight, around.hi, hi))


def _tangent(
    curve: Pointwise, slope: Tensor, ends: tuple[Tensor, Tensor], convex: Tensor
) -> Interval:
    """A convex g is at least its tangent g(m) + g'(m) (t - m), a concave one at most, all over
    [p, q]: that is g(m) less, or more, max(g'(m), 0) (m - p) + max(-g'(m), 0) (q - m)."""
    p, q = ends
    m = _stationary(curve, slope, ends, convex)
    derivative, (relative, absolute) = curve.derivative(m), curve.slope_allowance
    sizes_of = derivative.abs() * relative
    known = Rounded(derivative, raised(sizes_of + absolute, 2))
    tilt = known - Rounded.exact(slope)
    towards = torch.where(convex, tilt.value, -tilt.value)
    before, after = ((side + tilt.error).clamp(min=0.0) for side in (towards, -towards))
    drop = raised(before * (m - p) + after * (q - m), 6) + TINY
    return _rest(curve, slope, m) + Interval(-drop, drop)


def _stationary(
    curve: Pointwise, slope: Tensor, ends: tuple[Tensor, Tensor], convex: Tensor
) -> Tensor:
    """About where f' is the slope between p and q, by halving; else about the end next to it.

    Halves of subnormal numbers round: the middle is brought back between p and q.
    """
    all_three = torch.broadcast_tensors(*ends, slope)
    left, right = all_three[:2]
    for _ in range(HALVINGS):
        middle = left / 2 + right / 2
        tilt = curve.derivative(middle)
        onwards = (tilt < slope) == convex
        left, right = torch.where(onwards, middle, left), torch.where(onwards, right, middle)
    return (left / 2 + right / 2).clamp(*ends)


def _supporting(curve: Pointwise) -> tuple[Tensor, Tensor]:
    """Slopes of the lines that touch the convex and the concave hull of some points of the graph
    above the middle of the range.

    Of all chords from a point before the middle to one behind it, the lowest and the highest there.
    """
    lo, hi = curve.operand.range.ends()
    middle = lo / 2 + hi / 2
    at = _nodes(curve)
    value = value_at(curve, at)
    lowest = _Highest.none(at[0])
    highest = _Highest.none(at[0])
    for t, y in zip(at, value, strict=True):
        rise = value - y
        chord = rise / (at - t)
        ahead = chord * (middle - t)
        height = y + ahead
        spans = (t < middle) & (middle < at)
        below = torch.where(spans, -height, -INF)
        lowest = lowest.met(below, chord)
        above = torch.where(spans, height, -INF)
        highest = highest.met(above, chord)
    return lowest.slope, highest.slope


class _Highest(NamedTuple):
    """The greatest height so far, and the slope of its chord."""

    height: Tensor
    slope: Tensor

    @staticmethod
    def none(like: Tensor) -> "_Highest":
        return _Highest(torch.full_like(like, -INF), torch.zeros_like(like))

    def met(self, heights: Tensor, slopes: Tensor) -> "_Highest":
        """The same after some more chords (first axis)."""
        known = heights.nan_to_num(-INF)
        height, which = known.max(0, keepdim=True)
        slope = slopes.gather(0, which)
        better = height[0] > self.height
        return _Highest(
            torch.where(better, height[0], self.height), torch.where(better, slope[0], self.slope)
        )


def _nodes(curve: Pointwise) -> Float[Tensor, "k *shape"]:
    """The breaks, and evenly spaced points where some piece between them is curved."""
    breaks = _breaks(curve)
    curved = any(
        bool((slopes_beside(curve, p)[1] != slopes_beside(curve, q)[0]).any())
        for p, q in itertools.pairwise(breaks)
    )
    if not curved:
        return _stacked(breaks)
    lo, hi = curve.operand.range.ends()
    shares = torch.linspace(0, 1, GRID, dtype=lo.dtype)[1:-1]
    return _stacked([*breaks, *(lo + share * (hi - lo) for share in shares)])
