"""Comparisons, logic and positions: constant where the range decides them, else infinite."""

import math
from collections.abc import Callable
from itertools import product
from typing import Any

import torch
from torch import Tensor

from autolip.intervals import Interval
from autolip.norms import Norm
from autolip.operators.algebra import Zero
from autolip.operators.diagonal import Identity
from autolip.rules.derive import entrywise
from autolip.rules.ordering import position
from autolip.rules.rule import (
    Action,
    Affine,
    Constant,
    Example,
    Operand,
    Variable,
    rule,
)
from autolip.slopes import Between, Exact, Gain, Slope
from autolip.values import INFINITE

aten = torch.ops.aten
INF = math.inf
Argument = Operand | Tensor | float


def _interval(argument: Argument) -> Interval:
    if isinstance(argument, Operand):
        return Interval(*argument.range.ends())
    value = torch.as_tensor(argument, dtype=torch.float64)
    return Interval(value, value)


def _decided(arguments: tuple[Argument, ...], values: Interval, shape: torch.Size) -> Action:
    """A function with integer values in this interval: constant where the interval is a point."""
    image = Interval(values.lo.double().expand(shape), values.hi.double().expand(shape))
    undecided = image.lo != image.hi
    operands = [argument for argument in arguments if isinstance(argument, Operand)]
    return Action(
        tuple((operand, _blocked(operand.shape, undecided)) for operand in operands), image
    )


def _blocked(shape: torch.Size, undecided: Tensor) -> Slope:
    if not undecided.any():
        return Exact(Zero(shape, undecided.shape))
    if shape == undecided.shape:
        return Between(
            torch.where(undecided, -INF, 0.0).double(), torch.where(undecided, INF, 0.0).double()
        )
    return Gain(shape, undecided.shape, dict.fromkeys(Norm, INFINITE))


def _shape(*arguments: Argument) -> torch.Size:
    """The common shape of the arguments."""
    return torch.broadcast_shapes(*(a.shape for a in arguments if isinstance(a, Operand | Tensor)))


def _compare(operation: Callable[..., Tensor], self: Argument, other: Argument) -> Action:
    """>, >=, <, <= are monotone in each argument: extreme where one is highest and the other
    lowest."""
    a = _interval(self)
    b = _interval(other)
    one = operation(a.lo, b.hi)
    two = operation(a.hi, b.lo)
    return _decided((self, other), Interval(one & two, one | two), _shape(self, other))


def _ordering(name: str) -> None:
    operation = getattr(aten, name)

    def compare(self: Operand | Tensor, other: Operand | Tensor | float) -> Action:
        """Infinite unless the ranges decide it."""
        return _compare(operation, self, other)

    rule(operation.Scalar, Example(Variable(2, 5), 0.5))(compare)
    rule(
        operation.Tensor,
        Example(Variable(2, 5), Constant(5)),
        Example(Constant(3), Variable(2, 3)),
        Example(Variable(2, 3), Variable(3)),
    )(compare)


for _name in ("gt", "ge", "lt", "le", "greater", "greater_equal", "less", "less_equal"):
    _ordering(_name)


def _equal(self: Argument, other: Argument) -> Interval:
    """Whether the two are certainly, and whether they are possibly equal."""
    a = _interval(self)
    b = _interval(other)
    a_is_point = a.lo == a.hi
    b_is_point = b.lo == b.hi
    are_points = a_is_point & b_is_point
    certainly = are_points & (a.lo == b.lo)
    return Interval(certainly, (a.lo <= b.hi) & (b.lo <= a.hi))


def _equality(name: str, negated: bool) -> None:
    operation = getattr(aten, name)

    def compare(self: Operand | Tensor, other: Operand | Tensor | float) -> Action:
        """Infinite unless the ranges decide it."""
        same = _equal(self, other)
        values = Interval(~same.hi, ~same.lo) if negated else same
        return _decided((self, other), values, _shape(self, other))

    rule(operation.Scalar, Example(Variable(2, 5), 0.5))(compare)
    rule(
        operation.Tensor, Example(Variable(2, 5), Constant(5)), Example(Variable(2, 3), Variable(3))
    )(compare)


for _name, _negated in (("eq", False), ("ne", True), ("not_equal", True)):
    _equality(_name, _negated)


def _truth(argument: Argument) -> Interval:
    """Whether a number is certainly, and whether it is possibly non-zero."""
    zero = _equal(argument, 0.0)
    return Interval(~zero.hi, ~zero.lo)


def _combine(operation: Callable[..., Tensor], self: Argument, other: Argument) -> Action:
    """A logical operation, by its values at the possible truth values."""
    a = _truth(self)
    b = _truth(other)
    pairs = product((a.lo, a.hi), (b.lo, b.hi))
    corners = [operation(*pair) for pair in pairs]
    corners_there = torch.broadcast_tensors(*corners)
    stacked = torch.stack(corners_there)
    return _decided((self, other), Interval(stacked.all(0), stacked.any(0)), _shape(self, other))


def _logic(target: Any, operation: Callable[..., Tensor], *examples: Example) -> None:
    def combine(self: Operand | Tensor, other: Operand | Tensor) -> Action:
        """Infinite unless the ranges decide it."""
        return _combine(operation, self, other)

    rule(target, *examples)(combine)


def _bits(target: Any, operation: Callable[..., Tensor], *examples: Example) -> None:
    def combine(self: Operand | Tensor, other: Operand | Tensor | bool) -> Action:
        """Infinite unless the ranges decide it."""
        if all(_is_mask(argument) for argument in (self, other)):
            return _combine(operation, self, other)
        return _decided((self, other), Interval.everywhere(()), _shape(self, other))

    rule(target, *examples)(combine)


