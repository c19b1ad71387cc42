"""The image of a box under a linear map, with outward rounding."""

import math

import torch
from torch import Tensor

from autolip.intervals import TINY, Interval, gamma
from autolip.operators.algebra import Composition
from autolip.operators.diagonal import Diagonal
from autolip.operators.index import Incidence
from autolip.operators.operator import Operator


def image(operator: Operator, x: Interval) -> Interval:
    """An interval that contains A x for every x in the interval (0 * inf = 0)."""
    if isinstance(operator, Incidence):
        return _wired(operator, x)
    if isinstance(operator, Diagonal) and operator.is_isometry:
        ends = x.lo * operator.scale, x.hi * operator.scale
        return Interval(torch.minimum(*ends), torch.maximum(*ends))
    if x.is_everywhere:
        return Interval.everywhere(operator.out_shape)
    if isinstance(operator, Composition):
        return _in_turn(operator, x).meet(_through_majorant(operator, x))
    parts = operator.split()
    if parts is None:
        return _through_majorant(operator, x)
    positive, negative = parts
    error = _rounding(operator, positive, negative, x)
    lo = _combine(positive, negative, x.lo, x.hi, -math.inf) - error
    hi = _combine(positive, negative, x.hi, x.lo, math.inf) + error
    return Interval(lo, hi).widen()


def _in_turn(operator: Composition, x: Interval) -> Interval:
    """Factor by factor: loses correlations, keeps half-lines."""
    for factor in reversed(operator.factors):
        x = image(factor, x)
    return x


def _wired(operator: Incidence, x: Interval) -> Interval:
    """Sums of entries: no entry is scaled, so infinities need no care; a selection does not even round."""
    lo, hi = operator._mv(x.lo.unsqueeze(0))[0], operator._mv(x.hi.unsqueeze(0))[0]
    if operator.is_selection:
        return Interval(lo, hi)
    slack = operator._mv(_finite(x.magnitude()).unsqueeze(0))[0] * gamma(operator.terms)
    return Interval(lo - slack, hi + slack).widen()


def _combine(positive: Operator, negative: Operator, at: Tensor, other: Tensor, end: float) -> Tensor:
    """P at - N other, `end` wherever an infinite entry is scaled by a non-zero one."""
    value = _apply(positive, _finite(at)) - _apply(negative, _finite(other))
    if at.isfinite().all() and other.isfinite().all():
        return value
    reached = _touches(positive, at.isinf()) | _touches(negative, other.isinf())
    return torch.where(reached, torch.full_like(value, end), value)


def _touches(operator: Operator, mask: Tensor) -> Tensor:
    """Which outputs have a non-zero entry at a masked input."""
    support = operator.entrywise(lambda a: (a != 0).to(a.dtype)) or operator
    return _apply(support, mask.to(torch.float64)) > 0


def _rounding(operator: Operator, positive: Operator, negative: Operator, x: Interval) -> Tensor:
    """Error of the four products above, inexact entries included."""
    size = _finite(x.magnitude())
    total = _apply(positive, size) + _apply(negative, size)
    return total * (gamma(operator.terms + 3) + 2 * operator.relative_error) + operator.terms * TINY


def _through_majorant(operator: Operator, x: Interval) -> Interval:
    """A c +- |A| r with centre c and radius r."""
    bound = operator.majorant()
    if bound is None or not x.is_bounded:
        return Interval.everywhere(operator.out_shape)
    center = (x.lo / 2) + (x.hi / 2)
    radius = torch.maximum(x.hi - center, center - x.lo)
    spread = _apply(bound, radius)
    slack = _apply(bound, x.magnitude() + radius) * gamma(operator.terms + 4) + operator.terms * TINY
    middle = _apply(operator, center)
    return Interval(middle - spread - slack, middle + spread + slack).widen(relative=2**-50)


def _apply(operator: Operator, x: Tensor) -> Tensor:
    return operator._mv(x.unsqueeze(0))[0]


def _finite(x: Tensor) -> Tensor:
    return torch.where(x.isfinite(), x, torch.zeros_like(x))
