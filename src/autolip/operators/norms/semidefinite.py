"""Positive definiteness proved by a floating-point Cholesky factorisation that runs to completion.

If the factorisation of a stored symmetric matrix M completes, M has no eigenvalue below -c trace(M)
with c = gamma_{n+1} / (1 - gamma_{n+1}): S. M. Rump, Verification of positive definiteness, BIT
Numerical Mathematics 46 (2006), Theorem 2.3.  Subtracting a little more than that from the diagonal
first proves the matrix itself definite.
"""

import math

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.linalg.lapack import dpotrf
from torch import Tensor

from autolip.budget import charge
from autolip.rounded import Rounded, smallest_proved
from autolip.roundoff import UNIT, V, gamma

LOST = 2.0**-500
"""Proved: more than what underflows in one entry scaled to about 1: the scale of a row is below
2^538."""


def is_semidefinite(statement: Rounded) -> bool:
    """Whether every symmetric matrix within the (symmetric) error is proved positive semidefinite.

    Rows and columns are scaled by powers of two (exactly) to a diagonal of about 1 first.  Cost n^3
    / 3.
    """
    matrix, error = statement.value, statement.error
    diagonal = matrix.diagonal()
    if not (diagonal > 0).all() or not matrix.isfinite().all():
        return False
    scale = torch.exp2(-(torch.log2(diagonal) / 2).round())
    scaled = matrix * scale.unsqueeze(0) * scale.unsqueeze(1)
    slack = (error * scale.unsqueeze(0) * scale.unsqueeze(1)).sum(1).max().item() * (
        1 + gamma(len(matrix))
    )
    return factorises(scaled, slack + len(matrix) * LOST)


def factorises(matrix: Float[Tensor, "n n"], slack: float) -> bool:
    """Whether every symmetric matrix within `slack` of this one in spectral norm is proved positive
    semidefinite.

    Its lower triangle counts, and is overwritten.  The diagonal should be about 1.  Cost n^3 / 6,
    no copy.
    """
    if not bool(matrix.diagonal().isfinite().all()):
        return False
    matrix.diagonal().sub_(shift_of(matrix.diagonal(), slack))
    charge(len(matrix) ** 3 / 6)
    return lower_factor(matrix) is not None


def shift_of(diagonal: Float[Tensor, " n"], slack: float) -> float:
    """What the diagonal is lowered by before the factorisation: for `slack`, for Rump's bound, and
    for rounding.

    The sums here and the subtraction take three units of the largest entry, as all shifts that can
    work are below it; what is lost of the trace, n u times its share, is less than one: n^3 < 1 /
    (4 u).
    """
    order = len(diagonal)
    share = factorisation_share(order)
    trace, top = diagonal.abs().sum().item(), diagonal.abs().max().item() if order else 0.0
    return slack + share * trace + 4 * UNIT * max(top, 1.0)


def factorisation_share(order: int) -> float:
    """Rump's c for order n; gamma_(2 n + 4) also covers codes that multiply by reciprocals of
    pivots."""
    return gamma(2 * order + 4) / (1 - gamma(2 * order + 4))


def factorisation_error(order: int, trace: V) -> V:
    """At least ||S - R^T R|| where a factorisation R of S ran to completion, and what one rounding
    of each diagonal entry of S adds; `trace` is at least that of |S|."""
    return trace * (factorisation_share(order) + 2 * UNIT)


def lower_factor(matrix: Float[Tensor, "n n"]) -> Float[Tensor, "n n"] | None:
    """The Cholesky factor in the lower triangle (what is above it means nothing), in place; None
    where it fails."""
    if not len(matrix):
        return matrix
    factor, failed = dpotrf(matrix.numpy().T, lower=0, clean=0, overwrite_a=1)
    if not np.shares_memory(factor, matrix.numpy()):
        matrix.copy_(torch.from_numpy(factor.T))
    return matrix if failed == 0 and bool(matrix.diagonal().isfinite().all()) else None


def largest_eigenvalue(matrices: Rounded) -> float:
    """At least the largest eigenvalue of every Hermitian matrix within the error of a batch, or 0;
    inf where none could be proved."""
    if not bool(matrices.value.isfinite().all()):
        return math.inf
    guess = max(torch.linalg.eigvalsh(matrices.value).max().item(), 0.0)
    eye = torch.eye(matrices.value.shape[-1], dtype=torch.float64)

    def is_above(top: float) -> bool:
        return bool(are_semidefinite(Rounded.exact(top * eye) - matrices).all())

    excess = guess * 2.0**-44 + 2.0**-900
    proved = smallest_proved(guess, is_above, excess=excess, growth=8.0, attempts=16)
    return math.inf if proved is None else proved


def are_semidefinite(statements: Rounded) -> Bool[Tensor, " f"]:
    """Which members of a batch have only positive semidefinite Hermitian matrices within the error.

    Cost 4 n^3 / 3 for each.
    """
    matrices = statements.value
    diagonal = matrices.diagonal(dim1=-2, dim2=-1).real
    sane = (diagonal > 0).all(-1) & torch.isfinite(matrices.abs()).all(-1).all(-1)
    scale = balancing(diagonal)
    scaled = matrices * scale.unsqueeze(-1) * scale.unsqueeze(-2)
    return sane & all_factorise(scaled, _slack(statements, scale))


def all_factorise(scaled: Tensor, slack: Float[Tensor, " f"]) -> Bool[Tensor, " f"]:
    """Whether every Hermitian matrix within `slack` of each in spectral norm is proved positive
    semidefinite.

    Rows and columns are scaled to a diagonal of about 1, by powers of two, of which what underflows
    is counted here.  Lower triangles count, and are overwritten.
    """
    order = scaled.shape[-1]
    diagonal = scaled.diagonal(dim1=-2, dim2=-1)
    diagonal.sub_(_shift(diagonal.real.amax(-1), slack, order).unsqueeze(-1))
    charge(len(scaled) * 4 * order**3 / 6)
    factor, failed = torch.linalg.cholesky_ex(scaled)
    return (failed == 0) & torch.isfinite(factor.diagonal(dim1=-2, dim2=-1).abs()).all(-1)


def shifts_of(statements: Rounded) -> Float[Tensor, " f"]:
    """What the diagonal of each is lowered by, once rows and columns are scaled by powers of two to
    a diagonal of about 1."""
    diagonal = statements.value.diagonal(dim1=-2, dim2=-1).real
    scale = balancing(diagonal)
    top = (diagonal * scale * scale).amax(-1)
    return _shift(top, _slack(statements, scale), statements.value.shape[-1])


def _slack(statements: Rounded, scale: Tensor) -> Tensor:
    """The largest row sum of scaled errors."""
    error, order = statements.error, statements.value.shape[-1]
    sums = (error * scale.unsqueeze(-1) * scale.unsqueeze(-2)).sum(-1).amax(-1)
    return sums * (1 + gamma(order + 4))


def _shift(top: Tensor, slack: Tensor, order: int) -> Tensor:
    """What covers a slack and the factorisation.

    In complex arithmetic that loses at most 2 n gamma(8 (n + 2)) times the largest diagonal entry
    (Higham 2002, Theorem 10.3 and Lemma 3.5).
    """
    lost = 2 * order * gamma(8 * (order + 2)) * top
    return (slack + order * LOST + lost) * (1 + 8 * UNIT) + 8 * UNIT * (1 + top)


def balancing(diagonal: Tensor) -> Tensor:
    """Powers of two by which rows and columns are scaled to this diagonal of about 1."""
    return torch.exp2(-(torch.log2(torch.where(diagonal > 0, diagonal, 1.0)) / 2).round())
