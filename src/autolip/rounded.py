"""A tensor and a bound on its entrywise error: the one place of error analysis.

Write X for what is meant, X' for what was computed, and E for a bound on the error, |X - X'| <= E
entry by entry; moduli, where numbers are complex.  What an operation loses is in `roundoff`.
"""

import functools
import math
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from autolip.intervals import Interval
from autolip.norms import Norm
from autolip.roundoff import (
    SMALLEST,
    TINY,
    UNIT,
    V,
    dot_error,
    dot_share,
    gamma,
    lower_norm,
    raised,
    scale_float,
    shifted,
    upper_norm,
)
from autolip.values import Upper

Array = Any
"""A tensor, real or complex, or a scipy.sparse array, which has no types."""

LEAST_PRODUCT = 2.0**-900
"""Proved: products of at least this do not underflow, nor do they times u or gamma."""


@dataclass(frozen=True)
class Rounded:
    """The tensor that is meant is within `error` of `value`, entry by entry.

    `error` is real and broadcasts to `value`.  Where it has fewer axes, members of a batch share
    it, and what is derived from it is made of their largest moduli.
    """

    value: Array
    error: Array

    @staticmethod
    def exact(value: Array) -> "Rounded":
        """A tensor without an error."""
        if not isinstance(value, Tensor):
            return Rounded(value, sparse.csr_array(value.shape))
        return Rounded(value, torch.zeros((), dtype=torch.float64).expand(value.shape))

    @staticmethod
    def relatively(value: Array, share: float) -> "Rounded":
        """A tensor whose entries are known up to a share of their size."""
        exact = Rounded.exact(value)
        if not share:
            return exact
        return Rounded(value, raised(exact.moduli * share, 1) + _present(exact) * SMALLEST)

    @staticmethod
    def nearest(value: Array) -> "Rounded":
        """A tensor each of whose entries was rounded once."""
        return Rounded.relatively(value, UNIT)

    @staticmethod
    def shared(value: Tensor, error: Tensor | float = 0.0) -> "Rounded":
        """A batch of matrices with one error."""
        return Rounded(value, torch.as_tensor(error, dtype=torch.float64).expand(value.shape[-2:]))

    @property
    def is_exact(self) -> bool:
        return not (bool(self.error.any()) if isinstance(self.error, Tensor) else self.error.nnz)

    @functools.cached_property
    def moduli(self) -> Array:
        """At least |value|; the largest of those that share an error."""
        value = self.value
        error = self.error
        if not isinstance(value, Tensor):
            return abs(value)
        sizes = _complex_moduli(value) if value.is_complex() else value.abs()
        return sizes.amax(tuple(range(sizes.dim() - error.dim()))) if _shares(self) else sizes

    @property
    def size(self) -> Array:
        """At least the modulus of what is meant."""
        return self.moduli if self.is_exact else raised(self.moduli + self.error, 1)

    @property
    def H(self) -> "Rounded":
        """The conjugate transpose."""
        if isinstance(self.value, Tensor):
            return Rounded(self.value.mH, self.error.mH)
        return Rounded(self.value.T.tocsr(), self.error.T.tocsr())

    def __getitem__(self, index: Any) -> "Rounded":
        """A part of it; of a batch with one error, members."""
        return Rounded(self.value[index], self.error if _shares(self) else self.error[index])

    def __neg__(self) -> "Rounded":
        return Rounded(-self.value, self.error)

    def __add__(self, other: "Rounded") -> "Rounded":
        """X + Y.

            |X + Y - fl(X' + Y')| <= E_X + E_Y + u |fl(X' + Y')|

        A sum is the exact one times 1 + d, and its inverse, 1 / (1 + d), as well (Higham, (2.5)).
        Complex sums are two real ones.  It takes three operations, and u |.| is not below what the
        sum loses even where it is subnormal.
        """
        total = Rounded(self.value + other.value, self.error + other.error)
        return Rounded(total.value, raised(total.error + total.moduli * UNIT, 3))

    def __sub__(self, other: "Rounded") -> "Rounded":
        return self + -other

    def __mul__(self, other: "Rounded") -> "Rounded":
        """X Y, entry by entry.

            |X Y - fl(X' Y')| <= (E_X + r |X'|) (|Y'| + E_Y) + |X'| E_Y + lost

        with r = u, gamma_4 > sqrt(2) gamma_2 where both are complex (Higham, Lemma 3.5), and 0
        where the entries of one factor are 0 and +-1.
        """
        are_complex = _is_complex(self) and _is_complex(other)
        r = gamma(2) if are_complex else UNIT
        moves = _only_moves(self.value) or _only_moves(other.value)
        return self._times(other, operator.mul, 0.0 if moves else r, 1)

    def __matmul__(self, other: "Rounded") -> "Rounded":
        """X Y, sums of n products.

            |X Y - fl(X' Y')| <= (E_X + gamma_n |X'|) (|Y'| + E_Y) + |X'| E_Y + lost

        with a larger share than gamma_n where they are complex; 0 where n = 1 and the entries of
        one factor are 0 and +-1.
        """
        terms = _terms(self.value, other.value)
        moves = terms <= 1 and (_only_moves(self.value) or _only_moves(other.value))
        share = 0.0 if moves else dot_share(terms, _is_complex(self) or _is_complex(other))
        return self._times(other, operator.matmul, share, terms)

    def _times(
        self,
        other: "Rounded",
        product: Callable[[Array, Array], Array],
        rounding: float,
        terms: int,
    ) -> "Rounded":
        """A product of any kind, r = `rounding` relatively to that of the moduli.

        The error is computed as r ((E_X / r + |X'|) (|Y'| + E_Y)) + |X'| E_Y, so that r |X'| does
        not underflow, in at most `terms` + 5 operations, and one more adds what is lost.
        """
        x = self.moduli
        y = other.moduli
        r = rounding
        if r:
            error = product(self.error / r + x, y + other.error) * r
        else:
            error = product(self.error, y + other.error)
        if not other.is_exact:
            error = error + product(x, other.error)
        return Rounded(
            product(self.value, other.value),
            raised(error, terms + 6) + _lost(self, other, product),
        )

    def gram(self) -> "Rounded":
        """X X^H."""
        return self @ self.H

    def gram_above(self) -> Tensor:
        """A symmetric matrix that exceeds, in the order of such, X X^T for every X within the
        error; of real rows, with one product.

            |X X^T - fl(X' X'^T)|_ij <= gamma_n |x_i| |x_j| + |x_i| |e_j| + |e_i| |x_j|

        by Cauchy and Schwarz, lengths of rows of |X'| + E and of E.  With what underflows it is at
        most the diagonal matrix of |x_i| sum_j (.)_ij / |x_j| (Gershgorin, once scaled).
        """
        rows, terms = self.value.shape[-2:]
        product = self.value @ self.value.mT
        value = torch.tril(product) + torch.tril(product, -1).mT
        lengths, errors = self.lengths(-1), Rounded.exact(self.error).lengths(-1)
        inverse = torch.where(lengths > 0, 1 / lengths, 0.0)
        apart = (errors * inverse).sum(-1, keepdim=True)
        lost = TINY * inverse.sum(-1, keepdim=True)
        known = lengths * apart + errors * rows + lost
        sums = dot_error(terms, lengths * lengths * rows) + lengths * known
        diagonal = value.diagonal(dim1=-2, dim2=-1)
        top = diagonal + raised(sums, rows + 8)
        diagonal.copy_(top.nextafter(torch.full_like(top, math.inf)))
        return value

    def scale(self, rows: Tensor | None = None, columns: Tensor | None = None) -> "Rounded":
        """diag(rows) X diag(columns), for exact factors."""
        if not isinstance(self.value, Tensor):
            return self._scaled_sparse(rows, columns)
        scaled = self if rows is None else Rounded.exact(rows.unsqueeze(-1)) * self
        return scaled if columns is None else scaled * Rounded.exact(columns)

    def _scaled_sparse(self, rows: Tensor | None, columns: Tensor | None) -> "Rounded":
        left, right = (
            None if x is None else Rounded.exact(sparse.diags_array(x.numpy(), format="csr"))
            for x in (rows, columns)
        )
        scaled = self if left is None else left @ self
        return scaled if right is None else scaled @ right

    def shifted(self, exponent: int) -> "Rounded":
        """2^exponent X: exact, but for what becomes subnormal (a part of a complex number may)."""
        value = shifted(self.value, exponent)
        error = shifted(self.error, exponent)
        if not _is_complex(self) and scale_float(_least(self), exponent) >= LEAST_PRODUCT:
            return Rounded(value, error)
        return Rounded(value, raised(error, 1) + _present(self) * (4 * SMALLEST))

    def above(self) -> Tensor:
        """A Hermitian matrix that exceeds, in the order of such, every one within the error.

        The lower triangle counts.  What is meant differs by a Hermitian matrix of at most the
        errors, which by Gershgorin is at most the diagonal matrix of their row sums; the next
        double absorbs its addition.
        """
        value, error = (torch.tril(x) + torch.tril(x, -1).mH for x in (self.value, self.error))
        sums = raised(error.sum(-1), error.shape[-1])
        diagonal = value.diagonal(dim1=-2, dim2=-1)
        top = diagonal.real + sums
        diagonal.copy_(torch.where(sums > 0, top.nextafter(torch.full_like(top, math.inf)), top))
        return value

    def length(self) -> float:
        """At least ||X||_2 of all entries (of each member of a batch with one error)."""
        size = self.size
        return upper_norm(size if isinstance(size, Tensor) else torch.from_numpy(size.data))

    def distance(self) -> float:
        """At least ||X - X'||_2 of all entries (of each member of a batch with one error)."""
        return upper_norm(self.error)

    def lengths(self, dim: int, norm: Norm = Norm.L2) -> Tensor:
        """At least the norms along an axis, without under- or overflow on the way.

        In l2, of the largest entry's size, n squares and n - 1 sums lose n units, of which the root
        leaves half and adds one.  What underflows of the squares is far below a unit of their sum.
        """
        size = self.size
        if norm is Norm.L1 or not size.shape[dim]:
            return raised(size.sum(dim), size.shape[dim])
        if norm is Norm.LINF:
            return size.amax(dim)
        largest = torch.frexp(size.amax(dim))
        exponents = largest.exponent.long()
        back = -exponents.unsqueeze(dim)
        shares = shifted(size, back)
        roots = raised(shares.square().sum(dim).sqrt(), size.shape[dim] // 2 + 3)
        lengths = shifted(roots, exponents)
        return torch.where(roots > 0, lengths.nextafter(torch.full_like(lengths, math.inf)), roots)

    def norm(self, norm: Norm) -> Upper:
        """||X||: for l1 and linf the largest column or row sum; for l2 the least of the lengths and
        of the root of their product."""
        rows, columns = (
            Upper.at_most(sums.max().item() if sums.numel() else 0.0)
            for sums in (self.lengths(dim, Norm.L1) for dim in (-1, -2))
        )
        if norm is Norm.L2:
            return Upper.least([Upper.at_most(self.length()), (rows * columns).sqrt()])
        return columns if norm is Norm.L1 else rows

    def least_length(self) -> float:
        """At most ||X||_2 of all entries."""
        return lower_norm((self.value.abs() - self.error).clamp(min=0.0))

    def interval(self) -> Interval:
        """Every tensor within the error."""
        return Interval(self.value - self.error, self.value + self.error).widen()


def number(value: float, error: float = 0.0) -> Rounded:
    """One number."""
    return Rounded(*(torch.tensor(x, dtype=torch.float64) for x in (value, error)))


def total(parts: Sequence[Rounded]) -> Rounded:
    """The sum of several."""
    return functools.reduce(operator.add, parts)


def blocks(rows: Sequence[Sequence[Rounded]]) -> Rounded:
    """The Hermitian matrix whose lower triangle has these block rows, each up to its diagonal."""
    full = [
        [rows[i][j] if j <= i else rows[j][i].H for j in range(len(rows))] for i in range(len(rows))
    ]
    values = [[part.value for part in row] for row in full]
    value = _joined(values)
    errors = [[part.error for part in row] for row in full]
    error = _joined(errors)
    return Rounded(*(torch.tril(x) + torch.tril(x, -1).mH for x in (value, error)))


def smallest_proved(
    guess: float,
    is_proved: Callable[[float], bool],
    *,
    excess: float,
    growth: float = 4.0,
    attempts: int = 12,
) -> float | None:
    """The first of guess + excess growth^k, k = 0, 1, ..., for which a statement is proved; None if
    it is for none of so many.

    The guess may come from anywhere: it decides how tight the value is, not whether it holds.
    """
    values = rising(guess, excess, growth, attempts)
    return next((value for value in values if is_proved(value)), None)


def rising(guess: V, excess: V, growth: float = 4.0, attempts: int = 64) -> Iterator[V]:
    """Values above a guess, the distance growing geometrically."""
    return (guess + excess * growth**k for k in range(attempts))


def _shares(x: Rounded) -> bool:
    """Whether members of a batch have one error."""
    return isinstance(x.value, Tensor) and x.error.dim() < x.value.dim()


def _is_complex(x: Rounded) -> bool:
    return isinstance(x.value, Tensor) and x.value.is_complex()


def _complex_moduli(z: Tensor) -> Tensor:
    """At least |z|: the function is off by an ulp."""
    length = torch.hypot(z.real, z.imag)
    return length * (1 + 8 * UNIT) + (length > 0).to(length.dtype) * SMALLEST


def _terms(x: Array, y: Array) -> int:
    """Products that are added for one entry of X Y, at most."""
    if isinstance(x, Tensor):
        return x.shape[-1]
    in_rows, in_columns = (np.diff(m.indptr).max(initial=0) for m in (x.tocsr(), y.T.tocsr()))
    return int(min(in_rows, in_columns))


def _only_moves(x: Array) -> bool:
    """Whether all entries are 0, 1 or -1: other complex numbers of modulus 1 round."""
    entries = x if isinstance(x, Tensor) else x.data
    return bool(((entries == 0) | (entries == 1) | (entries == -1)).all())


def _lost(x: Rounded, y: Rounded, product: Callable[[Array, Array], Array]) -> Array:
    """At least what underflows in a product and its error: nothing where no product is so small.

    Of each two entries that are not 0 there are at most four real products, half a smallest double
    each, and as many in the error.
    """
    if _least(x) * _least(y) >= LEAST_PRODUCT:
        return 0.0
    return product(_present(x), _present(y)) * (4 * SMALLEST)


def _present(x: Rounded) -> Array:
    """1 where something may stand, else 0."""
    present = x.moduli + x.error > 0
    return present.to(torch.float64) if isinstance(present, Tensor) else present.astype(float)


def _least(x: Rounded) -> float:
    """The smallest modulus of an entry, or error, that is not 0; inf where there is none."""
    return min(_least_of(x.moduli), _least_of(x.error))


def _least_of(sizes: Array) -> float:
    if not isinstance(sizes, Tensor):
        sizes = torch.from_numpy(sizes.data)
    return torch.where(sizes > 0, sizes, math.inf).min().item() if sizes.numel() else math.inf


def _joined(grid: list[list[Tensor]]) -> Tensor:
    """The block matrices; batches broadcast."""
    shapes = [part.shape[:-2] for row in grid for part in row]
    batch = torch.broadcast_shapes(*shapes)
    rows = [torch.cat([part.expand(*batch, *part.shape[-2:]) for part in row], -1) for row in grid]
    return torch.cat(rows, -2)
