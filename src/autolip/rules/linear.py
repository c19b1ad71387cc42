"""Sums, scalings by constants, and sums and means along axes."""

from collections.abc import Sequence
from typing import assert_never

import torch
from torch import Tensor

from autolip.errors import InputError, UnsupportedOperation
from autolip.intervals import Interval
from autolip.operators.algebra import compose
from autolip.operators.diagonal import Diagonal, Identity
from autolip.operators.image import image
from autolip.operators.incidence import Incidence
from autolip.operators.operator import DTYPE, Operator
from autolip.roundoff import TINY, relative_error
from autolip.rules.derive import action_of, entrywise
from autolip.rules.products import elementwise_product, quotient
from autolip.rules.rule import Action, Affine, Constant, Example, Operand, Pointwise, Variable, rule
from autolip.slopes import Between, Exact, Gain, Slope
from autolip.values import Upper

aten = torch.ops.aten

Value = Operand | Tensor | float
"""An argument that may vary or not."""

Shape = tuple[int, ...]


# Sums of scaled operands
# ----------------------------------------------------------------------------------------


def combination(shape: Shape, *terms: tuple[Operator | Tensor | float, Value | None]) -> Action:
    """sum_i A_i x_i, broadcast to `shape`: exact slopes, and an image that covers every rounding.

    Each term is a factor (an operator, or a constant that scales entrywise) and a value, varying or
    constant; None counts as zero.
    """
    parts: list[tuple[Operand, Operator]] = []
    offset: Interval | None = None
    for factor, value in terms:
        if isinstance(value, Operand):
            parts.append((value, _factor(factor, value.shape, shape)))
        elif value is not None:
            term = _constant(factor, value, shape)
            offset = term if offset is None else shifted(offset, term)
    action = action_of(Affine(tuple(parts)), torch.Size(shape))
    return action if offset is None else Action(action.slopes, shifted(action.image, offset))


def shifted(values: Interval, offset: Interval) -> Interval:
    """values + offset, where an infinite offset (a mask) wins."""
    total = values + offset
    if offset.is_bounded:
        return total
    lo = torch.where(offset.lo.isinf(), offset.lo, total.lo)
    return Interval(lo, torch.where(offset.hi.isinf(), offset.hi, total.hi))


def expansion(in_shape: Shape, out_shape: Shape) -> Operator:
    """x -> x broadcast to `out_shape`."""
    if tuple(in_shape) == tuple(out_shape):
        return Identity(in_shape)
    return Incidence(lambda t: t.expand(out_shape), in_shape)


def _factor(factor: Operator | Tensor | float, in_shape: Shape, out_shape: Shape) -> Operator:
    if isinstance(factor, Operator):
        return compose(
            expansion(factor.out_shape, out_shape), factor, expansion(in_shape, factor.in_shape)
        )
    return compose(Diagonal(tensor_of(factor), out_shape), expansion(in_shape, out_shape))


def _constant(factor: Operator | Tensor | float, value: Tensor | float, shape: Shape) -> Interval:
    """factor * value as an interval of points where nothing was rounded."""
    constant = tensor_of(value)
    if isinstance(factor, Operator):
        return image(_factor(factor, constant.shape, shape), Interval(constant, constant))
    scale = tensor_of(factor)
    if bool((scale.abs() == 1).all()):
        exact = (scale * constant).expand(shape)
        return Interval(exact, exact)
    scale = scale.expand(shape)
    constant = constant.expand(shape)
    return Interval(scale, scale) * Interval(constant, constant)


def tensor_of(value: Tensor | float) -> Tensor:
    return torch.as_tensor(value, dtype=DTYPE)


def shape_of(value: Value) -> torch.Size:
    return value.shape if isinstance(value, (Operand, Tensor)) else torch.Size()


def _broadcast(*values: Value) -> Shape:
    return tuple(torch.broadcast_shapes(*(shape_of(value) for value in values)))


@rule(aten.neg.default, Example(Variable(2, 5)))
@rule(aten.negative.default, Example(Variable(2, 5)))
def neg(self: Operand) -> Action:
    """Exact: minus the identity."""
    return combination(self.shape, (-1.0, self))


@rule(
    aten.add.Tensor,
    Example(Variable(2, 5), Constant(5), alpha=-0.3),
    Example(Variable(2, 1, 5), Variable(3, 1), alpha=3),
    Example(Constant(2, 3, 5), Variable(5), alpha=2.5),
    Example(Variable(2, 5), 1.5),
)
@rule(aten.add.Scalar, Example(Variable(2, 5), 1.5, 0.3))
def add(self: Value, other: Value, alpha: float) -> Action:
    """Exact: the identity towards self, alpha times it towards other, broadcast."""
    return combination(_broadcast(self, other), (1.0, self), (alpha, other))


