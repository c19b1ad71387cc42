"""From a rule's outcome to slopes and image: affine maps and pointwise functions need to say no
more than they are."""

import math
import sys
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from autolip.intervals import Interval
from autolip.norms import Norm
from autolip.operators.image import image
from autolip.rules.rule import Action, Affine, Operand, Outcome, Pointwise, Turn
from autolip.slopes import Between, Exact, Gain
from autolip.values import Upper

INF = math.inf
LARGEST = sys.float_info.max


def action_of(outcome: Outcome, shape: torch.Size) -> Action:
    """The slopes and the image that a rule's outcome stands for."""
    if isinstance(outcome, Affine):
        return _affine(outcome, shape)
    if isinstance(outcome, Pointwise):
        return _pointwise(outcome, shape)
    return outcome


def _affine(affine: Affine, shape: torch.Size) -> Action:
    total = _constant(affine.offset, shape)
    for operand, operator in affine.parts:
        part = image(operator, operand.range)
        total = part if total is None else total + part
    slopes = tuple((operand, Exact(operator)) for operand, operator in affine.parts)
    return Action(slopes, total if total is not None else Interval.uniform(0.0, 0.0, shape))


def _constant(offset: Tensor | float, shape: torch.Size) -> Interval | None:
    value = torch.as_tensor(offset, dtype=torch.float64).expand(shape)
    return Interval(value, value) if value.ne(0).any() else None


def _pointwise(curve: Pointwise, shape: torch.Size) -> Action:
    return entrywise(curve.operand, slope_range(curve), value_range(curve), shape)


def entrywise(
    x: Operand, slopes: Interval, values: Interval, shape: torch.Size | None = None
) -> Action:
    """A function of the entries of x with these slopes and values; `shape` if parameters broadcast
    x to it."""
    shape = x.shape if shape is None else shape
    values = Interval(values.lo.expand(shape), values.hi.expand(shape))
    if shape == x.shape:
        return Action(((x, Between(slopes.lo.expand(shape), slopes.hi.expand(shape))),), values)
    return Action(
        ((x, _repeated(x.shape, shape, Between(slopes.lo, slopes.hi).largest_modulus())),), values
    )


def _repeated(shape: torch.Size, out_shape: torch.Size, norm: Upper) -> Gain:
    """Every entry is used k times, with slopes of at most `norm`: the p -> p gain is at most
    k^(1/p) norm."""
    copies = Upper(float(out_shape.numel() // max(shape.numel(), 1)))
    gains = {Norm.L1: copies * norm, Norm.L2: copies.sqrt() * norm, Norm.LINF: norm}
    return Gain(shape, out_shape, gains)


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
