"""Sums and compositions of operators, simplified where the result is again a known kind."""

import torch
from torch import Tensor

from autolip.intervals import UNIT
from autolip.operators.convolution import Convolution
from autolip.operators.dense import Dense
from autolip.operators.diagonal import Diagonal
from autolip.operators.operator import DTYPE, Operator


class Composition(Operator):
    """factors[0] @ factors[1] @ ... : the last factor acts first."""

    def __init__(self, factors: tuple[Operator, ...]) -> None:
        super().__init__(factors[-1].in_shape, factors[0].out_shape)
        self.factors = factors

    def _mv(self, x: Tensor) -> Tensor:
        for factor in reversed(self.factors):
            x = factor.mv(x)
        return x

    def _rmv(self, y: Tensor) -> Tensor:
        for factor in self.factors:
            y = factor.rmv(y)
        return y

    @property
    def terms(self) -> int:
        """Enough for the nested sums: errors of the factors add up."""
        return sum(factor.terms for factor in self.factors)

    @property
    def is_isometry(self) -> bool:
        return all(factor.is_isometry for factor in self.factors)

    def majorant(self) -> Operator | None:
        """The product of the factors' majorants: |A B| <= |A| |B|."""
        bounds = [factor.majorant() for factor in self.factors]
        known = tuple(bound for bound in bounds if bound is not None)
        return compose(*known) if len(known) == len(bounds) else None

    def __repr__(self) -> str:
        return " @ ".join(repr(factor) for factor in self.factors)


class Sum(Operator):
    """A_1 + ... + A_k."""

    def __init__(self, parts: tuple[Operator, ...]) -> None:
        super().__init__(parts[0].in_shape, parts[0].out_shape)
        self.parts = parts

    def _mv(self, x: Tensor) -> Tensor:
        return torch.stack([part.mv(x) for part in self.parts]).sum(0)

    def _rmv(self, y: Tensor) -> Tensor:
        return torch.stack([part.rmv(y) for part in self.parts]).sum(0)

    @property
    def terms(self) -> int:
        return sum(part.terms for part in self.parts) + len(self.parts)

    def majorant(self) -> Operator | None:
        bounds = [part.majorant() for part in self.parts]
        known = tuple(bound for bound in bounds if bound is not None)
        return Sum(known) if len(known) == len(bounds) else None

    def __repr__(self) -> str:
        return " + ".join(repr(part) for part in self.parts)


def add(*parts: Operator) -> Operator:
    """A_1 + ... + A_k, with diagonal parts merged."""
    if len(parts) == 1:
        return parts[0]
    if all(isinstance(part, Diagonal) for part in parts):
        scales = [part.scale for part in parts if isinstance(part, Diagonal)]
        error = max(part.relative_error for part in parts if isinstance(part, Diagonal))
        total = scales[0]
        for scale in scales[1:]:
            total = total + scale
        if error == 0 and all((scale >= 0).all() for scale in scales):
            return Diagonal(total, parts[0].in_shape, len(scales) * UNIT)
    return Sum(parts)


def compose(*operators: Operator) -> Operator:
    """operators[0] @ operators[1] @ ..., with neighbours merged while the product is a known kind."""
    merged: list[Operator] = []
    for operator in _flatten(operators):
        if merged and merged[-1].in_shape != operator.out_shape:
            raise ValueError(f"cannot compose {merged[-1]} after {operator}")
        merged.append(operator)
        while len(merged) > 1 and (product := _merge(merged[-2], merged[-1])) is not None:
            merged[-2:] = [product]
    return merged[0] if len(merged) == 1 else Composition(tuple(merged))


def factors(operator: Operator) -> tuple[Operator, ...]:
    """The factors of a composition; any other operator is its own only factor."""
    return operator.factors if isinstance(operator, Composition) else (operator,)


def without_isometries(operator: Operator) -> Operator:
    """An operator with the same p -> q norms: isometries at both ends dropped."""
    kept = list(factors(operator))
    while len(kept) > 1 and kept[0].is_isometry:
        kept.pop(0)
    while len(kept) > 1 and kept[-1].is_isometry:
        kept.pop()
    return compose(*kept)