@rule(
    aten.sub.Tensor,
    Example(Variable(2, 5), Constant(5), alpha=-0.3),
    Example(Variable(2, 1, 5), Variable(3, 1), alpha=3),
    Example(Constant(2, 3, 5), Variable(5)),
)
@rule(aten.sub.Scalar, Example(Variable(2, 5), 1.5, 0.3))
@rule(aten.subtract.Tensor, Example(Variable(2, 5), Variable(5), alpha=0.5))
@rule(aten.subtract.Scalar, Example(Variable(2, 5), 1.5, 0.3))
def sub(self: Value, other: Value, alpha: float) -> Action:
    """Exact: the identity towards self, -alpha times it towards other, broadcast."""
    return combination(_broadcast(self, other), (1.0, self), (-alpha, other))


@rule(aten.rsub.Scalar, Example(Variable(2, 5), 1.5, 0.3))
@rule(
    aten.rsub.Tensor,
    Example(Variable(2, 5), Variable(3, 2, 1), alpha=0.3),
    Example(Variable(5), Constant(2, 5)),
)
def rsub(self: Value, other: Value, alpha: float) -> Action:
    """Exact: -alpha times the identity towards self, the identity towards other, broadcast."""
    return combination(_broadcast(self, other), (-alpha, self), (1.0, other))


@rule(
    aten.lerp.Scalar,
    Example(Variable(2, 5), Variable(5), 0.3),
    Example(Constant(2, 5), Variable(5), -0.7),
)
@rule(
    aten.lerp.Tensor,
    Example(Variable(2, 5), Variable(5), Constant(5)),
    Example(Constant(5), Constant(5), Variable(2, 5)),
)
def lerp(self: Value, end: Value, weight: Value) -> Action:
    """Exact: 1 - weight towards self, weight towards end."""
    shape = _broadcast(self, end, weight)
    if not isinstance(weight, Operand):
        share = tensor_of(weight)
        rest = Diagonal(1 - share, shape, relative_error(1))
        return combination(shape, (rest, self), (share, end))
    if isinstance(self, Operand) or isinstance(end, Operand):
        raise UnsupportedOperation(
            "lerp by a varying weight between varying ends: write start + weight * (end - start)"
        )
    difference = tensor_of(end) - tensor_of(self)
    apart = Diagonal(difference, shape, relative_error(1))
    return combination(shape, (1.0, self), (apart, weight))


# Scalings
# --------------------------------------------------------------------------------------------------


@rule(
    aten.mul.Tensor,
    Example(Variable(2, 5), Constant(5)),
    Example(Constant(3, 2, 5), Variable(2, 1)),
    Example(Variable(2, 5), -0.3),
    Example(Variable(2, 5), Variable(2, 5)),
)
@rule(aten.mul.Scalar, Example(Variable(2, 5), -0.3))
@rule(aten.multiply.Tensor, Example(Variable(2, 5), Constant(2, 5)))
@rule(aten.multiply.Scalar, Example(Variable(2, 5), -0.3))
def mul(self: Value, other: Value) -> Action | Pointwise:
    """Exact by a constant: the diagonal of it; of two varying factors: Between the other's
    range."""
    if isinstance(self, Operand) and isinstance(other, Operand):
        return elementwise_product(self, other)
    varying, constant = (self, other) if isinstance(self, Operand) else (other, self)
    return combination(_broadcast(self, other), (constant_of(constant), varying))


@rule(
    aten.div.Tensor,
    Example(Variable(2, 5), Constant(3, 2, 5)),
    Example(Variable(2, 5), -3),
    Example(Constant(3, 1, 5), Variable(2, 1, lo=0.1)),
    Example(Variable(2, 5), Variable(2, 5, lo=0.1)),
)
@rule(aten.div.Scalar, Example(Variable(2, 5), -0.3))
@rule(aten.divide.Tensor, Example(Variable(2, 5), Constant(5)))
@rule(aten.divide.Scalar, Example(Variable(2, 5), 8.0))
@rule(aten.true_divide.Tensor, Example(Variable(2, 5), Constant(5)))
@rule(aten.true_divide.Scalar, Example(Variable(2, 5), 3))
def div(self: Value, other: Value) -> Action:
    """Exact by a constant: the diagonal of its reciprocal; by a varying divisor: Between, by both
    ranges."""
    if isinstance(other, Operand):
        return quotient(self, other) if isinstance(self, Operand) else _over(tensor_of(self), other)
    shape = _broadcast(self, other)
    inverse, error = reciprocal(other)
    return combination(shape, (Diagonal(inverse, shape, error), self))


