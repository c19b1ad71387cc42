"""Linear maps between tensor spaces, known by their products with vectors."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.budget import A_CALL, A_MULTIPLY_ADD, IN_DOUBLE, charge
from autolip.values import Upper

DTYPE = torch.float64


class Operator(ABC):
    """A linear map A from tensors of `in_shape` to tensors of `out_shape`.

    A subclass says `_mv` and `_rmv`, for batches; everything else is derived.  `terms` bounds the
    number of products that are added into one entry of A x or A^T y (it enters the rounding
    bounds), and `split` gives A = P - N with P, N >= 0 entrywise where the entries are known.
    """

    relative_error: float = 0.0
    """How far each entry may be from the exact one, relatively (from folding constants); for a
    composite operator, relatively to its majorant."""

    def __init__(self, in_shape: tuple[int, ...], out_shape: tuple[int, ...]) -> None:
        self.in_shape = torch.Size(in_shape)
        self.out_shape = torch.Size(out_shape)

    @abstractmethod
    def _mv(self, x: Tensor) -> Tensor: ...

    @abstractmethod
    def _rmv(self, y: Tensor) -> Tensor: ...

    @property
    @abstractmethod
    def terms(self) -> int:
        """At least the number of non-zero entries in any row or column."""

    @property
    def work(self) -> float:
        """Multiply-adds of one product (0 for pure wiring)."""
        return 0.0

    @property
    def is_isometry(self) -> bool:
        """Whether ||A x||_p = ||x||_p for every x and p (a permutation of entries)."""
        return False

    def mv(self, x: Float[Tensor, " k *in_shape"]) -> Float[Tensor, " k *out_shape"]:
        """A x for every member of the batch."""
        self._check(x, self.in_shape, "mv")
        self._charge(x)
        return self._mv(x)

    def rmv(self, y: Float[Tensor, " k *out_shape"]) -> Float[Tensor, " k *in_shape"]:
        """A^T y for every member of the batch."""
        self._check(y, self.out_shape, "rmv")
        self._charge(y)
        return self._rmv(y)

    def entrywise(self, function: Callable[[Tensor], Tensor]) -> "Operator | None":
        """The operator with entries function(a_ij), for a function with f(0) = 0; None where
        entries are unknown.

        Known entries are single stored numbers: the product with a unit vector gives them without
        rounding.
        """
        return None

    def majorant(self) -> "Operator | None":
        """An operator M with M_ij >= |A_ij|; exactly |A| for the operators that know their
        entries."""
        return self.entrywise(torch.abs)

    def split(self) -> "tuple[Operator, Operator] | None":
        """P, N >= 0 with A = P - N; None where entries are unknown."""
        positive = self.entrywise(lambda a: a.clamp(min=0))
        negative = self.entrywise(lambda a: (-a).clamp(min=0))
        return None if positive is None or negative is None else (positive, negative)

    def matrix(self, chunk: int = 512) -> Float[Tensor, "m n"]:
        """The dense matrix, by applying A (or A^T, if it is wider than tall) to the identity."""
        n, m = self.in_size, self.out_size
        product, size, shape = (
            (self.mv, n, self.in_shape) if n <= m else (self.rmv, m, self.out_shape)
        )
        rows = [
            flat(product(_unit_rows(start, min(start + chunk, size), size).reshape(-1, *shape)))
            for start in range(0, size, chunk)
        ]
        stacked = torch.cat(rows) if rows else torch.zeros(size, m if n <= m else n, dtype=DTYPE)
        return stacked.T if n <= m else stacked

    @property
    def magnitude(self) -> float | None:
        """At least max |a_ij|, without rounding; None where entries are unknown."""
        return None

    def deviation(self, norm: float) -> Upper | None:
        """At least ||A - A'||_2, A' being the map that is meant, where ||A||_2 <= norm; None where
        no more is known of it than `relative_error` and the entries say."""
        return None

    @property
    def in_size(self) -> int:
        return math.prod(self.in_shape)

    @property
    def out_size(self) -> int:
        return math.prod(self.out_shape)

    @property
    def T(self) -> "Operator":
        """The adjoint."""
        return Adjoint(self)

    def __matmul__(self, other: "Operator") -> "Operator":
        from autolip.operators.algebra import compose

        return compose(self, other)

    def _charge(self, x: Tensor) -> None:
        if self.work:
            multiply_adds = x.shape[0] * self.work
            charge(
                multiply_adds,
                A_CALL + multiply_adds * (IN_DOUBLE if x.dtype == DTYPE else A_MULTIPLY_ADD),
            )

    def _check(self, x: Tensor, shape: torch.Size, what: str) -> None:
        if x.shape[1:] != shape:
            raise ValueError(f"{what} of {self} wants (k, {tuple(shape)}), got {tuple(x.shape)}")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({tuple(self.in_shape)} -> {tuple(self.out_shape)})"


class Adjoint(Operator):
    """A^T."""

    def __init__(self, operator: Operator) -> None:
        super().__init__(operator.out_shape, operator.in_shape)
        self.operator = operator
        self.relative_error = operator.relative_error

    def _mv(self, x: Tensor) -> Tensor:
        return self.operator.rmv(x)

    def _rmv(self, y: Tensor) -> Tensor:
        return self.operator.mv(y)

    @property
    def terms(self) -> int:
        return self.operator.terms

    @property
    def is_isometry(self) -> bool:
        return self.operator.is_isometry

    def entrywise(self, function: Callable[[Tensor], Tensor]) -> Operator | None:
        mapped = self.operator.entrywise(function)
        return None if mapped is None else Adjoint(mapped)

    def majorant(self) -> Operator | None:
        bound = self.operator.majorant()
        return None if bound is None else Adjoint(bound)

    @property
    def magnitude(self) -> float | None:
        return self.operator.magnitude

    @property
    def T(self) -> Operator:
        return self.operator

    def __repr__(self) -> str:
        return f"{self.operator!r}.T"


def largest(entries: Tensor) -> float:
    """max |a_i| of a tensor, 0 if it is empty."""
    return entries.abs().max().item() if entries.numel() else 0.0


def flat(batch: Float[Tensor, "k *shape"]) -> Float[Tensor, "k n"]:
    """Every member of a batch as a vector; a number is a vector of one entry."""
    return batch.unsqueeze(-1).flatten(1)


def _unit_rows(start: int, stop: int, size: int) -> Tensor:
    rows = torch.zeros(stop - start, size, dtype=DTYPE)
    rows[torch.arange(stop - start), torch.arange(start, stop)] = 1.0
    return rows
