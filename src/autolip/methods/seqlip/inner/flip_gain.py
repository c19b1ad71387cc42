"""What one flip does to the largest singular value, for all neurons from one small singular value
decomposition.

Let M = U S V^T and M' = M + d a b^T, and tau > sigma_1(M).  The norm of M' is below tau exactly
where [tau I, -M'; -M'^T, tau I] is positive definite: a matrix of rank two away from one that is.
By Sylvester's law that is

    d g_ab + |d| sqrt(g_aa g_bb) < 1,

    g_aa = tau sum_k (u_k.a)^2 / (tau^2 - s_k^2),     g_bb = tau sum_k (v_k.b)^2 / (tau^2 - s_k^2),
    g_ab = sum_k s_k (u_k.a) (v_k.b) / (tau^2 - s_k^2),

with a term |a|^2 - |U^T a|^2 over tau in g_aa where U is not square, and so for b.  The left side
falls in tau, so that bisection finds the norm after the flip (after Golub, SIAM Review 15, 1973,
section 5).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

CHUNK = 1 << 22
"""Chosen: entries of a working array."""

RISE = 1e-9
"""Chosen: relative growth below which a flip is no improvement."""

CANDIDATES = 256
"""Chosen: flips that are tried in turn after one look at all of them."""


@dataclass(frozen=True)
class _Coordinates:
    """(u_k.a_i)^2, (v_k.b_i)^2, s_k (u_k.a_i)(v_k.b_i), what lies outside the singular vectors, and
    the change d."""

    aa: Float[Tensor, "k m"]
    bb: Float[Tensor, "k m"]
    ab: Float[Tensor, "k m"]
    a_rest: Float[Tensor, " m"]
    b_rest: Float[Tensor, " m"]
    change: Float[Tensor, " m"]

    @staticmethod
    def of(
        svd: tuple[Tensor, Tensor, Tensor], a: Tensor, b: Tensor, change: Tensor
    ) -> "_Coordinates":
        u, s, vh = svd
        alpha = u.T @ a
        omega = vh @ b.T
        aa = alpha.square()
        bb = omega.square()
        all_of_a = a.square().sum(0)
        a_rest = (all_of_a - aa.sum(0)).clamp_min(0)
        all_of_b = b.square().sum(1)
        b_rest = (all_of_b - bb.sum(0)).clamp_min(0)
        return _Coordinates(aa, bb, s[:, None] * alpha * omega, a_rest, b_rest, change)

    def left_side(self, s: Float[Tensor, " k"], tau: Float[Tensor, " m"]) -> Float[Tensor, " m"]:
        """At least one exactly where the norm after the flip is at least tau."""
        below = tau - s[:, None]
        above = tau + s[:, None]
        inverse = 1 / (below * above)
        inside_a = (self.aa * inverse).sum(0)
        aa = tau * inside_a + self.a_rest / tau
        inside_b = (self.bb * inverse).sum(0)
        bb = tau * inside_b + self.b_rest / tau
        return self.change * (self.ab * inverse).sum(0) + self.change.abs() * (aa * bb).sqrt()


def best_flip(
    m: Float[Tensor, "p q"],
    a: Float[Tensor, "p n"],
    b: Float[Tensor, "n q"],
    change: Float[Tensor, " n"],
) -> int | None:
    """The flip i after which || M + change_i a_i b_i || is largest; None where no flip makes it
    grow by RISE.

    Cost: one decomposition of M and a bisection over all flips; for a few hundred of them.
    """
    if not len(change):
        return None
    svd = torch.linalg.svd(m, full_matrices=False)
    top = svd[1][0].item()
    columns = a.norm(dim=0)
    rows_of_b = b.norm(dim=1)
    reach = change.abs() * columns * rows_of_b
    if top == 0:
        return int(reach.argmax()) if bool((reach > 0).any()) else None
    here = _Coordinates.of(svd, a, b, change)
    low = torch.full_like(reach, top * (1 + RISE))
    high = top * (1 + 2 * RISE) + reach
    if not bool((here.left_side(svd[1], low) >= 1).any()):
        return None
    for _ in range(40):
        middle = (low + high) / 2
        above = here.left_side(svd[1], middle) >= 1
        low = torch.where(above, middle, low)
        high = torch.where(above, high, middle)
        if int((high > low.max()).sum()) <= 1:
            break
    return int(low.argmax())


def helpful_flips(
    m: Float[Tensor, "p q"],
    a: Float[Tensor, "p n"],
    b: Float[Tensor, "n q"],
    change: Float[Tensor, " n"],
) -> Int[Tensor, " few"]:
    """The most promising CANDIDATES, where one of them makes || M || grow by RISE at least; none
    otherwise.

    Cost: one decomposition of M and two products (p, p) x (p, n), in chunks.
    """
    svd = torch.linalg.svd(m, full_matrices=False)
    if svd[1][0] == 0:
        of_columns = a.norm(dim=0)
        of_rows = b.norm(dim=1)
        reach = change.abs() * of_columns * of_rows
        return reach.argmax()[None] if bool((reach > 0).any()) else reach.nonzero().flatten()
    tau = svd[1][:1] * (1 + RISE)
    numbers = len(a) + b.shape[1]
    step = max(1, CHUNK // max(1, numbers))
    level = torch.empty_like(change)
    for first in range(0, len(change), step):
        rows = slice(first, first + step)
        here = _Coordinates.of(svd, a[:, rows], b[rows], change[rows])
        taus = tau.expand(len(here.change))
        level[rows] = here.left_side(svd[1], taus)
    best = level.topk(min(CANDIDATES, len(level)))
    return best.indices if bool((best.values >= 1).any()) else best.indices[:0]