def _over(constant: Tensor, x: Operand) -> Action:
    """c / x, as a quotient of two varying tensors, one of which does not vary."""
    shape = torch.broadcast_shapes(constant.shape, x.shape)
    above = constant.expand(shape)
    numerator = Operand("numerator", shape, Interval(above, above))
    action = quotient(numerator, x.viewed(x.shape, shape))
    slopes = [
        Interval(slope.lo, slope.hi) for _, slope in action.slopes if isinstance(slope, Between)
    ]
    return entrywise(x, slopes[-1], action.image, shape)


def reciprocal(divisor: Tensor | float) -> tuple[Tensor, float]:
    """1/c and its relative error (0 for powers of two)."""
    constant = tensor_of(divisor)
    inverse = 1 / constant
    if not (inverse.isfinite() & (inverse.abs() >= TINY)).all():
        raise InputError(
            "a divisor is zero or beyond the range of float64: divide by non-zero constants"
        )
    mantissas = constant.frexp().mantissa.abs()
    powers = bool((mantissas == 0.5).all())
    return inverse, 0.0 if powers else relative_error(1)


def constant_of(value: Value) -> Tensor | float:
    if isinstance(value, Operand):
        raise TypeError(f"{value.name} varies where a constant is meant")
    return value


def scaled(action: Action, alpha: float) -> Action:
    """alpha times an action."""
    if alpha == 1:
        return action
    factor = tensor_of(alpha).expand(action.image.shape)
    slopes = tuple((operand, _scaled_slope(slope, alpha)) for operand, slope in action.slopes)
    return Action(slopes, action.image * Interval(factor, factor))


def _scaled_slope(slope: Slope, alpha: float) -> Slope:
    match slope:
        case Exact():
            return Exact(compose(Diagonal(tensor_of(alpha), slope.out_shape), slope.operator))
        case Between():
            factor = tensor_of(alpha).expand(slope.in_shape)
            slopes = Interval(slope.lo, slope.hi)
            scaled = slopes * Interval(factor, factor)
            return Between(scaled.lo, scaled.hi)
        case Gain():
            norms = {norm: gain * Upper(abs(alpha)) for norm, gain in slope.norms.items()}
            return Gain(slope.in_shape, slope.out_shape, norms, slope.dims)
        case _:
            assert_never(slope)


# Sums and means along axes
# --------------------------------------------------------------------------------------


@rule(aten.sum.default, Example(Variable(2, 3, 4)))
def sum_all(self: Operand, dtype: torch.dtype | None) -> Affine:
    """Exact: the sum of all entries."""
    return sum_along(self, None, False, dtype)


@rule(
    aten.sum.dim_IntList,
    Example(Variable(2, 3, 4), [0, -1]),
    Example(Variable(2, 3, 4), [1], True),
    Example(Variable(2, 3, 4), None, True),
)
def sum_along(
    self: Operand, dim: Sequence[int] | None, keepdim: bool, dtype: torch.dtype | None
) -> Affine:
    """Exact: sums along axes."""
    _floating(dtype)
    return Affine(((self, _sums(self, dim, keepdim)),))


@rule(aten.mean.default, Example(Variable(2, 3, 4)))
def mean_all(self: Operand, dtype: torch.dtype | None) -> Affine:
    """Exact: the mean of all entries."""
    return mean_along(self, None, False, dtype)


@rule(
    aten.mean.dim,
    Example(Variable(2, 3, 4), [0, 1]),
    Example(Variable(2, 3, 4), [-1], True),
    Example(Variable(2, 3, 4), None, True),
)
def mean_along(
    self: Operand, dim: Sequence[int] | None, keepdim: bool, dtype: torch.dtype | None
) -> Affine:
    """Exact: means along axes."""
    _floating(dtype)
    sums = _sums(self, dim, keepdim)
    read = max(sums.in_size, 1)
    written = max(sums.out_size, 1)
    count = read // written
    inverse, error = reciprocal(count)
    return Affine(((self, compose(Diagonal(inverse, sums.out_shape, error), sums)),))


@rule(aten.cumsum.default, Example(Variable(2, 3, 4), 1), Example(Variable(2, 3), -1))
def cumsum(self: Operand, dim: int, dtype: torch.dtype | None) -> Affine:
    """Exact: the lower triangle of ones along an axis."""
    _floating(dtype)
    return Affine(((self, Incidence(lambda t: t.cumsum(dim), self.shape)),))


def _sums(operand: Operand, dim: Sequence[int] | int | None, keepdim: bool) -> Incidence:
    axes = (
        list(range(operand.dim))
        if dim is None or dim == []
        else [dim]
        if isinstance(dim, int)
        else list(dim)
    )
    return Incidence(lambda t: t.sum(axes, keepdim), operand.shape)


def _floating(dtype: torch.dtype | None) -> None:
    if dtype is not None and not dtype.is_floating_point:
        raise UnsupportedOperation(f"a sum in {dtype} rounds its terms: sum in floating point")
