"""||A||_2 proved by a floating-point Cholesky factorisation that runs to completion.

Let G be the computed A^T A (the smaller side) and M the computed t^2 I - G.  In exact arithmetic

    t^2 I - A^T A  =  M + E,     ||E|| <= gamma_m || |A| ||^2 + u max_i |m_ii|,

the rounding of the Gram matrix (|G - A^T A| <= gamma_m |A|^T |A|) and of the subtraction on the
diagonal.  If the Cholesky factorisation of M runs to completion, R^T R = M + F with |f_ij| <= c
sqrt(m_ii m_jj), so that M has no eigenvalue below -||F|| >= -c trace(M), c = gamma_{n+1} / (1 -
gamma_{n+1}): S. M. Rump, Verification of positive definiteness, BIT Numerical Mathematics 46
(2006), Theorem 2.3, after Demmel.  Hence ||A||^2 <= t^2 + ||E|| + ||F||, whatever produced the
guess t.  Entries are scaled to about 1 first, so that an underflow is less than 2^-500.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.budget import charge
from autolip.errors import Refusal
from autolip.norms import Norm
from autolip.operators.norms.engine import NormOptions, engine, upper
from autolip.operators.norms.krylov import Krylov
from autolip.operators.norms.rounding import (
    CHUNK,
    LARGEST_MATRIX,
    rounded_rows,
)
from autolip.operators.norms.semidefinite import factorisation_share
from autolip.operators.operator import Operator, largest
from autolip.rounded import Rounded, rising
from autolip.roundoff import UNIT, gamma, scale_float, shifted, upper_norm
from autolip.values import Upper

LARGEST_SIDE = 8192
"""Chosen: greatest smaller side of a matrix whose Gram matrix is factorised (0.5 GiB)."""

_DIRECT = 512
"""Chosen: greatest order for which all eigenvalues are cheaper than a Krylov space."""


@engine("dense", "l2", needs=lambda a: a.matrices is not None, exact=True)
def dense(operator: Operator, options: NormOptions) -> Upper | Refusal:
    """||W||_2, at most 1e-8 above for sides up to 1000; cost m n^2 / 2 + n^3 / 6 multiply-adds, n
    the smaller side."""
    weight = operator.matrices
    assert weight is not None
    if refusal := _too_large(*weight.shape[-2:]):
        return refusal
    value = proved_norm(weight)
    if operator.relative_error:
        value += operator.relative_error * absolute_norm(weight)
    return upper(value)  # `proved_norm` and `absolute_norm` leave room for these two roundings


def is_no_matrix(operator: Operator) -> bool:
    """Whether the operator is neither zero nor known to be made of one row or one matrix."""
    return not operator.is_zero and operator.diagonal is None and operator.matrices is None


@engine("finite", "l2", needs=is_no_matrix, exact=True)
def finite(operator: Operator, options: NormOptions) -> Upper | Refusal:
    """||A||_2 of the matrix of any operator, its entries' rounding errors included."""
    sides = (operator.in_size, operator.out_size)
    small, great = sorted(sides)
    if small > options.finite_size:
        return Refusal(
            f"the smaller side is {small}: raise finite_size (now {options.finite_size}) "
            "to materialise it"
        )
    if refusal := _too_large(great, small):
        return refusal
    tall = operator if operator.in_size == small else operator.T
    matrix = torch.empty(small, great, dtype=torch.float64)
    error = 0.0
    start = 0
    for rows in rounded_rows(tall):
        if isinstance(rows, Refusal):
            return rows
        if options.budget.expired and start + len(rows.value) < small:
            return Refusal("no time left to form the matrix")
        matrix[start : start + len(rows.value)] = rows.value
        start += len(rows.value)
        error = math.hypot(error, upper_norm(rows.error))
    return upper(proved_norm(matrix) + error * (1 + gamma(small)))  # as above


def _too_large(m: int, n: int) -> Refusal | None:
    if min(m, n) > LARGEST_SIDE or m * n > LARGEST_MATRIX:
        return Refusal(
            f"a {m} x {n} matrix is too large to factorise (side {LARGEST_SIDE}, "
            f"{LARGEST_MATRIX} entries)"
        )
    return None


def proved_norm(weight: Float[Tensor, "*batch m n"]) -> float:
    """At least max ||W_i||_2 over a batch of stored matrices; inf where they hold no finite
    numbers."""
    top = largest(weight)
    if top == 0 or not math.isfinite(top):
        return 0.0 if top == 0 else math.inf
    exponent = math.frexp(top)[1]
    if abs(exponent) < 200:
        return _proved(_batched(weight))
    return scale_float(_proved(_batched(shifted(weight, -exponent))), exponent)


def _batched(weight: Tensor) -> Float[Tensor, "b m n"]:
    """One batch axis, the smaller side last."""
    shape = weight.shape[-2:]
    flat = weight.reshape(-1, *shape)
    return flat if flat.shape[1] >= flat.shape[2] else flat.mT


def proved_norms(weights: Float[Tensor, "b m n"]) -> list[float]:
    """At least ||W_i||_2 for every member of a batch of stored matrices; inf where one holds no
    finite numbers."""
    if not weights.isfinite().all():
        return [proved_norm(weight) for weight in weights]
    tops = weights.abs().amax((1, 2)) if weights[0].numel() else weights.new_zeros(len(weights))
    exponents = torch.frexp(tops)[1]
    batch = _batched(
        torch.stack([shifted(w, -int(e)) for w, e in zip(weights, exponents, strict=True)])
    )
    values = zip(_squares(batch).sqrt().tolist(), tops.tolist(), exponents.tolist(), strict=True)
    return [0.0 if top == 0 else scale_float(value * (1 + 4 * UNIT), e) for value, top, e in values]


