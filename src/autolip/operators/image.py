"""The image of a box under a linear map, with outward rounding."""

import math

import torch
from torch import Tensor

from autolip.intervals import Interval
from autolip.operators.algebra import factors
from autolip.operators.operator import Operator
from autolip.roundoff import TINY, sum_error


def image(operator: Operator, x: Interval) -> Interval:
    """An interval that contains A x for every x in the interval (0 * inf = 0); A 0 is 0."""
    if not bool(x.lo.any() or x.hi.any()):
        return Interval.uniform(0.0, 0.0, operator.out_shape)
    if operator.is_wiring:
        return _wired(operator, x)
    scale = operator.diagonal
    if scale is not None and operator.is_isometry:
        if bool((scale == 1).all()):
            return x
        first = x.lo * scale
        last = x.hi * scale
        ends = first, last
        return Interval(torch.minimum(*ends), torch.maximum(*ends))
    if x.is_everywhere:
        return Interval.everywhere(operator.out_shape)
    if len(factors(operator)) > 1:
        return _in_turn(operator, x).meet(_bounded(operator, x))
    return _bounded(operator, x) if x.is_bounded else _half_bounded(operator, x)


def _in_turn(operator: Operator, x: Interval) -> Interval:
    """Factor by factor: loses correlations, keeps half-lines."""
    for factor in reversed(factors(operator)):
        x = image(factor, x)
    return x


def _wired(operator: Operator, x: Interval) -> Interval:
    """Sums of entries: no entry is scaled, so infinities need no care; a selection does not even
    round.

    t terms lose t - 1 units, and gamma_t has t + 2: enough for both roundings of each end.
    """
    lo = operator._mv(x.lo.unsqueeze(0))[0]
    hi = operator._mv(x.hi.unsqueeze(0))[0]
    if operator.is_selection:
        return Interval(lo, hi)
    magnitudes = _finite(x.magnitude()).unsqueeze(0)
    sizes = operator._mv(magnitudes)[0]
    slack = sum_error(operator.terms, sizes)
    return Interval(lo - slack, hi + slack)


def _half_bounded(operator: Operator, x: Interval) -> Interval:
    """Infinite wherever an infinite end is scaled by a non-zero entry; else every entry counts with
    its finite end."""
    parts = operator.split()
    if parts is None:
        return Interval.everywhere(operator.out_shape)
    positive, negative = parts
    no_lo = x.lo.isinf()
    no_hi = x.hi.isinf()
    above = _touches(positive, no_hi) | _touches(negative, no_lo)
    below = _touches(positive, no_lo) | _touches(negative, no_hi)
    if bool(above.all() and below.all()):
        return Interval.everywhere(operator.out_shape)
    other_end = torch.where(no_hi, 0.0, x.hi)
    lo = torch.where(no_lo, other_end, x.lo)
    other = torch.where(no_lo, 0.0, x.lo)
    hi = torch.where(no_hi, other, x.hi)
    inside = _bounded(operator, Interval(lo, hi))
    return Interval(
        torch.where(below, -math.inf, inside.lo), torch.where(above, math.inf, inside.hi)
    )


def _touches(operator: Operator, mask: Tensor) -> Tensor:
    """Which outputs have a positive entry at a masked input: sums of positive numbers do not round
    to zero."""
    if not bool(mask.any()):
        return torch.zeros(operator.out_shape, dtype=torch.bool)
    return _apply(operator, mask.to(torch.float64)) > 0


def _bounded(operator: Operator, x: Interval) -> Interval:
    """A c +- |A| r with centre c and radius r; the slack covers all roundings and inexact entries.

    In units of |A| r and of |A| |x|: the radius takes 1 and 0, the centre's image 0 and t, the
    reach t + 3 and 0, the ends 1 and 1: fewer than the t + 10 of both.  TINY is for what
    underflows, before A and in every factor of it.
    """
    if not x.is_bounded:
        return Interval.everywhere(operator.out_shape)
    center = x.lo / 2 + x.hi / 2
    above = x.hi - center
    below = center - x.lo
    radius = torch.maximum(above, below)
    of_sums = sum_error(operator.terms + 8, 1.0)
    error = of_sums + 2 * operator.relative_error
    lost = (x.magnitude() + radius) * error
    around = radius + lost + TINY
    total = lambda parts: torch.stack(list(parts)).sum(0)  # noqa: E731
    radii = around.unsqueeze(0)
    reach = operator.fold(radii, _reach, total)[0]
    middle = _apply(operator, center)
    lo, hi = middle - reach, middle + reach
    lo, hi = torch.where(lo.isfinite(), lo, -math.inf), torch.where(hi.isfinite(), hi, math.inf)
    return Interval(lo, hi)


def _reach(leaf: Operator, radius: Tensor) -> Tensor:
    """|A| r and what underflows in a product with A: nothing where entries are only copied or
    added."""
    bound = leaf.majorant()
    if bound is None:
        return radius.new_full((len(radius), *leaf.out_shape), math.inf)
    return bound._mv(radius) + (0.0 if leaf.is_wiring else leaf.terms * TINY)


def _apply(operator: Operator, x: Tensor) -> Tensor:
    return operator._mv(x.unsqueeze(0))[0]


def _finite(x: Tensor) -> Tensor:
    return torch.where(x.isfinite(), x, torch.zeros_like(x))
