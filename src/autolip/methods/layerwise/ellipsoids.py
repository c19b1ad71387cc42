"""The layerwise recursion: ellipsoids of reachable differences along a chain, each step proved.

For inputs that differ by at most 1 (l2), let every pre-activation difference v satisfy v v^T <= A
(the ellipsoid of A).  With slopes in [a, b] write z = a v + D s v, D = diag(b - a), s in [0, 1];
for any diagonal T > 0 the vector w = s v satisfies 2 w^T T (v - w) >= 0.  If S = 2 T - T A T is
positive definite, then the next pre-activation v' = W z obeys

    v' v'^T  <=  A' = W a A a W^T + (W D + W a A T) S^-1 (W D + W a A T)^T,

and the Lipschitz constant of the chain is at most sqrt(lambda_max(A_K)), A_1 = W_1 W_1^T (Xu and
Sivaranjani, ECLipsE, NeurIPS 2024; Syed and Hu, arXiv 2503.14297).  Any T gives a valid bound:
multipliers are a choice of tightness.  A' is valid as soon as the block matrix

    [ A        -A T    A a W^T ]
    [ -T A      2 T    D W^T   ]   >= 0
    [ W a A     W D    A'      ]

(where a = 0: with S for 2 T, without its first block row and column), which is what is proved,
entry by entry rounding included; where it fails A' is inflated a little, and T is shrunk where S is
not definite.  Matrices are kept at a norm of about 1, powers of four
apart, so that depth costs no digits.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.errors import Refusal
from autolip.operators.norms.dense import proved_norm
from autolip.operators.norms.semidefinite import is_semidefinite
from autolip.operators.operator import largest
from autolip.rounded import Rounded, blocks, smallest_proved
from autolip.roundoff import scale_float
from autolip.values import Upper

Multipliers = Callable[[int, Tensor], Tensor]
"""From the layer's number and its ellipsoid A (scaled; the closed forms take several, of all
frequencies, too) to the diagonal of T, for that scaling."""

RAISE = 2.0**-32
"""Share of its diagonal by which A is enlarged where its own block must be proved definite (A may
be singular)."""

RANGE = 2.0**200
"""Chosen: matrices whose largest entry is in [1 / RANGE, RANGE] are taken: squares stay within
floating point."""

SHRUNK = 1.5
"""Chosen: lambda_max(T^1/2 A T^1/2) of multipliers that had to be shrunk: near 2 the next ellipsoid
would be enormous."""


@dataclass(frozen=True)
class Ellipsoid:
    """v v^T <= 4^exponent matrix, for every reachable difference v."""

    matrix: Float[Tensor, "n n"]
    exponent: int

    @staticmethod
    def of(image: Rounded, exponent: int = 0) -> "Ellipsoid":
        """One that exceeds 4^exponent times every symmetric matrix within the error; its largest
        diagonal entry is about 1, for powers of four are exact."""
        diagonal = image.value.diagonal()
        top = diagonal.max().item()
        if top <= 0 or not math.isfinite(top):
            return Ellipsoid(image.above(), exponent)
        shift = math.frexp(top)[1] // 2
        return Ellipsoid(image.shifted(-2 * shift).above(), exponent + shift)

    def norm(self) -> Upper:
        """Upper bound on |v|."""
        root = Upper(proved_norm(self.matrix)).sqrt()
        return Upper(scale_float(root.value, self.exponent))


def is_moderate(values: Tensor) -> bool:
    """Whether the largest entry is in the range in which squares neither over- nor underflow, or
    0."""
    top = largest(values)
    return top == 0 or 1 / RANGE <= top <= RANGE


def chain_bound(
    layers: Sequence[Rounded], slopes: Sequence[tuple[Tensor, Tensor]], multipliers: Multipliers
) -> Upper | Refusal:
    """Upper bound on the l2 Lipschitz constant of layers[-1] phi ... phi layers[0], slopes of phi_k
    in [lo, hi]."""
    ellipsoid = first_ellipsoid(layers[0])
    for number, ((lo, hi), layer) in enumerate(zip(slopes, layers[1:], strict=True)):
        if not bool(ellipsoid.matrix.isfinite().all()):
            return Refusal(
                f"the ellipsoid at nonlinear layer {number} left the range of "
                "floating-point numbers"
            )
        t = multipliers(number, ellipsoid.matrix)
        following = next_ellipsoid(ellipsoid, t, lo, hi, layer)
        if following is None:
            return Refusal(f"no multipliers could be proved feasible at nonlinear layer {number}")
        ellipsoid = following
    return ellipsoid.norm()


def first_ellipsoid(layer: Rounded) -> Ellipsoid:
    """W W^T, raised by its rounding."""
    return Ellipsoid.of(layer.gram())


def next_ellipsoid(
    ellipsoid: Ellipsoid,
    multipliers: Tensor,
    lo: Tensor,
    hi: Tensor,
    layer: Rounded,
    attempts: int = 12,
) -> Ellipsoid | None:
    """The proved ellipsoid after slopes in [lo, hi] and a matrix; None if the multipliers cannot be
    made to work."""
    matrix = ellipsoid.matrix
    if lo.any():
        raises = matrix.diagonal() * RAISE
        matrix = matrix + torch.diag(raises)
    t = feasible(
        matrix, torch.where(hi == lo, multipliers * 2.0**-20, multipliers)
    )  # affine entries need next to none
    if t is None:
        return None
    candidate = _candidate(matrix, t, lo, hi, layer.value)
    if candidate is None:
        return None
    above = _statement(matrix, t, lo, hi, layer)

    def raised(share: float) -> Rounded:
        amounts = candidate.diagonal() * share + 2.0**-900
        return Rounded.exact(candidate + torch.diag(amounts))

    def is_ellipsoid(share: float) -> bool:
        return is_semidefinite(blocks([*above[:-1], [*above[-1], raised(share)]]))

    share = smallest_proved(0.0, is_ellipsoid, excess=2.0**-38, growth=2.0**4, attempts=attempts)
    return None if share is None else Ellipsoid.of(raised(share), ellipsoid.exponent)


def feasible(matrix: Tensor, t: Tensor, margin: float = 1e-6) -> Tensor | None:
    """The multipliers, shrunk well below lambda_max(T^1/2 A T^1/2) = 2 where they reach it."""
    if not t.isfinite().all() or not (t > 0).all():
        return None
    root = t.sqrt()
    rows_scaled = root.unsqueeze(1) * matrix
    scaled = rows_scaled * root.unsqueeze(0)
    if not bool(scaled.isfinite().all()):
        return None
    values = torch.linalg.eigvalsh(scaled)
    top = values[-1].item()
    return t if top <= 2 * (1 - margin) else t * (SHRUNK / top)


def _candidate(matrix: Tensor, t: Tensor, lo: Tensor, hi: Tensor, weight: Tensor) -> Tensor | None:
    """A' in floating point."""
    both_scaled = t.unsqueeze(1) * matrix * t.unsqueeze(0)
    s = torch.diag(2 * t) - both_scaled
    factor, failed = torch.linalg.cholesky_ex(s)
    if failed.any():
        return None
    skewed = weight * lo
    straight = weight * (hi - lo)
    gain = straight + (skewed @ matrix) * t
    solved = torch.linalg.solve_triangular(factor, gain.T, upper=False)
    return solved.T @ solved + skewed @ matrix @ skewed.T


