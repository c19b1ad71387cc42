"""Products of two varying tensors: towards each factor the slope is the other factor's range.

For any bilinear *, with m the mean of both points,

    x1 * y1 - x2 * y2 = (x1 - x2) * m(y) + m(x) * (y1 - y2).

The mean of two points of a range is any point of it; from a centre, half of the way there.
"""

import math

import torch
from torch import Tensor

from autolip.errors import Refusal
from autolip.intervals import Interval, inverted, mean
from autolip.norms import Norm
from autolip.operators.dense import Dense
from autolip.operators.norms import NormOptions, operator_norm
from autolip.roundoff import TINY, relative_error, sum_error
from autolip.rules.rule import Action, Operand, Pointwise
from autolip.slopes import Between, Gain
from autolip.values import INFINITE, Upper


def elementwise_product(left: Operand, right: Operand) -> Action | Pointwise:
    """Between(range of the other factor); a square is one function of it."""
    if left.name == right.name:
        return _square(left)
    by_left, by_right = right.mean, left.mean
    slopes = (
        (left, Between(by_left.lo, by_left.hi)),
        (right, Between(by_right.lo, by_right.hi)),
    )
    return Action(slopes, left.range * right.range)


def _square(x: Operand) -> Pointwise:
    """x^2, evaluated to one unit; its derivative 2 x is exact."""
    return Pointwise(
        x,
        torch.square,
        lambda t: 2 * t,
        (math.inf, math.inf),
        (-math.inf, math.inf),
        value_turns=(0.0,),
        error=relative_error(1),
        absolute=TINY,
        values_within=(0.0, math.inf),
        exact_slopes=True,
    )


def quotient(left: Operand, right: Operand) -> Action:
    """x1/y1 - x2/y2 = m(1/y) dx - (m(x)/(y1 y2)) dy; infinite where the divisor's range meets 0."""
    inverse = inverted(right.range)
    second = inverse if right.centre is None else inverted(right.centre)
    by_left = inverse if right.centre is None else mean(inverse, second)
    towards_right = left.mean * inverse * second
    slopes = (
        (left, Between(by_left.lo, by_left.hi)),
        (right, Between(-towards_right.hi, -towards_right.lo)),
    )
    return Action(slopes, left.range * inverse)


def matrix_product(left: Operand, right: Operand, shape: torch.Size) -> Action:
    """Gain towards each factor: the largest norm that the other factor has on its range, batch by
    batch.

    ||dL R||_F <= ||dL||_F ||R||_2; entrywise l1 and linf gains are row and column sums of |R|, and
    alike for L dR.
    """
    sizes_right = right.mean.magnitude()
    by_left = _gain(left, sizes_right.mT, shape)
    sizes_left = left.mean.magnitude()
    by_right = _gain(right, sizes_left, shape)
    return Action(
        ((left, by_left), (right, by_right)), _product_range(left.range, right.range, shape)
    )


def _gain(operand: Operand, other: Tensor, shape: torch.Size) -> Gain:
    """Gains of X -> M X for all |M| <= other entrywise (of the transposed product, for the left
    factor)."""
    norms = {norm: _largest(other, norm) for norm in Norm}
    return Gain(operand.shape, shape, norms)


def _largest(magnitudes: Tensor, norm: Norm) -> Upper:
    """||M||_{p -> p} over the batch, for every matrix dominated entrywise: that of the dominating
    one."""
    if not magnitudes.isfinite().all():
        return INFINITE
    majorant = Dense(magnitudes.contiguous())
    bound = operator_norm(majorant, norm, norm, NormOptions())
    return INFINITE if isinstance(bound, Refusal) else bound


def _product_range(left: Interval, right: Interval, shape: torch.Size) -> Interval:
    """Centre and radius: L R lies in Lc Rc +- (|Lc| Rr + Lr |Rc| + Lr Rr).

    Of n terms, the centre loses n units of (|Lc| + Lr) (|Rc| + Rr), the spread n + 2 and the ends
    4: fewer than the slack has.
    """
    if not (left.is_bounded and right.is_bounded):
        return Interval.everywhere(shape)
    left_middle, left_radius = _middle(left)
    right_middle, right_radius = _middle(right)
    centre = left_middle @ right_middle
    # |(m + d)(n + e) - m n| <= |m| |e| + |d| (|n| + |e|)
    left_size = left_middle.abs() + left_radius
    right_size = right_middle.abs() + right_radius
    size = left_size @ right_size
    spread = left_middle.abs() @ right_radius + left_radius @ right_size
    terms = left.shape[-1]
    of_terms = sum_error(4 * terms + 8, size)
    slack = of_terms + terms * TINY
    return Interval(
        (centre - spread - slack).expand(shape), (centre + spread + slack).expand(shape)
    )


def _middle(x: Interval) -> tuple[Tensor, Tensor]:
    middle = x.lo / 2 + x.hi / 2
    above = x.hi - middle
    below = middle - x.lo
    radius = torch.maximum(above, below)
    return middle, radius.nextafter(torch.full_like(radius, math.inf))