def _is_mask(argument: Argument) -> bool:
    """Whether the values are 0 and 1, for which bitwise and logical operations are the same."""
    values = _interval(argument)
    return bool(((values.lo >= 0) & (values.hi <= 1)).all())


_MASK = Variable(2, 3, boolean=True)
for _name, _operation in (
    ("and", torch.logical_and),
    ("or", torch.logical_or),
    ("xor", torch.logical_xor),
):
    _logic(
        getattr(aten, f"logical_{_name}").default,
        _operation,
        Example(Variable(2, 3), Variable(3)),
        Example(_MASK, _MASK),
    )
    _bits(
        getattr(aten, f"bitwise_{_name}").Tensor,
        _operation,
        Example(_MASK, Variable(3, boolean=True)),
    )
    _bits(
        getattr(aten, f"__{_name}__").Tensor, _operation, Example(_MASK, Variable(3, boolean=True))
    )
    _bits(getattr(aten, f"__{_name}__").Scalar, _operation, Example(_MASK, True))


@rule(aten.logical_not.default, Example(Variable(2, 5)), Example(_MASK))
def logical_not(self: Operand) -> Action:
    """Infinite unless the range decides it."""
    return _decided((self,), _equal(self, 0.0), self.shape)


@rule(aten.bitwise_not.default, Example(_MASK))
def bitwise_not(self: Operand) -> Action:
    """Infinite unless the range is one value; of a mask 1 - x, of an integer -1 - x."""
    x = _interval(self)
    varies = x.lo != x.hi
    slopes = Interval(torch.where(varies, -INF, 0.0), torch.where(varies, INF, 0.0))
    return entrywise(self, slopes, Interval(-1 - x.hi, 1 - x.lo))


def _reduce(x: Operand, operation: Callable[[Tensor], Tensor]) -> Action:
    """`any` and `all` are monotone in every truth value."""
    truth = _truth(x)
    lower = truth.lo.expand(x.shape)
    lo = operation(lower)
    upper = truth.hi.expand(x.shape)
    hi = operation(upper)
    return _decided((x,), Interval(lo, hi), lo.shape)


@rule(aten.any.default, Example(_MASK))
def any_of_all(self: Operand) -> Action:
    """Infinite unless the range decides it."""
    return _reduce(self, torch.any)


@rule(aten.all.default, Example(_MASK))
def all_of_all(self: Operand) -> Action:
    """Infinite unless the range decides it."""
    return _reduce(self, torch.all)


@rule(aten.any.dim, Example(_MASK, -1, True), Example(Variable(2, 3), 0))
def any_along(self: Operand, dim: int, keepdim: bool) -> Action:
    """Infinite unless the range decides it."""
    return _reduce(self, lambda mask: torch.any(mask, dim, keepdim))


@rule(aten.all.dim, Example(_MASK, -1, True), Example(Variable(2, 3), 0))
def all_along(self: Operand, dim: int, keepdim: bool) -> Action:
    """Infinite unless the range decides it."""
    return _reduce(self, lambda mask: torch.all(mask, dim, keepdim))


def _position(x: Operand, dim: int | None, keepdim: bool, largest: bool) -> Action:
    """The index of an extreme entry: an integer in [0, n), known where one is certainly it."""
    probe = torch.empty(x.shape, device="meta")
    shape = torch.argmax(probe, dim, keepdim).shape
    flat = x if dim is not None else x.viewed([x.shape.numel()], [x.shape.numel()])
    image = position(flat.range, dim or 0, largest)
    return _decided((x,), Interval(image.lo.reshape(shape), image.hi.reshape(shape)), shape)


@rule(
    aten.argmax.default,
    Example(Variable(2, 5), -1),
    Example(Variable(2, 3), 0, True),
    Example(Variable(3)),
)
def argmax(self: Operand, dim: int | None, keepdim: bool) -> Action:
    """Infinite (a Gain) unless the ranges decide it."""
    return _position(self, dim, keepdim, largest=True)


@rule(
    aten.argmin.default,
    Example(Variable(2, 5), -1),
    Example(Variable(2, 3), 0, True),
    Example(Variable(3)),
)
def argmin(self: Operand, dim: int | None, keepdim: bool) -> Action:
    """Infinite (a Gain) unless the ranges decide it."""
    return _position(self, dim, keepdim, largest=False)


def _classified(x: Operand, finite: bool) -> Action:
    """What a test for NaN or infinity says: decided only where the range is bounded, so that
    nothing overflows."""
    lo, hi = x.range.ends()
    bounded = lo.isfinite() & hi.isfinite()
    certain = torch.full_like(bounded, finite)
    return _decided((x,), Interval(certain & bounded, certain | ~bounded), x.shape)


@rule(aten.isfinite.default, Example(Variable(2, 5)))
def isfinite(self: Operand) -> Action:
    """Between(0, 0) where the range is bounded, else infinite."""
    return _classified(self, True)


@rule(aten.isnan.default, Example(Variable(2, 5)))
@rule(aten.isinf.default, Example(Variable(3)))
@rule(aten.isposinf.default, Example(Variable(3)))
@rule(aten.isneginf.default, Example(Variable(3)))
def isnan(self: Operand) -> Action:
    """Between(0, 0) where the range is bounded, else infinite."""
    return _classified(self, False)


@rule(aten.nan_to_num.default, Example(Variable(2, 5)), Example(Variable(3), 1.0, 2.0, -2.0))
def nan_to_num(
    self: Operand, nan: float | None, posinf: float | None, neginf: float | None
) -> Affine:
    """Exact: the identity on real numbers."""
    return Affine(((self, Identity(self.shape)),))
