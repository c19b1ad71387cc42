"""Orthogonal reduction of a pair to at most as many rows and columns as neurons, with its rounding
errors."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.methods.seqlip.inner.problem import UNDERFLOW, Pair
from autolip.rounded import Rounded
from autolip.roundoff import raised
from autolip.values import ONE, ZERO, Upper


@dataclass(frozen=True)
class Core:
    """max || A' diag(s) B' || <= factor * max || A diag(s) B || + addend, A' and B' being the pair
    that this is the core of, for every box within the pair's."""

    a: Float[Tensor, "p n"]
    b: Float[Tensor, "n q"]
    factor: Upper = ONE
    addend: Upper = ZERO

    def upward(self, value: float) -> float:
        """From a bound for the core to one for the pair."""
        return (self.factor * Upper.at_most(value) + self.addend).value


def condensed(pair: Pair) -> Core:
    """The core of a pair: the triangular factors of A and B^T where these have more rows than
    columns.

    With A = Q R + F and B^T = P S + G, for every s of the box

        || A diag(s) B ||  <=  ||Q|| ||P|| || R diag(s) S^T ||  +  sum_i |f_i| |s_i| |b_i|
                               +  ||Q|| sum_i |r_i| |s_i| |g_i|.

    The two errors of a side, the defect of Q^T Q and the residual F, are computed with their own
    rounding bounds: no property of the QR code is assumed.
    """
    if len(pair.a) <= pair.width and pair.b.shape[1] <= pair.width:
        return Core(pair.a, pair.b)
    r, q_norm, f = _triangle(pair.a)
    s, p_norm, g = _triangle(pair.b.T)
    slopes = pair.largest_slopes
    rows_of_b = Rounded.exact(pair.b).lengths(1)
    left = _sum(f, slopes, rows_of_b)
    columns_of_r = Rounded.exact(r).lengths(0)
    right = _sum(columns_of_r, slopes, g)
    return Core(r, s.T.contiguous(), q_norm * p_norm, left + q_norm * right)


def _sum(*factors: Float[Tensor, " n"]) -> Upper:
    """At least the sum of the products of numbers >= 0."""
    x, y, z = factors
    return Upper.at_most(raised((x * y * z).sum().item(), len(x) + 2)) + Upper(UNDERFLOW)


def _triangle(
    matrix: Float[Tensor, "m n"],
) -> tuple[Float[Tensor, "k n"], Upper, Float[Tensor, " n"]]:
    """R, an upper bound on ||Q||, and upper bounds on the column norms of matrix - Q R."""
    m, n = matrix.shape
    if m <= n:
        return matrix, ONE, matrix.new_zeros(n)
    q, r = (Rounded.exact(factor) for factor in torch.linalg.qr(matrix))
    unit = Rounded.exact(torch.eye(n, dtype=matrix.dtype))
    defect = q.H @ q - unit
    residual = Rounded.exact(matrix) - q @ r
    return r.value, (ONE + Upper.at_most(defect.length())).sqrt(), residual.lengths(0)
