"""From a rule's outcome to slopes and image: affine maps and pointwise functions need to say no
more than they are."""

import torch
from torch import Tensor

from autolip.intervals import Interval
from autolip.norms import Norm
from autolip.operators.image import image
from autolip.rules.curves import value_range
from autolip.rules.rule import Action, Affine, Operand, Outcome, Pointwise
from autolip.rules.secants import secant_range
from autolip.slopes import Between, Exact, Gain
from autolip.values import Upper


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
    number = torch.as_tensor(offset, dtype=torch.float64)
    value = number.expand(shape)
    return Interval(value, value) if value.ne(0).any() else None


def _pointwise(curve: Pointwise, shape: torch.Size) -> Action:
    return entrywise(curve.operand, secant_range(curve), value_range(curve), shape)


def entrywise(
    x: Operand, slopes: Interval, values: Interval, shape: torch.Size | None = None
) -> Action:
    """A function of the entries of x with these slopes and values; `shape` if parameters broadcast
    x to it."""
    shape = x.shape if shape is None else shape
    lo = values.lo.expand(shape)
    hi = values.hi.expand(shape)
    values = Interval(lo, hi)
    if shape == x.shape:
        return Action(((x, Between(slopes.lo.expand(shape), slopes.hi.expand(shape))),), values)
    return Action(
        ((x, _repeated(x.shape, shape, Between(slopes.lo, slopes.hi).largest_modulus())),), values
    )


def _repeated(shape: torch.Size, out_shape: torch.Size, norm: Upper) -> Gain:
    """Every entry is used k times, with slopes of at most `norm`: the p -> p gain is at most
    k^(1/p) norm."""
    times = out_shape.numel() // max(shape.numel(), 1)
    copies = Upper(float(times))
    gains = {Norm.L1: copies * norm, Norm.L2: copies.sqrt() * norm, Norm.LINF: norm}
    return Gain(shape, out_shape, gains)
