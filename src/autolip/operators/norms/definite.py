"""Positive definiteness proved by a floating-point Cholesky factorisation that runs to completion.

If the factorisation of a stored symmetric matrix M completes, M has no eigenvalue below -c trace(M) with
c = gamma_{n+1} / (1 - gamma_{n+1}): S. M. Rump, Verification of positive definiteness, BIT Numerical Mathematics 46
(2006), Theorem 2.3.  Subtracting a little more than that from the diagonal first proves the matrix itself definite.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.intervals import UNIT, gamma
from autolip.operators.operator import charge


def is_semidefinite(matrix: Float[Tensor, "n n"], error: Float[Tensor, "n n"]) -> bool:
    """Whether every symmetric matrix within `error` of this one, entrywise, is proved positive semidefinite.

    Rows and columns are scaled by powers of two (exactly) to a diagonal of about 1 first.  Cost n^3 / 3.
    """
    diagonal = matrix.diagonal()
    if not (diagonal > 0).all() or not matrix.isfinite().all():
        return False
    scale = torch.exp2(-(torch.log2(diagonal) / 2).round())
    scaled = matrix * scale.unsqueeze(0) * scale.unsqueeze(1)
    slack = (error * scale.unsqueeze(0) * scale.unsqueeze(1)).sum(1).max().item() * (1 + gamma(len(matrix)))
    order = len(matrix)
    share = gamma(2 * order + 4) / (1 - gamma(2 * order + 4))
    shift = (slack + share * scaled.trace().item() * (1 + gamma(order))) * (1 + 8 * UNIT) + 4 * UNIT
    scaled.diagonal().sub_(shift)
    charge(order**3 / 6)
    factor, failed = torch.linalg.cholesky_ex(scaled)
    return not failed.any() and bool(factor.isfinite().all())
