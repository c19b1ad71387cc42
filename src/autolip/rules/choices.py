"""Entrywise choices between two tensors by a mask: wiring where the mask is constant or decided by
the region."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from autolip.intervals import Interval
from autolip.norms import Norm
from autolip.rules.linear import Value, shape_of
from autolip.rules.rule import Action, Constant, Example, Operand, Variable, rule
from autolip.rules.wiring import Call, wired
from autolip.slopes import Gain
from autolip.values import INFINITE

aten = torch.ops.aten

X = Variable(2, 3, 4)
MASK = torch.tensor([[True, False, True, False], [False] * 4, [True] * 4])
VARYING = Variable(3, 4, boolean=True)


@rule(
    aten.where.self,
    Example(MASK, X, Constant(3, 1)),
    Example(MASK, Constant(2, 3, 4), Variable(4)),
    Example(MASK, X, Variable(3, 1)),
    Example(VARYING, X, Constant()),
)
@rule(aten.where.ScalarOther, Example(MASK, X, -math.inf), Example(VARYING, X, 0.7))
@rule(aten.where.ScalarSelf, Example(MASK, 0.7, X), Example(VARYING, 0.7, Variable(4)))
@rule(aten.where.Scalar, Example(VARYING, 0.7, -2.0))
def where(condition: Value, self: Value, other: Value) -> Action:
    """Exact by a decided mask: copies of entries; infinite by a mask that the region leaves
    open."""
    return _chosen(condition, self, other)


@rule(
    aten.masked_fill.Scalar,
    Example(X, MASK, 0.7),
    Example(Variable(3, 1), MASK, -math.inf),
    Example(X, VARYING, 0.7),
)
@rule(
    aten.masked_fill.Tensor,
    Example(X, MASK, Constant()),
    Example(Constant(3, 1), MASK, Variable()),
    Example(X, VARYING, Variable()),
)
def masked_fill(self: Value, mask: Value, value: Value) -> Action:
    """Exact by a decided mask: copies of entries; infinite by a mask that the region leaves
    open."""
    return _chosen(mask, value, self)


def _chosen(mask: Value, yes: Value, no: Value) -> Action:
    known = _decided(mask)
    if known is None:
        return _open(mask, yes, no)
    arguments = {"condition": known, "self": _as_value(yes), "other": _as_value(no)}
    return wired(Call(aten.where.self, aten.where.self, arguments))[0]


def _as_value(value: Value) -> Operand | Tensor:
    return value if isinstance(value, Operand) else torch.as_tensor(value, dtype=torch.float64)


def _decided(mask: Value) -> Tensor | None:
    """The mask, if it is the same on the whole region."""
    if not isinstance(mask, Operand):
        return torch.as_tensor(mask).bool()
    lo = mask.range.lo
    hi = mask.range.hi
    always = (lo > 0) | (hi < 0)
    never = (lo == 0) & (hi == 0)
    return always if bool((always | never).all()) else None


def _open(*arguments: Value) -> Action:
    """Either value, and a jump where the mask flips."""
    shape = torch.broadcast_shapes(*(shape_of(argument) for argument in arguments))
    infinite = dict.fromkeys(Norm, INFINITE)
    operands = {argument.name: argument for argument in arguments if isinstance(argument, Operand)}
    slopes = tuple((x, Gain(x.shape, shape, infinite)) for x in operands.values())
    lows = [_end(value, lambda x: x.lo).expand(shape) for value in arguments[1:]]
    highs = [_end(value, lambda x: x.hi).expand(shape) for value in arguments[1:]]
    lo = torch.minimum(*lows)
    hi = torch.maximum(*highs)
    return Action(slopes, Interval(lo, hi))


def _end(value: Value, end: Callable[[Interval], Tensor]) -> Tensor:
    return (
        end(value.range)
        if isinstance(value, Operand)
        else torch.as_tensor(value, dtype=torch.float64)
    )
