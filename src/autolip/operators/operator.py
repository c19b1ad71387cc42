"""Linear maps between tensor spaces, known by their products with vectors."""

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any, Self, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.budget import A_CALL, A_MULTIPLY_ADD, IN_DOUBLE, charge
from autolip.operators.kernel import Kernel
from autolip.values import Upper

V = TypeVar("V")

DTYPE = torch.float64
CPU = torch.device("cpu")


class Operator(ABC):
    """A linear map A from tensors of `in_shape` to tensors of `out_shape`.

    A subclass says `_mv` and `_rmv`, for batches, and `terms`, at least the number of products that
    are added into one entry of A x or A^T y (it enters the rounding bounds); everything else is
    derived.  What it knows of itself beyond that makes its norms tighter and its products quicker:

    * what it is: `is_zero`, `is_isometry`, `is_nonnegative`, `is_wiring`, `diagonal`, `matrices`,
      `kernel`; each of them is one question that a norm engine may ask;
    * its entries: `knows_entries`, with `entrywise` and `magnitude`, or at least a `majorant`;
    * what it is made of: `is_composite`, with `fold`;
    * other forms of it: `_cast` to another format, `scaled_outputs` and `scaled_inputs`, `T`.
    """

    relative_error: float = 0.0
    """How far each entry may be from the exact one, relatively (from folding constants); for a
    composite operator, relatively to its majorant."""

    def __init__(self, in_shape: tuple[int, ...], out_shape: tuple[int, ...]) -> None:
        self.in_shape = torch.Size(in_shape)
        self.out_shape = torch.Size(out_shape)

    @classmethod
    def examples(cls) -> Iterable["Operator"]:
        """Small operators of this kind, on which its laws run and those of the norm engines.

        Their entries are small integers or powers of two, so that their norms are known exactly.
        """
        return ()

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
    def is_zero(self) -> bool:
        """Whether A = 0."""
        return False

    @property
    def is_isometry(self) -> bool:
        """Whether ||A x||_p = ||x||_p for every x and p (a permutation of entries)."""
        return False

    @property
    def is_nonnegative(self) -> bool:
        """Whether no entry is known to be negative: A is its own majorant."""
        return False

    @property
    def is_wiring(self) -> bool:
        """Whether all entries are exactly 0 or 1."""
        return False

    @cached_property
    def out_counts(self) -> Float[Tensor, " *out_shape"]:
        """Of a wiring: how many inputs each output adds."""
        return self._mv(torch.ones((1, *self.in_shape), dtype=DTYPE))[0]

    @cached_property
    def in_counts(self) -> Float[Tensor, " *in_shape"]:
        """Of a wiring: how many outputs use each input."""
        return self._rmv(torch.ones((1, *self.out_shape), dtype=DTYPE))[0]

    @cached_property
    def is_selection(self) -> bool:
        """Of a wiring: whether every output copies at most one input."""
        return not self.out_counts.numel() or self.out_counts.max().item() <= 1

    @property
    def diagonal(self) -> Tensor | None:
        """d, broadcast to `in_shape`, where A x = d * x; None where A is not known to be
        diagonal."""
        return None

    @property
    def matrices(self) -> Float[Tensor, "*batch m n"] | None:
        """W, its batch broadcast against the leading axes of `in_shape`, where A x = W x along the
        last axis; None where A is not known to be such."""
        return None

    @property
    def kernel(self) -> Kernel | None:
        """Kernel and geometry, where A is a zero-padded convolution on `in_shape`, or the transpose
        of one; None where A is not known to be such."""
        return None

    @property
    def is_composite(self) -> bool:
        """Whether it is made of other operators, through which `fold` goes, and knows its `T`."""
        return False

    def fold(self, x: V, leaf: Callable[["Operator", V], V], add: Callable[[Sequence[V]], V]) -> V:
        """What the operator makes of x, if its leaves act by `leaf` and sums of images are `add`.

        With products and sums of vectors this is A x; with norms it is the triangle inequality over
        all paths.
        """
        return leaf(self, x)

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

    @property
    def knows_entries(self) -> bool:
        """Whether `entrywise` and `magnitude` answer."""
        return False

    def mv_units(self, units: Float[Tensor, " k *in_shape"]) -> Float[Tensor, " k *out_shape"]:
        """A x for vectors that are unit vectors or 0: columns, read off where that is quicker."""
        return self.mv(units)

    def rmv_units(self, units: Float[Tensor, " k *out_shape"]) -> Float[Tensor, " k *in_shape"]:
        """A^T y for vectors that are unit vectors or 0: rows, read off where that is quicker."""
        return self.rmv(units)

    def entrywise(self, function: Callable[[Tensor], Tensor]) -> "Operator | None":
        """The operator with entries function(a_ij), for a function with f(0) = 0; None where
        entries are unknown.

        Known entries are single stored numbers: the product with a unit vector gives them without
        rounding.
        """
        return None

    def majorant(self) -> "Operator | None":
        """An operator M with M_ij >= |A_ij|; exactly |A| for the operators that know their entries,
        or that these are not negative."""
        return self if self.is_nonnegative else self.entrywise(torch.abs)

    def split(self) -> "tuple[Operator, Operator] | None":
        """P, N >= 0 with A = P - N; None where entries are unknown."""
        positive = self.entrywise(lambda a: a.clamp(min=0))
        negative = self.entrywise(lambda a: (-a).clamp(min=0))
        return None if positive is None or negative is None else (positive, negative)

    def matrix(self, chunk: int = 512) -> Float[Tensor, "m n"]:
        """The dense matrix, by applying A (or A^T, if it is wider than tall) to the identity."""
        n = self.in_size
        m = self.out_size
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

    def scaled_outputs(self, scale: Tensor, relative_error: float) -> "Operator | None":
        """diag(scale) A as one operator of A's own kind, whose entries are within `relative_error`;
        None where it is none, or an entry over- or underflows.

        `scale` broadcasts to `out_shape`.
        """
        return None

    def scaled_inputs(self, scale: Tensor, relative_error: float) -> "Operator | None":
        """A diag(scale) in the same way; `scale` broadcasts to `in_shape`."""
        return None

    def cast(self, dtype: torch.dtype, device: torch.device = CPU) -> "Operator":
        """The operator with its numbers rounded to `dtype`, for products with vectors of that type
        on that device: for searches whose results are checked afterwards."""
        return self if dtype == DTYPE and device == CPU else self._cast(dtype, device)

    def _cast(self, dtype: torch.dtype, device: torch.device) -> "Operator":
        return _Converted(self)

    def _with(self, **changed: Any) -> Self:
        """A copy with other attributes."""
        twin = copy.copy(self)
        for name, value in changed.items():
            setattr(twin, name, value)
        return twin

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

    def mv_units(self, units: Tensor) -> Tensor:
        return self.operator.rmv_units(units)

    def rmv_units(self, units: Tensor) -> Tensor:
        return self.operator.mv_units(units)

    @property
    def terms(self) -> int:
        return self.operator.terms

    @property
    def is_zero(self) -> bool:
        return self.operator.is_zero

    @property
    def is_isometry(self) -> bool:
        return self.operator.is_isometry

    @property
    def is_nonnegative(self) -> bool:
        return self.operator.is_nonnegative

    @property
    def is_wiring(self) -> bool:
        return self.operator.is_wiring

    @property
    def out_counts(self) -> Tensor:
        return self.operator.in_counts

    @property
    def in_counts(self) -> Tensor:
        return self.operator.out_counts

    @property
    def diagonal(self) -> Tensor | None:
        return self.operator.diagonal

    @property
    def matrices(self) -> Tensor | None:
        found = self.operator.matrices
        return None if found is None else found.mT

    def fold(self, x: V, leaf: Callable[[Operator, V], V], add: Callable[[Sequence[V]], V]) -> V:
        """Through the parts of a composite, which knows its own adjoint."""
        turned = self.operator.T if self.operator.is_composite else self
        return leaf(self, x) if isinstance(turned, Adjoint) else turned.fold(x, leaf, add)

    @property
    def knows_entries(self) -> bool:
        return self.operator.knows_entries

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

    def _cast(self, dtype: torch.dtype, device: torch.device) -> Operator:
        return Adjoint(self.operator.cast(dtype, device))

    def __repr__(self) -> str:
        return f"{self.operator!r}.T"


class _Converted(Operator):
    """A with its products in float64 where its numbers are, converted."""

    def __init__(self, operator: Operator) -> None:
        super().__init__(operator.in_shape, operator.out_shape)
        self.operator = operator
        self.relative_error = operator.relative_error

    def _mv(self, x: Tensor) -> Tensor:
        return self.operator.mv(x.to(CPU, DTYPE)).to(x)

    def _rmv(self, y: Tensor) -> Tensor:
        return self.operator.rmv(y.to(CPU, DTYPE)).to(y)

    @property
    def terms(self) -> int:
        return self.operator.terms


def largest(entries: Tensor) -> float:
    """max |a_i| of a tensor, 0 if it is empty."""
    return entries.abs().max().item() if entries.numel() else 0.0


def flat(batch: Float[Tensor, "k *shape"]) -> Float[Tensor, "k n"]:
    """Every member of a batch as a vector; a number is a vector of one entry."""
    return batch.unsqueeze(-1).flatten(1)


def _unit_rows(start: int, stop: int, size: int) -> Tensor:
    rows = torch.zeros(stop - start, size, dtype=DTYPE)
    count = stop - start
    columns = torch.arange(start, stop)
    rows[torch.arange(count), columns] = 1.0
    return rows
