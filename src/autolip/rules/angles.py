"""The angle of a point of the plane, and a size with another number's sign: smooth away from where
that sign turns."""

import math

import torch
from torch import Tensor

from autolip.intervals import Interval
from autolip.roundoff import TINY
from autolip.rules.derive import entrywise
from autolip.rules.linear import Value, tensor_of
from autolip.rules.rule import Action, Constant, Example, Operand, Variable, rule
from autolip.slopes import Between

aten = torch.ops.aten
INF = math.inf

SLACK = 2.0**-48
"""Proved: more than the relative error of two quotients by a modulus, each rounded three times."""


@rule(
    aten.atan2.default,
    Example(Variable(2, 3), Variable(2, 3)),
    Example(Variable(3), Constant(2, 3)),
    Example(Constant(2, 3), Variable(2, 3)),
    Example(Variable(3), Variable(3, lo=0.2)),
    Example(Variable(3, lo=0.1), Variable(3)),
    Example(Variable(3, hi=-0.1), Variable(3)),
)
@rule(aten.arctan2.default, Example(Variable(3, lo=0.1), Variable(3)))
def atan2(self: Value, other: Value) -> Action:
    """Between, by the gradient (x, -y) / (x^2 + y^2) on both ranges; infinite where they meet the
    cut x <= 0, y = 0."""
    y, x = _range(self), _range(other)
    open_ = (y.lo <= 0) & (y.hi >= 0) & (x.lo <= 0)
    by_y = _over_square(x, y)
    by_x = _over_square(y, x)
    towards = (by_y, Interval(-by_x.hi, -by_x.lo))
    slopes = [
        (
            operand,
            Interval(torch.where(open_, -INF, slope.lo), torch.where(open_, INF, slope.hi)),
        )
        for operand, slope in zip((self, other), towards, strict=True)
        if isinstance(operand, Operand)
    ]
    return _entrywise(slopes, _angles(y, x, open_))


def _range(value: Value) -> Interval:
    if isinstance(value, Operand):
        return value.range
    constant = tensor_of(value)
    return Interval(constant, constant)


def _entrywise(slopes: list[tuple[Operand, Interval]], image: Interval) -> Action:
    """Of two operands in the shape of the result, or of one that constants may broadcast."""
    if len(slopes) == 1:
        return entrywise(*slopes[0], image, image.shape)
    return Action(tuple((x, Between(slope.lo, slope.hi)) for x, slope in slopes), image)


def _over_square(p: Interval, q: Interval) -> Interval:
    """The range of p / (p^2 + q^2) on a box without the origin.

    It has no critical point but the origin, so that it is extreme on the border: at corners, on an
    edge p = const at q = 0, on an edge q = const at |p| = |q|.
    """
    meets = (q.lo <= 0) & (q.hi >= 0)
    near = torch.where(meets, 0.0, torch.minimum(q.lo.abs(), q.hi.abs()))
    values = [
        _quotient(torch.minimum(torch.maximum(at, p.lo), p.hi), size)
        for size in (near, q.magnitude())
        for at in (p.lo, p.hi, size, -size)
    ]
    every = torch.stack(torch.broadcast_tensors(*values))
    return Interval(every.amin(0), every.amax(0)).widen(SLACK, TINY)


def _quotient(p: Tensor, q: Tensor) -> Tensor:
    """p / r / r, r the modulus of (p, q); 0 in the limit."""
    modulus = torch.hypot(p, q)
    return (p / modulus / modulus).nan_to_num(nan=0.0, posinf=INF, neginf=-INF)


def _angles(y: Interval, x: Interval, open_: Tensor) -> Interval:
    """The angle of a box beside the cut is extreme at a corner."""
    corners = [torch.atan2(a, b) for a in (y.lo, y.hi) for b in (x.lo, x.hi)]
    every = torch.stack(torch.broadcast_tensors(*corners))
    around = Interval(every.amin(0), every.amax(0)).widen(SLACK, TINY)
    turn = math.nextafter(math.pi, 4.0)
    return Interval(torch.where(open_, -turn, around.lo), torch.where(open_, turn, around.hi))


@rule(
    aten.copysign.Tensor,
    Example(Variable(3), Constant(2, 3)),
    Example(Variable(2, 3), Variable(2, 3)),
    Example(Constant(2, 3), Variable(3)),
    Example(Variable(3), Variable(3, lo=0.1)),
)
@rule(aten.copysign.Scalar, Example(Variable(3), -0.7), Example(Variable(3), 0.0))
def copysign(self: Value, other: Value) -> Action:
    """Between(-1, 1) towards the size, 1 or -1 where both signs are known; infinite towards a sign
    that the region leaves open."""
    x, sign = _range(self), _range(other)
    varies = isinstance(other, Operand)
    positive = sign.lo > 0 if varies else ~torch.signbit(sign.lo)
    negative = sign.hi < 0 if varies else torch.signbit(sign.lo)
    open_ = ~(positive | negative)
    size = _sizes(x)
    image = Interval(
        torch.where(positive, size.lo, -size.hi), torch.where(negative, -size.lo, size.hi)
    )
    slopes: list[tuple[Operand, Interval]] = []
    if isinstance(self, Operand):
        rising = Interval(torch.where(x.lo >= 0, 1.0, -1.0), torch.where(x.hi <= 0, -1.0, 1.0))
        lo = torch.where(positive, rising.lo, torch.where(negative, -rising.hi, -1.0))
        hi = torch.where(positive, rising.hi, torch.where(negative, -rising.lo, 1.0))
        slopes.append((self, Interval(lo, hi)))
    if isinstance(other, Operand):
        jump = torch.where(open_ & (size.hi > 0), INF, 0.0)
        slopes.append((other, Interval(-jump, jump)))
    return _entrywise(slopes, image)


def _sizes(x: Interval) -> Interval:
    """The range of |x|."""
    meets = (x.lo <= 0) & (x.hi >= 0)
    least = torch.where(meets, 0.0, torch.minimum(x.lo.abs(), x.hi.abs()))
    return Interval(least, x.magnitude())
