"""Operations that change nothing (copies, casts, dropout in evaluation mode), and constants in a
tensor's shape."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from autolip.errors import InputError, UnsupportedOperation
from autolip.graph.schema import parameters
from autolip.intervals import Interval
from autolip.operators.diagonal import Identity
from autolip.rules.derive import entrywise
from autolip.rules.linear import Value, combination, shape_of
from autolip.rules.rule import Action, Constant, Example, Operand, Variable, add_rule, rule
from autolip.slopes import Exact

aten = torch.ops.aten

X = Variable(2, 5)


def unchanged(x: Operand) -> Action:
    """Exact: the identity."""
    return Action(((x, Exact(Identity(x.shape))),), x.range)


def identity(target: Callable[..., Any], *examples: Example) -> None:
    """Enter an operation that returns its first argument into the table."""
    first = parameters(target)[0].name

    def function(**arguments: Any) -> Action:
        """Exact: the identity."""
        return unchanged(arguments[first])

    add_rule(target, function, examples or (Example(X),))


identity(aten.clone.default)
identity(aten.contiguous.default)
identity(aten.alias.default)
identity(aten.positive.default)
identity(aten.detach.default)  # changes what autograd sees, not the function
identity(aten.lift_fresh_copy.default)


# Casts
# --------------------------------------------------------------------------------------------------


@rule(
    aten._to_copy.default,
    Example(X, dtype=torch.float64),
    Example(X),
    Example(X, dtype=torch.int64),
    Example(Variable(3, lo=0.0), dtype=torch.bool),
)
def to_copy(
    self: Operand,
    dtype: torch.dtype | None,
    layout: torch.layout | None,
    device: torch.device | None,
    pin_memory: bool | None,
    non_blocking: bool,
    memory_format: torch.memory_format | None,
) -> Action:
    """Exact between floating types: the identity; to integers and masks infinite unless the range
    decides it."""
    return cast(self, dtype)


@rule(aten.to.dtype, Example(X, torch.float64), Example(X, torch.int32))
def to_dtype(
    self: Operand,
    dtype: torch.dtype,
    non_blocking: bool,
    copy: bool,
    memory_format: torch.memory_format | None,
) -> Action:
    """Exact between floating types: the identity; to integers and masks infinite unless the range
    decides it."""
    return cast(self, dtype)


@rule(aten.type_as.default, Example(X, Constant(3)), Example(X, torch.tensor([1])))
def type_as(self: Value, other: Value) -> Action:
    """Exact between floating types: the identity; to integers and masks infinite unless the range
    decides it."""
    dtype = other.dtype if isinstance(other, Tensor) else None
    return (
        cast(self, dtype) if isinstance(self, Operand) else combination(shape_of(self), (1.0, self))
    )


def cast(x: Operand, dtype: torch.dtype | None) -> Action:
    """The identity between floating types; a cast to integers truncates, one to a mask asks for
    non-zeros."""
    if dtype is None or dtype.is_floating_point:
        return unchanged(x)
    if dtype.is_complex:
        raise UnsupportedOperation(f"a cast to {dtype}: only real tensors are supported")
    values = (
        _truth(x.range) if dtype == torch.bool else Interval(x.range.lo.trunc(), x.range.hi.trunc())
    )
    steepest = torch.where(values.lo == values.hi, 0.0, math.inf).double()
    return entrywise(x, Interval(-steepest, steepest), values)


def _truth(x: Interval) -> Interval:
    always = ((x.lo > 0) | (x.hi < 0)).double()
    return Interval(always, ((x.lo != 0) | (x.hi != 0)).double())


# Dropout
# --------------------------------------------------------------------------------------------------


@rule(aten.dropout.default, Example(X, 0.3, False), Example(X, 0.0, True))
@rule(aten.feature_dropout.default, Example(X, 0.3, False))
@rule(aten.alpha_dropout.default, Example(X, 0.3, False))
@rule(aten.feature_alpha_dropout.default, Example(X, 0.3, False))
@rule(aten.native_dropout.default, Example(X, 0.3, False, pick=0))
def dropout(input: Operand, p: float, train: bool | None) -> Action:
    """Exact: the identity in evaluation mode."""
    if p > 0 and train is not False:
        raise InputError(
            f"dropout with p = {p} is random here: call model.eval(), and F.dropout(x, "
            "training=self.training)"
        )
    return unchanged(input)


# Constants in the shape of a varying tensor, and what is written over it
# ----------------------------------------


def _constantly(value: float, shape: Sequence[int]) -> Action:
    return Action((), Interval.uniform(value, value, tuple(shape)))


def constant(target: Callable[..., Any], value: float | None, example: Example) -> None:
    """Enter an operation that fills a new tensor with `value` (its argument `fill_value`, if None)
    into the table."""

    def function(**arguments: Any) -> Action:
        """No slope: does not depend on the values of its argument."""
        shape = arguments.get("size", arguments["self"].shape)
        return _constantly(float(arguments["fill_value"] if value is None else value), shape)

    add_rule(target, function, (example,))


constant(aten.zeros_like.default, 0.0, Example(X))
constant(aten.ones_like.default, 1.0, Example(X))
constant(aten.full_like.default, None, Example(X, -0.7))
constant(aten.new_zeros.default, 0.0, Example(X, [3, 2]))
constant(aten.new_ones.default, 1.0, Example(X, [3, 2]))
constant(aten.new_full.default, None, Example(X, [3, 2], -0.7))


@rule(aten.fill.Scalar, Example(X, -0.7))
@rule(aten.fill.Tensor, Example(X, Constant()), Example(Constant(2, 5), Variable()))
def fill(self: Value, value: Value) -> Action:
    """Exact: copies of the value; nothing towards what is overwritten."""
    return combination(shape_of(self), (1.0, value))


@rule(
    aten.copy.default,
    Example(X, Variable(5)),
    Example(Constant(2, 5), X),
    Example(X, Constant(2, 1)),
)
def copy(self: Value, src: Value, non_blocking: bool) -> Action:
    """Exact: copies of the source; nothing towards what is overwritten."""
    return combination(shape_of(self), (1.0, src))
