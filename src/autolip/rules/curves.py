"""The range of a pointwise function and that of its derivative, from its one record."""

import math
import sys
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from autolip.intervals import Interval
from autolip.rules.rule import Pointwise, Turn

INF = math.inf
LARGEST = sys.float_info.max


def value_range(curve: Pointwise) -> Interval:
    """Extremes of a function that is monotone between its turns: at the ends, at the turns inside,
    beside the jumps."""
    lo, hi = curve.operand.range.ends()
    low = lo.clamp(*curve.domain)
    high = hi.clamp(*curve.domain)
    found = [_Found(_at(curve, curve.value, curve.value_limits, end)) for end in (low, high)]
    for turn in curve.value_turns:
        point = _number(turn)
        found.append(_Found(curve.value(point), (low <= point) & (point <= high)))
    for jump in curve.jumps:
        point = _number(jump.at)
        found.append(_Found(curve.value(point), (low <= point) & (point <= high)))
        found.append(_Found(_number(jump.left), (low < point) & (point <= high)))
        found.append(_Found(_number(jump.right), (low <= point) & (point < high)))
    hull = _cut(_hull(found, (curve.error, curve.slack)), curve.values_within)
    return _unbounded(hull, (hi < curve.domain[0]) | (lo > curve.domain[1]))


def slope_range(curve: Pointwise) -> Interval:
    """Secant slopes lie within the range of the derivative (mean value theorem, kinks by both
    one-sided slopes)."""
    lo, hi = curve.operand.range.ends()
    low = lo.clamp(*curve.domain)
    high = hi.clamp(*curve.domain)
    at_low = _at(curve, curve.derivative, curve.slope_limits, low)
    at_high = _at(curve, curve.derivative, curve.slope_limits, high)
    inner: list[_Found] = []
    for turn in curve.slope_turns:
        point, left, right = _sides(curve, turn)
        at_low = torch.where(low == point, right, at_low)
        at_high = torch.where(high == point, left, at_high)
        inner.append(_Found(left, (low < point) & (point <= high)))
        inner.append(_Found(right, (low <= point) & (point < high)))
    found = [_Found(at_low), _Found(at_high), *inner]
    hull = _cut(_hull(found, curve.slope_allowance), curve.slopes_within)
    return _unbounded(hull, _is_singular(curve, lo, hi))


def value_at(curve: Pointwise, x: Tensor) -> Tensor:
    """f(x), its limits at the ends of the domain."""
    return _at(curve, curve.value, curve.value_limits, x)


def slopes_beside(curve: Pointwise, x: Tensor) -> tuple[Tensor, Tensor]:
    """f'(x-) and f'(x+)."""
    left = right = _at(curve, curve.derivative, curve.slope_limits, x)
    for turn in curve.slope_turns:
        point, before, after = _sides(curve, turn)
        left = torch.where(x == point, before, left)
        right = torch.where(x == point, after, right)
    return left, right


def _sides(curve: Pointwise, turn: Turn) -> tuple[Tensor, Tensor, Tensor]:
    point = _number(turn.at)
    smooth = curve.derivative(point)
    left = smooth if turn.left is None else _number(turn.left)
    right = smooth if turn.right is None else _number(turn.right)
    return point, left, right


def _is_singular(curve: Pointwise, lo: Tensor, hi: Tensor) -> Tensor:
    """Where the range leaves the domain or extends to the broken side of a jump: no finite
    slope."""
    singular = (lo < curve.domain[0]) | (hi > curve.domain[1])
    for jump in curve.jumps:
        point = _number(jump.at)
        value = curve.value(point)
        breaks_left = (lo < point) & (point <= hi) & (value != _number(jump.left))
        breaks_right = (lo <= point) & (point < hi) & (value != _number(jump.right))
        singular = singular | breaks_left | breaks_right
    return singular


def _unbounded(interval: Interval, where: Tensor) -> Interval:
    """The interval, made (-inf, inf) at some entries."""
    return Interval(torch.where(where, -INF, interval.lo), torch.where(where, INF, interval.hi))


def _cut(interval: Interval, known: tuple[float, float]) -> Interval:
    return Interval(interval.lo.clamp(*known), interval.hi.clamp(*known))


def _at(
    curve: Pointwise,
    function: Callable[[Tensor], Tensor],
    limits: tuple[Tensor | float, Tensor | float],
    x: Tensor,
) -> Tensor:
    """function(x), its limits at the ends of the domain."""
    value = function(torch.where(x.isfinite(), x, 0.0))
    value = torch.where(x <= curve.domain[0], _number(limits[0]), value)
    return torch.where(x >= curve.domain[1], _number(limits[1]), value)


def _number(value: Tensor | float) -> Tensor:
    return torch.as_tensor(value, dtype=torch.float64)


class _Found(NamedTuple):
    """A value that the function takes, and where it counts."""

    value: Tensor
    inside: Tensor = torch.tensor(True)


def _hull(found: list[_Found], allowance: tuple[float, float]) -> Interval:
    """The least interval around all that counts, widened by what is allowed for rounding.

    A NaN (overflow inside a formula) makes it infinite.  A lower end that overflowed is brought
    back to the largest double: the true one is beyond it, but not infinite; an upper end alike.
    """
    shape = torch.broadcast_shapes(*(side.shape for entry in found for side in entry))
    lo = torch.full(shape, INF, dtype=torch.float64)
    hi = torch.full(shape, -INF, dtype=torch.float64)
    for value, inside in found:
        lo = torch.where(inside, torch.minimum(lo, value.nan_to_num(-INF, INF, -INF)), lo)
        hi = torch.where(inside, torch.maximum(hi, value.nan_to_num(INF, INF, -INF)), hi)
    hull = Interval(lo.clamp(max=LARGEST), hi.clamp(min=-LARGEST))
    return hull.widen(*allowance) if any(allowance) else hull