def rounded_norms(matrices: Sequence[Rounded], norm: Norm = Norm.L2) -> list[Upper]:
    """At least ||W_i||, for matrices of one size: in l2 that of the computed one, and its error."""
    if norm is not Norm.L2:
        return [matrix.norm(norm) for matrix in matrices]
    values_of = [matrix.value for matrix in matrices]
    computed = proved_norms(torch.stack(values_of))
    return [
        upper(value) + upper(matrix.distance())
        for value, matrix in zip(computed, matrices, strict=True)
    ]


def _proved(weight: Float[Tensor, "b m n"]) -> float:
    """At least max ||W_i||_2: of the four units, two are left for a sum with an error."""
    return math.sqrt(_squares(weight).max().item()) * (1 + 4 * UNIT)


def _squares(weight: Float[Tensor, "b m n"]) -> Float[Tensor, " b"]:
    """At least ||W_i||_2^2."""
    _, m, n = weight.shape
    squares = []
    for part in weight.split(max(1, CHUNK // (m * n + 2 * n * n))):
        gram = _gram(part)
        charge(len(part) * n**3 / 6)
        slack = gamma(m) * _absolute_squares(part) + part.abs().amax((1, 2)) ** 2 * 2.0**-500
        squares.append(_factorised(gram, slack))
    return torch.cat(squares)


def _gram(weight: Float[Tensor, "b m n"], block: int = 512) -> Float[Tensor, "b n n"]:
    """W^T W, each block of the symmetric result computed once."""
    n = weight.shape[-1]
    gram = weight.new_empty(len(weight), n, n)
    for start in range(0, n, block):
        rows = slice(start, min(start + block, n))
        charge(weight[:, :, rows].numel() * rows.stop)
        before = weight[:, :, : rows.stop]
        gram[:, rows, : rows.stop] = weight[:, :, rows].mT @ before
        gram[:, :start, rows] = gram[:, rows, :start].mT
    return gram


def absolute_norm(weight: Float[Tensor, "*batch m n"]) -> float:
    """At least max || |W_i| ||_2, by products of numbers near 1."""
    top = largest(weight)
    exponent = math.frexp(top)[1] if math.isfinite(top) else 0
    squares = _absolute_squares(_batched(shifted(weight, -exponent)))
    return scale_float(math.sqrt(squares.max().item()) * (1 + 4 * UNIT), exponent)


def _absolute_squares(weight: Float[Tensor, "b m n"]) -> Float[Tensor, " b"]:
    """At least || |W_i| ||_2^2: the Frobenius norm, or the product of the l1 and linf norms."""
    m, n = weight.shape[-2:]
    norm = torch.linalg.vector_norm
    frobenius = norm(weight, dim=(1, 2)) ** 2
    columns = norm(weight, ord=1, dim=1).amax(1)
    rows = norm(weight, ord=1, dim=2).amax(1)
    schur = columns * rows
    return torch.minimum(frobenius, schur) * (1 + 4 * gamma(m * n))


def _factorised(gram: Float[Tensor, "b n n"], slack: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
    """At least ||G_i|| + slack_i, by factorising t^2 I - G_i for growing t^2; overwrites G.

    Of the eight units of t^2 in the last product, the sums, it and the subtraction on the diagonal
    take five, and what is lost of the trace, n u times its share, less than one: n^3 < 1 / (4 u).
    """
    order = gram.shape[-1]
    guess = _guess(gram)
    diagonal = gram.diagonal(dim1=1, dim2=2).clone()
    negative = gram.neg_()
    share = factorisation_share(order)
    excess = slack + share * order * guess
    proved = torch.full_like(guess, math.inf)
    left = torch.arange(len(gram))
    for squares in rising(guess, excess):
        square = squares[left]
        pivots = square[:, None] - diagonal[left]
        shifted = negative if len(left) == len(negative) else negative[left]
        shifted.diagonal(dim1=1, dim2=2).copy_(pivots)
        factor, failed = torch.linalg.cholesky_ex(shifted)
        done = (failed == 0) & factor.diagonal(dim1=1, dim2=2).isfinite().all(1)
        lost = share * pivots.sum(1)
        computed = square + slack[left] + lost
        value = computed * (1 + 8 * UNIT)
        proved[left[done]] = value[done]
        left = left[~done]
        if not len(left):
            break
    return proved


def _guess(gram: Float[Tensor, "b n n"]) -> Float[Tensor, " b"]:
    """Close to ||G_i||: an eigenvalue solver's word, not relied upon."""
    order = gram.shape[-1]
    if order <= _DIRECT or len(gram) > 1:
        return torch.linalg.eigvalsh(gram)[:, -1].clamp(min=0.0)
    generator = torch.Generator().manual_seed(order)
    start = torch.randn(order, dtype=gram.dtype, generator=generator)
    space = Krylov(lambda v: gram[0] @ v, start, order)
    while not space.exhausted and len(space) < 400:
        space.step()
        if len(space) % 10 == 0 and space.residual() <= 1e-6 * space.top():
            break
    return torch.tensor([space.top()], dtype=gram.dtype)
