"""Standard deviations: a seminorm, so that their slopes are known everywhere.

With n entries and c the correction, std(x) = |P x| / sqrt(n - c), P = I - 1 1^T / n.  By the
triangle inequality |std(x) - std(y)| <= std(x - y), and the largest std of a difference d is

    |d|_2 = 1:    1 / sqrt(n - c)                          (n > 1)
    |d|_1 = 1:    sqrt((1 - 1/n) / (n - c))                at one entry
    |d|_inf = 1:  sqrt((n - (n mod 2) / n) / (n - c))      at signs, half of them of each kind

all three attained, with y = 0.
"""

import math
from collections.abc import Sequence
from fractions import Fraction

import torch
from torch import Tensor

from autolip.errors import InputError
from autolip.intervals import Interval
from autolip.norms import Norm
from autolip.rules.normalisation import SLACK, greatest_spread, least_spread
from autolip.rules.rule import Action, Example, Operand, Variable, rule
from autolip.slopes import Gain
from autolip.values import Upper, round_up

aten = torch.ops.aten


@rule(
    aten.std.correction,
    Example(Variable(2, 5), [1]),
    Example(Variable(2, 3, 4), [0, -1], correction=0, keepdim=True),
    Example(Variable(2, 3), correction=2),
    Example(Variable(3, 1), [1], correction=0),
)
def std(
    self: Operand, dim: Sequence[int] | None, correction: float | None, keepdim: bool
) -> Action:
    """Gain(l2: 1 / sqrt(n - c), l1: sqrt((1 - 1/n) / (n - c)), linf: sqrt(n / (n - c))), c the
    correction."""
    axes = [axis % max(self.dim, 1) for axis in dim or range(self.dim)]
    n = math.prod(self.shape[axis] for axis in axes)
    freedom = Fraction(n) - Fraction(1 if correction is None else correction)
    if n == 0 or freedom <= 0:
        raise InputError(
            f"a standard deviation of {n} entries with correction {correction} has no finite "
            "value: it needs more entries than its correction"
        )
    squares = {
        Norm.L1: Fraction(n - 1, n),
        Norm.L2: Fraction(min(n - 1, 1)),
        Norm.LINF: n - Fraction(n % 2, n),
    }
    norms = {
        norm: Upper(round_up(float(square / freedom))).sqrt() for norm, square in squares.items()
    }
    image = _image(self, axes, n / freedom, keepdim)
    return Action(((self, Gain(self.shape, image.shape, norms, tuple(axes))),), image)


def _image(x: Operand, axes: list[int], scale: Fraction, keepdim: bool) -> Interval:
    """sqrt(scale v), v the mean of (x_i - m)^2."""
    kept = [axis for axis in range(x.dim) if axis not in axes]
    shape = [1 if axis in axes else x.shape[axis] for axis in range(x.dim)]
    shape = shape if keepdim else [x.shape[axis] for axis in kept]
    count = math.prod(x.shape[axis] for axis in kept)

    def rows(t: Tensor) -> Tensor:
        return t.permute(*kept, *axes).reshape(count, -1)

    values = Interval(rows(x.range.lo), rows(x.range.hi))
    ends = (least_spread(values, True), greatest_spread(values, True))
    lo, hi = (torch.sqrt(end * float(scale)).reshape(shape) for end in ends)
    around = Interval(lo, hi.nan_to_num(nan=math.inf, posinf=math.inf)).widen(relative=SLACK)
    return Interval(around.lo.clamp(min=0.0), around.hi)