def _statement(
    matrix: Tensor, t: Tensor, lo: Tensor, hi: Tensor, layer: Rounded
) -> list[list[Rounded]]:
    """The block rows of what must be semidefinite, the last one up to A'."""
    a = Rounded.exact(matrix)
    twice = Rounded.exact(torch.diag(2 * t))
    width = Rounded.exact(hi) - Rounded.exact(lo)
    forward = layer * width
    if not lo.any():
        return [[twice - a.scale(t, t)], [forward]]
    skewed = layer.scale(columns=lo) @ a
    return [[a], [-a.scale(t), twice], [skewed, forward]]


def by_norm(number: int, matrix: Tensor) -> Tensor:
    """T = I / lambda_max(A): the closed form of ECLipsE-Fast."""
    return torch.full((matrix.shape[-1],), 1 / _top(matrix), dtype=torch.float64)


def by_rows(number: int, matrix: Tensor) -> Tensor:
    """T_i = 1 / sum_j |A_ij|: feasible by Gershgorin."""
    return 1 / _largest_rows(matrix.abs()).clamp(min=2.0**-500)


def by_diagonal(number: int, matrix: Tensor) -> Tensor:
    """T proportional to 1 / A_ii."""
    inverse = 1 / _diagonal(matrix)
    root = inverse.sqrt()
    return inverse / _top(root.unsqueeze(1) * matrix * root)


def by_correlations(number: int, matrix: Tensor) -> Tensor:
    """T_i = q_i / sum_j |A_ij| q_j with q_i = A_ii^-1/2: feasible by Gershgorin on diag(q)^-1 T A
    diag(q)."""
    q = _diagonal(matrix).rsqrt()
    return q / _largest_rows(matrix.abs() * q).clamp(min=2.0**-500)


def _diagonal(matrix: Tensor) -> Tensor:
    """A_ii, the mean over several matrices; small ones raised."""
    diagonals = matrix.diagonal(dim1=-2, dim2=-1).real
    rows = diagonals.reshape(-1, matrix.shape[-1])
    diagonal = rows.mean(0)
    return diagonal.clamp(min=diagonal.max() * 1e-8 + 2.0**-500)


def _largest_rows(matrix: Tensor) -> Tensor:
    """The row sums, the largest of several matrices."""
    return matrix.sum(-1).reshape(-1, matrix.shape[-1]).amax(0)


def _top(matrix: Tensor) -> float:
    return max(torch.linalg.eigvalsh(matrix).max().item(), 2.0**-500)
