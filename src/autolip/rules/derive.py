"""From a rule's outcome to slopes and image: affine maps and pointwise functions need to say no more than they are."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from autolip.intervals import Interval
from autolip.operators.image import image
from autolip.rules.rule import Action, Affine, Outcome, Pointwise, Turn
from autolip.slopes import Between, Exact


def action_of(outcome: Outcome, shape: torch.Size) -> Action:
    """The slopes and the image that a rule's outcome stands for."""
    if isinstance(outcome, Affine):
        return _affine(outcome, shape)
    if isinstance(outcome, Pointwise):
        return _pointwise(outcome)
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


def _pointwise(curve: Pointwise) -> Action:
    shape = curve.operand.shape
    lo, hi = curve.operand.range.ends()
    values = _range_of_values(curve, lo, hi)
    slopes = _range_of_slopes(curve, lo, hi)
    between = Between(slopes.lo.expand(shape), slopes.hi.expand(shape))
    return Action(((curve.operand, between),), Interval(values.lo.expand(shape), values.hi.expand(shape)))


def _range_of_values(curve: Pointwise, lo: Tensor, hi: Tensor) -> Interval:
    """Extremes of a function that is monotone between its turns: at the ends and at the turns inside."""
    low, high = lo.clamp(*curve.domain), hi.clamp(*curve.domain)
    found = [_Found(_at(curve.value, curve.value_limits, end)) for end in (low, high)]
    for turn in curve.value_turns:
        point = torch.as_tensor(turn, dtype=torch.float64)
        found.append(_Found(curve.value(point), (low <= point) & (point <= high)))
    for jump in curve.jumps:
        point = torch.as_tensor(jump, dtype=torch.float64)
        for near in (point, _below(point), _above(point)):
            found.append(_Found(curve.value(near), (low <= point) & (point <= high)))
    return _hull(found, curve.error)


def _range_of_slopes(curve: Pointwise, lo: Tensor, hi: Tensor) -> Interval:
    """Secant slopes lie within the range of the derivative (mean value theorem, kinks by both one-sided slopes)."""
    low, high = lo.clamp(*curve.domain), hi.clamp(*curve.domain)
    at_low = _at(curve.derivative, curve.slope_limits, low)
    at_high = _at(curve.derivative, curve.slope_limits, high)
    inner: list[_Found] = []
    for turn in curve.slope_turns:
        point, left, right = _sides(curve, turn)
        at_low = torch.where(low == point, right, at_low)
        at_high = torch.where(high == point, left, at_high)
        inner.append(_Found(left, (low < point) & (point <= high)))
        inner.append(_Found(right, (low <= point) & (point < high)))
    hull = _hull([_Found(at_low), _Found(at_high), *inner], curve.error)
    return _unbounded(hull, _is_singular(curve, lo, hi))


def _sides(curve: Pointwise, turn: Turn) -> tuple[Tensor, Tensor, Tensor]:
    point = torch.as_tensor(turn.at, dtype=torch.float64)
    smooth = curve.derivative(point)
    left = smooth if turn.left is None else torch.as_tensor(turn.left, dtype=torch.float64)
    right = smooth if turn.right is None else torch.as_tensor(turn.right, dtype=torch.float64)
    return point, left, right


def _is_singular(curve: Pointwise, lo: Tensor, hi: Tensor) -> Tensor:
    """Where the range meets a discontinuity or leaves the domain: no finite slope."""
    singular = (lo < curve.domain[0]) | (hi > curve.domain[1])
    for jump in curve.jumps:
        point = torch.as_tensor(jump, dtype=torch.float64)
        singular = singular | ((lo <= point) & (point <= hi) & (lo < hi))
    return singular


def _unbounded(interval: Interval, where: Tensor) -> Interval:
    lo = torch.where(where, torch.full((), -math.inf, dtype=torch.float64), interval.lo)
    hi = torch.where(where, torch.full((), math.inf, dtype=torch.float64), interval.hi)
    return Interval(lo, hi)


def _at(function: object, limits: tuple[Tensor | float, Tensor | float], x: Tensor) -> Tensor:
    """function(x), its limits at infinite x."""
    low, high = (torch.as_tensor(limit, dtype=torch.float64) for limit in limits)
    value = function(torch.where(x.isfinite(), x, torch.zeros_like(x)))  # type: ignore[operator]
    return torch.where(x == -math.inf, low, torch.where(x == math.inf, high, value))


class _Found(NamedTuple):
    """A value that the function takes, and where it counts."""

    value: Tensor
    inside: Tensor = torch.tensor(True)


def _hull(found: list[_Found], error: float) -> Interval:
    """The least interval around all that counts; a NaN (overflow inside a formula) makes it infinite."""
    shape = torch.broadcast_shapes(*(side.shape for entry in found for side in entry))
    lo, hi = torch.full(shape, math.inf, dtype=torch.float64), torch.full(shape, -math.inf, dtype=torch.float64)
    for value, inside in found:
        lo = torch.where(inside, torch.minimum(lo, value.nan_to_num(-math.inf, math.inf, -math.inf)), lo)
        hi = torch.where(inside, torch.maximum(hi, value.nan_to_num(math.inf, math.inf, -math.inf)), hi)
    return Interval(lo, hi).widen(error, error) if error else Interval(lo, hi)


def _below(point: Tensor) -> Tensor:
    return point.nextafter(torch.full_like(point, -math.inf))


def _above(point: Tensor) -> Tensor:
    return point.nextafter(torch.full_like(point, math.inf))
