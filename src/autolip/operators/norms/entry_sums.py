"""Norms that are sums of entries: everything but l2 -> l2 that has a closed form, and the bounds
that need only |A|.

The normal form (see `engine.normal_form`) leaves five pairs.  With a_j the columns of A and |A|
entrywise,

    l1 -> l1     max_j ||a_j||_1              l2 -> l1     at most || (||a_j||_1)_j ||_2
    l1 -> l2     max_j ||a_j||_2              linf -> l1   at most sum_ij |a_ij|
    l1 -> linf   max_ij |a_ij|

and ||A||_2 <= sqrt(|| |A| ||_1 || |A| ||_inf) (Schur's test) and <= ||A||_F.
All are monotone in |A|, so that a majorant will do.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.errors import Refusal
from autolip.operators.norms.engine import NormOptions, engine, must_be_formed, upper
from autolip.operators.norms.rounding import (
    LARGEST_MATRIX,
    rounded_rows,
    upper_product,
)
from autolip.operators.operator import DTYPE, Operator, largest
from autolip.roundoff import gamma, scale_float, shifted, upper_norm
from autolip.values import Upper


def knows_modulus(operator: Operator) -> bool:
    """Whether `majorant` is |A| itself."""
    return operator.knows_entries or operator.is_nonnegative


def column_sums(operator: Operator) -> Float[Tensor, " n"] | None:
    """At least the column sums of |A|; None where no majorant is known."""
    majorant = operator.majorant()
    if majorant is None:
        return None
    return upper_product(majorant.T, torch.ones((1, *operator.out_shape), dtype=DTYPE)).flatten()


def column_squares(operator: Operator) -> tuple[Float[Tensor, " n"], int] | None:
    """s, e with s 4^e at least the squared l2 norms of the columns; None where the entries are
    unknown.

    Of the five units that `upper_product` leaves, the squares take one and the last line two: a
    root of s takes two.
    """
    top = operator.magnitude
    if top is None:
        return None
    exponent = math.frexp(top)[1] if math.isfinite(top) else 0
    squares = operator.entrywise(
        lambda a: shifted(a, -exponent).square() + (a != 0).to(a.dtype) * 2.0**-1000
    )
    if squares is None:
        return None
    ones = torch.ones((1, *operator.out_shape), dtype=DTYPE)
    sums = upper_product(squares.T, ones).flatten()
    return sums * (1 + operator.relative_error), exponent


@engine("columns", "l1", needs=knows_modulus, products=1, exact=True)
@engine("majorant", "l1", needs=lambda a: not knows_modulus(a), products=1)
def columns(operator: Operator, options: NormOptions) -> Upper | Refusal:
    """||A||_{1 -> 1} = max_j sum_i |a_ij|; at most that of |A_1| |A_2| ... for a composition."""
    sums = column_sums(operator)
    return _unbounded(operator) if sums is None else upper(largest(sums))


@engine("columns", "l1:l2", products=1, exact=True)
def column_norms(operator: Operator, options: NormOptions) -> Upper | Refusal:
    """||A||_{1 -> 2} = max_j ||a_j||_2; one product with the squared entries."""
    squares = column_squares(operator)
    if squares is None:
        return Refusal(f"the entries of {operator} are unknown")
    sums, exponent = squares
    return upper(scale_float(math.sqrt(largest(sums)), exponent))


@engine("entries", "l1:linf", products=1, exact=True)
def entries(operator: Operator, options: NormOptions) -> Upper | Refusal:
    """||A||_{1 -> inf} = max_ij |a_ij|."""
    top = operator.magnitude
    if top is None:
        return Refusal(f"the entries of {operator} are unknown")
    return (
        upper(top)
        if operator.relative_error == 0
        else upper(top * (1 + operator.relative_error), ulps=2)
    )


@engine("sums", "l2:l1", products=1)
def sums_norm(operator: Operator, options: NormOptions) -> Upper | Refusal:
    """||A||_{2 -> 1} <= || (||a_j||_1)_j ||_2: for |y|_inf <= 1, |(A^T y)_j| <= ||a_j||_1."""
    sums = column_sums(operator)
    return _unbounded(operator) if sums is None else upper(upper_norm(sums))


@engine("total", "linf:l1", products=1)
def total(operator: Operator, options: NormOptions) -> Upper | Refusal:
    """||A||_{inf -> 1} <= sum_ij |a_ij|, an equality for entries >= 0."""
    sums = column_sums(operator)
    return _unbounded(operator) if sums is None else upper(_total(sums))


@engine("schur", "l2", products=2)
def schur(operator: Operator, options: NormOptions) -> Upper | Refusal:
    """||A||_2 <= sqrt(|| |A| ||_1 || |A| ||_inf) (I. Schur 1911); two products with |A|."""
    sums = column_sums(operator)
    transposed = column_sums(operator.T)
    if sums is None or transposed is None:
        return _unbounded(operator)
    return upper(largest(sums)).sqrt() * upper(largest(transposed)).sqrt()


@engine("frobenius", "l2", products=1)
def frobenius(operator: Operator, options: NormOptions) -> Upper | Refusal:
    """||A||_2 <= ||A||_F, an equality for rank one; one product with the squared entries."""
    squares = column_squares(operator)
    if squares is None:
        return Refusal(f"the entries of {operator} are unknown")
    sums, exponent = squares
    return upper(scale_float(math.sqrt(_total(sums)), exponent))


@engine("finite", "l1", needs=must_be_formed, exact=True)
def finite_columns(operator: Operator, options: NormOptions) -> Upper | Refusal:
    """||A||_{1 -> 1} of the materialised matrix."""
    matrix = _absolute_matrix(operator, options)
    return matrix if isinstance(matrix, Refusal) else upper(largest(_row_sums(matrix)))


@engine("finite", "l1:l2", needs=must_be_formed, exact=True)
def finite_column_norms(operator: Operator, options: NormOptions) -> Upper | Refusal:
    """||A||_{1 -> 2} of the materialised matrix."""
    matrix = _absolute_matrix(operator, options)
    return (
        matrix
        if isinstance(matrix, Refusal)
        else Upper.largest(upper(upper_norm(column)) for column in matrix)
    )


@engine("finite", "l1:linf", needs=must_be_formed, exact=True)
def finite_entries(operator: Operator, options: NormOptions) -> Upper | Refusal:
    """||A||_{1 -> inf} of the materialised matrix."""
    matrix = _absolute_matrix(operator, options)
    return matrix if isinstance(matrix, Refusal) else upper(largest(matrix))


@engine("finite", "l2:l1", needs=must_be_formed)
def finite_sums(operator: Operator, options: NormOptions) -> Upper | Refusal:
    """||A||_{2 -> 1} at most the l2 norm of the column sums of the materialised matrix."""
    matrix = _absolute_matrix(operator, options)
    return matrix if isinstance(matrix, Refusal) else upper(upper_norm(_row_sums(matrix)))


@engine("finite", "linf:l1", needs=must_be_formed)
def finite_total(operator: Operator, options: NormOptions) -> Upper | Refusal:
    """||A||_{inf -> 1} at most the sum of the materialised matrix."""
    matrix = _absolute_matrix(operator, options)
    return matrix if isinstance(matrix, Refusal) else upper(_total(_row_sums(matrix)))


def _absolute_matrix(operator: Operator, options: NormOptions) -> Float[Tensor, "n m"] | Refusal:
    """At least |A^T|, entrywise."""
    n, m = operator.in_size, operator.out_size
    if min(n, m) > options.finite_size or n * m > LARGEST_MATRIX:
        return Refusal(
            f"a {m} x {n} matrix is too large to materialise (finite_size {options.finite_size})"
        )
    rows = []
    for part in rounded_rows(operator if n <= m else operator.T):
        if isinstance(part, Refusal):
            return part
        rows.append((part.value.abs() + part.error) * (1 + 2.0**-52))
    stacked = torch.cat(rows)
    return stacked if n <= m else stacked.T


def _row_sums(matrix: Float[Tensor, "n m"]) -> Float[Tensor, " n"]:
    return matrix.sum(1) * (1 + 2 * gamma(matrix.shape[1]))


def _total(sums: Tensor) -> float:
    return sums.sum().item() * (1 + 2 * gamma(sums.numel()))


def _unbounded(operator: Operator) -> Refusal:
    return Refusal(f"no bound on the entries of {operator} is known")
