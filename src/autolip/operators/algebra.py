"""Sums and compositions of operators, simplified where the result is again a known kind."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from autolip.operators.diagonal import Diagonal
from autolip.operators.operator import DTYPE, Operator, V
from autolip.roundoff import relative_error, units


class Composition(Operator):
    """factors[0] @ factors[1] @ ... : the last factor acts first."""

    def __init__(self, factors: tuple[Operator, ...]) -> None:
        super().__init__(factors[-1].in_shape, factors[0].out_shape)
        self.factors = factors
        self.relative_error = compound_error(*factors)

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

    @property
    def is_composite(self) -> bool:
        return True

    def fold(self, x: V, leaf: Callable[[Operator, V], V], add: Callable[[Sequence[V]], V]) -> V:
        for factor in reversed(self.factors):
            x = factor.fold(x, leaf, add)
        return x

    @property
    def T(self) -> Operator:
        return Composition(tuple(factor.T for factor in reversed(self.factors)))

    def _cast(self, dtype: torch.dtype, device: torch.device) -> Operator:
        return Composition(tuple(factor.cast(dtype, device) for factor in self.factors))

    def __repr__(self) -> str:
        return " @ ".join(repr(factor) for factor in self.factors)


class Sum(Operator):
    """A_1 + ... + A_k."""

    def __init__(self, parts: tuple[Operator, ...]) -> None:
        for part in parts:
            if (part.in_shape, part.out_shape) != (parts[0].in_shape, parts[0].out_shape):
                raise ValueError(f"cannot add {part} to {parts[0]}")
        super().__init__(parts[0].in_shape, parts[0].out_shape)
        self.parts = parts
        self.relative_error = max(part.relative_error for part in parts)

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

    @property
    def is_composite(self) -> bool:
        return True

    def fold(self, x: V, leaf: Callable[[Operator, V], V], add: Callable[[Sequence[V]], V]) -> V:
        return add([part.fold(x, leaf, add) for part in self.parts])

    @property
    def T(self) -> Operator:
        return Sum(tuple(part.T for part in self.parts))

    def _cast(self, dtype: torch.dtype, device: torch.device) -> Operator:
        return Sum(tuple(part.cast(dtype, device) for part in self.parts))

    def __repr__(self) -> str:
        return " + ".join(repr(part) for part in self.parts)


def add(*parts: Operator) -> Operator:
    """A_1 + ... + A_k, with diagonal parts merged."""
    if len(parts) == 1:
        return parts[0]
    scales = [part.diagonal for part in parts if part.diagonal is not None]
    if len(scales) == len(parts):
        error = max(part.relative_error for part in parts)
        total = scales[0]
        for scale in scales[1:]:
            total = total + scale
        if error == 0 and all((scale >= 0).all() for scale in scales):
            return Diagonal(total, parts[0].in_shape, relative_error(len(scales) - 1))
    return Sum(parts)


def compose(*operators: Operator) -> Operator:
    """operators[0] @ operators[1] @ ..., with neighbours merged while the product is a known
    kind."""
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
    if left.is_zero or right.is_zero:
        return Zero(right.in_shape, left.out_shape)
    if _is_identity(left):
        return right
    if _is_identity(right):
        return left
    error = compound_error(left, right, roundings=1)
    if left.diagonal is not None:
        return right.scaled_outputs(left.diagonal, error)
    if right.diagonal is not None:
        return left.scaled_inputs(right.diagonal, error)
    return None


def _is_identity(operator: Operator) -> bool:
    scale = operator.diagonal
    return scale is not None and operator.relative_error == 0 and bool((scale == 1).all())


def compound_error(*parts: Operator, roundings: int = 0) -> float:
    """Relative error of a product of entries, each with its own, and some roundings."""
    total = sum(part.relative_error for part in parts) + units(roundings, 1.0)
    return total * (1 + 4 * total)


class Zero(Operator):
    """x -> 0."""

    def _mv(self, x: Tensor) -> Tensor:
        return x.new_zeros((x.shape[0], *self.out_shape))

    def _rmv(self, y: Tensor) -> Tensor:
        return y.new_zeros((y.shape[0], *self.in_shape))

    @property
    def terms(self) -> int:
        return 0

    @property
    def is_zero(self) -> bool:
        return True

    @property
    def knows_entries(self) -> bool:
        return True

    @property
    def magnitude(self) -> float:
        return 0.0

    @property
    def T(self) -> Operator:
        return Zero(self.out_shape, self.in_shape)

    def _cast(self, dtype: torch.dtype, device: torch.device) -> Operator:
        return self

    def entrywise(self, function: object) -> Operator:
        return self


__all__ = [
    "DTYPE",
    "Composition",
    "Sum",
    "Zero",
    "add",
    "compose",
    "factors",
    "without_isometries",
]
