"""Orthogonal reduction of a pair to at most as many rows and columns as neurons, with its rounding
errors."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.intervals import gamma
from autolip.methods.seqlip.inner.problem import UNDERFLOW, Pair
from autolip.values import round_up


@dataclass(frozen=True)
class Core:
    """max || A' diag(s) B' || <= factor * max || A diag(s) B || + addend, for every box within the
    pair's."""

    a: Float[Tensor, "p n"]
    b: Float[Tensor, "n q"]
    factor: float
    addend: float

    def upward(self, value: float) -> float:
        """From a bound for the core to one for the pair."""
        return round_up(round_up(self.factor * value) + self.addend) if self.factor != 1 else value


def condensed(pair: Pair) -> Core:
    """The core of a pair: the triangular factors of A and B^T where these have more rows than
    columns.

    With A = Q R + F, || A diag(s) B || <= ||Q|| || R diag(s) B || + sum_i |f_i| |s_i| |b_i|: the
    two errors, the defect of Q^T Q and the residual F, are computed with their own rounding bounds,
    so nothing is asked of the QR code.
    """
    a, left, fa = _triangle(pair.a)
    bt, right, fb = _triangle(pair.b.T)
    if left == right == 1:
        return Core(pair.a, pair.b, 1.0, 0.0)
    s = pair.largest_slopes
    norm = torch.linalg.vector_norm
    extra = (fa * s * norm(pair.b, dim=1)).sum().item() * right + (
        norm(a, dim=0) * s * fb
    ).sum().item() * left
    growth = 1 + gamma(2 * sum(pair.a.shape) + 2 * sum(pair.b.shape) + 16)
    return Core(
        a, bt.T.contiguous(), left * right * growth, 2 * left * right * extra * growth + UNDERFLOW
    )


def _triangle(
    matrix: Float[Tensor, "m n"],
) -> tuple[Float[Tensor, "k n"], float, Float[Tensor, " n"]]:
    """R, an upper bound on ||Q||, and upper bounds on the column norms of matrix - Q R."""
    m, n = matrix.shape
    if m <= n:
        return matrix, 1.0, matrix.new_zeros(n)
    q, r = torch.linalg.qr(matrix)
    frobenius = torch.linalg.matrix_norm(q).item() * (1 + gamma(m * n))
    defect = torch.linalg.matrix_norm(q.T @ q - torch.eye(n, dtype=q.dtype)).item()
    defect = (defect + 2 * gamma(m + 4) * frobenius**2) * (1 + gamma(n * n))
    residual = torch.linalg.vector_norm(matrix - q @ r, dim=0)
    sizes = torch.linalg.vector_norm(matrix, dim=0) + frobenius * torch.linalg.vector_norm(r, dim=0)
    return r, 1 + defect, (residual + 2 * gamma(n + 4) * sizes) * (1 + gamma(m + 4)) + UNDERFLOW