def _flatten(operators: tuple[Operator, ...]) -> list[Operator]:
    return [factor for operator in operators for factor in factors(operator)]


def _merge(left: Operator, right: Operator) -> Operator | None:
    """left @ right as one operator of a known kind, or None."""
    if _is_identity(left):
        return right
    if _is_identity(right):
        return left
    if isinstance(left, Diagonal) and isinstance(right, Diagonal):
        return Diagonal(left.scale * right.scale, left.in_shape, _error(left, right))
    if isinstance(left, Diagonal) and isinstance(right, Convolution):
        return _scale_outputs(left, right)
    if isinstance(left, Convolution) and isinstance(right, Diagonal):
        return _scale_inputs(left, right)
    if isinstance(left, Diagonal) and isinstance(right, Dense):
        return _scale_rows(left, right)
    if isinstance(left, Dense) and isinstance(right, Diagonal):
        return _scale_columns(left, right)
    return None


def _is_identity(operator: Operator) -> bool:
    return isinstance(operator, Diagonal) and operator.relative_error == 0 and bool((operator.scale == 1).all())


def _error(*parts: Dense | Diagonal | Convolution) -> float:
    """Relative error of a product of entries, each with its own; one rounding for the product."""
    total = sum(part.relative_error for part in parts) + UNIT
    return total * (1 + 4 * total)


def _along(scale: Tensor, shape: torch.Size, axis: int) -> Tensor | None:
    """The scale as a vector along one axis, if it is constant along every other."""
    full = scale.reshape((1,) * (len(shape) - scale.dim()) + tuple(scale.shape))
    if any(size != 1 for i, size in enumerate(full.shape) if i != axis % len(shape)):
        return None
    return full.reshape(-1).expand(shape[axis]) if full.numel() == 1 else full.reshape(-1)


def _scale_outputs(left: Diagonal, right: Convolution) -> Operator | None:
    scale = _along(left.scale, right.out_shape, right.channel_axis)
    if scale is None:
        return None
    if not right.geometry.transposed:
        weight = right.weight * scale.view(-1, *[1] * (right.weight.dim() - 1))
    else:
        groups = right.geometry.groups
        per_group = scale.view(groups, 1, -1, *[1] * right.geometry.dims)
        weight = (right.weight.unflatten(0, (groups, -1)) * per_group).flatten(0, 1)
    return right.with_weight(weight, _error(left, right))


def _scale_inputs(left: Convolution, right: Diagonal) -> Operator | None:
    scale = _along(right.scale, left.in_shape, left.channel_axis)
    if scale is None:
        return None
    if left.geometry.transposed:
        weight = left.weight * scale.view(-1, *[1] * (left.weight.dim() - 1))
    else:
        groups = left.geometry.groups
        per_group = scale.view(groups, 1, -1, *[1] * left.geometry.dims)
        weight = (left.weight.unflatten(0, (groups, -1)) * per_group).flatten(0, 1)
    return left.with_weight(weight, _error(left, right))


def _scale_rows(left: Diagonal, right: Dense) -> Operator | None:
    scale = _along(left.scale, right.out_shape, -1)
    if scale is None:
        return None
    return Dense(right.weight * scale.unsqueeze(-1), right.in_shape, _error(left, right))


def _scale_columns(left: Dense, right: Diagonal) -> Operator | None:
    scale = _along(right.scale, left.in_shape, -1)
    if scale is None:
        return None
    return Dense(left.weight * scale, left.in_shape, _error(left, right))


def zero(in_shape: tuple[int, ...], out_shape: tuple[int, ...]) -> Operator:
    """The zero map."""
    return Zero(in_shape, out_shape)


class Zero(Operator):
    """x -> 0."""

    def _mv(self, x: Tensor) -> Tensor:
        return x.new_zeros((x.shape[0], *self.out_shape))

    def _rmv(self, y: Tensor) -> Tensor:
        return y.new_zeros((y.shape[0], *self.in_shape))

    @property
    def terms(self) -> int:
        return 0

    def entrywise(self, function: object) -> Operator:
        return self


__all__ = ["DTYPE", "Composition", "Sum", "Zero", "add", "compose", "factors", "without_isometries", "zero"]
