"""Theorem 3 of Virmaux and Scaman (NeurIPS 2018): what a diagonal of slopes costs between two
spectra that fall fast.

Let u be the leading left singular vector of B, v the leading right one of A, and

    B B^T <= kappa u u^T + rho I,     A^T A <= kappa' v v^T + rho' I

for the order of symmetric matrices, kappa = s_1^2 - s_2^2 and rho = s_2^2 for the singular values s
of B.  With D = diag(s), |s_i| <= d, m = max |<s v, u>|,

    ||A D B||^2  <=  kappa' ||B^T D v||^2 + rho' ||D B||^2
                 <=  kappa' (kappa m^2 + rho d^2 |v|^2) + rho' d^2 ||B||^2.

In units of the product of the norms, with r = (s_2/s_1)^2 for either side, that is (1 - r)(1 - r')
m^2 + r + r' - r r' for d = 1: the published (1 - r - r') m^2 + r + r' + r r' exceeds it by r r' (2
- m^2).  (The inner factors of SeqLip hold square roots of singular values, so r is there the ratio
of the layer's second and first singular values.)  The maximum over slopes in [lo, hi] is closed:
with g = u v, each term of <s, g> is largest at an end of its interval.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.errors import InputError
from autolip.methods.seqlip.inner.problem import UNDERFLOW, checked, ldexp
from autolip.norms import Norm
from autolip.operators.dense import Dense
from autolip.operators.estimates.power import top_singular
from autolip.operators.norms import NormOptions, operator_norm
from autolip.operators.operator import largest
from autolip.rounded import Rounded, number
from autolip.roundoff import dot_error, shifted, upper_norm
from autolip.values import INFINITE, Upper, round_down, round_up


def theorem3_factor(
    u: Float[Tensor, " n"],
    v: Float[Tensor, " n"],
    ratio_below: float,
    ratio_above: float,
    lo: Float[Tensor, " n"] | float = 0.0,
    hi: Float[Tensor, " n"] | float = 1.0,
    *,
    published: bool = True,
) -> Upper:
    """Upper bound on max_s || S' V'^T diag(s) U S || / (s_1 s'_1), the factor of one layer of
    activations.

    `u`, `v`: leading left singular vector below, leading right one above, of unit length;
    `ratio_below`, `ratio_above`: second over first singular value of either layer, in [0, 1].
    `published`: the formula of Theorem 3; otherwise the sharper one above.  Slopes beyond [-1, 1]
    count with their size.  As true as the vectors and ratios passed in: see `theorem3_bound` for a
    bound that proves its own.  Raises InputError for arguments out of range.
    """
    if not (0 <= ratio_below <= 1 and 0 <= ratio_above <= 1):
        raise InputError(
            f"ratios of singular values lie in [0, 1], not {ratio_below} and {ratio_above}"
        )
    if u.shape != v.shape:
        raise InputError(
            f"singular vectors {tuple(u.shape)} and {tuple(v.shape)} differ: pass one "
            "entry per neuron"
        )
    lo, hi = (torch.as_tensor(x, dtype=torch.float64).expand(u.shape) for x in (lo, hi))
    _, u, lo, hi = checked(u[None], u[:, None], lo, hi)
    r, s, one, d = map(number, (ratio_below, ratio_above, 1.0, largest_slope(lo, hi)))
    m = _alignment(u[:, 0], v.to(torch.float64), lo, hi)
    if published:
        weight = one - r - s
        rest = r + s + r * s
    else:
        weight = (one - r) * (one - s)
        rest = r + s - r * s
    aligned = weight * m * m
    square = aligned + rest * d * d
    return _at_least_zero(square.interval().hi.item()).sqrt()


def greatest_alignment(
    u: Float[Tensor, " n"], v: Float[Tensor, " n"], lo: Float[Tensor, " n"], hi: Float[Tensor, " n"]
) -> tuple[float, float]:
    """Proved bracket on max |<s u, v>| over lo <= s <= hi."""
    ends = _alignment(u, v, lo, hi).interval()
    return max(0.0, ends.lo.item()), ends.hi.item()


def _at_least_zero(value: float) -> Upper:
    """A computed bound on what is not negative; infinite where it is no number."""
    return Upper.at_most(value if math.isnan(value) else max(0.0, value))


def _alignment(u: Tensor, v: Tensor, lo: Tensor, hi: Tensor) -> Rounded:
    """max |<s u, v>|: the sum of the larger, or of the smaller, products."""
    g = u * v
    larger = torch.maximum(lo * g, hi * g)
    upper = larger.sum().item()
    smaller = torch.minimum(lo * g, hi * g)
    lower = smaller.sum().item()
    slopes = torch.maximum(lo.abs(), hi.abs())
    sizes = (slopes * g.abs()).sum().item()
    of_sum = Upper(dot_error(len(g), sizes))
    error = of_sum + Upper(UNDERFLOW)
    return number(max(upper, -lower, 0.0), error.value)


def largest_slope(lo: Float[Tensor, " n"], hi: Float[Tensor, " n"]) -> float:
    """max |s_i| over the box."""
    return torch.maximum(lo.abs(), hi.abs()).max().item() if len(lo) else 0.0


def pi_limit(layers: int) -> float:
    """pi^-(layers - 1): the limit of SeqLip over AutoLip for `layers` random matrices whose spectra
    fall fast."""
    if layers < 1:
        raise InputError(f"a network has at least one layer, not {layers}")
    return math.pi ** -(layers - 1)


def theorem3_bound(
    a: Float[Tensor, "p n"],
    b: Float[Tensor, "n q"],
    lo: Float[Tensor, " n"],
    hi: Float[Tensor, " n"],
) -> Upper:
    """Upper bound, proved, on max || A diag(s) B ||_2: the argument above, with kappa and rho
    established afresh.

    Raises InputError where the arguments make no problem.  Cost: two leading singular vectors and
    two norms.
    """
    a, b, lo, hi = checked(a, b, lo, hi)
    both_ends = torch.stack([lo, hi])
    tops = [largest(x) for x in (a, b, both_ends)]
    if not all(tops):
        return Upper(0.0)
    ea, eb, es = (torch.tensor(math.frexp(top)[1]) for top in tops)
    bound = _scaled_bound(shifted(a, -ea), shifted(b, -eb), shifted(lo, -es), shifted(hi, -es))
    return Upper(ldexp(bound.value, int(ea + eb + es), round_up, math.inf))


def _scaled_bound(a: Tensor, b: Tensor, lo: Tensor, hi: Tensor) -> Upper:
    """The same for entries of order one."""
    below = _Dominated.of(b)
    above = _Dominated.of(a.T)
    d = Upper(largest_slope(lo, hi))
    alignment = greatest_alignment(below.u, above.u, lo, hi)
    m = Upper(alignment[1])
    along_u = below.kappa * m * m
    elsewhere = below.rho * d * d * above.length
    aligned = along_u + elsewhere
    along_v = above.kappa * aligned
    square = along_v + above.rho * d * d * below.square
    norm_a = Upper(upper_norm(a))
    norm_b = Upper(upper_norm(b)) + below.error
    missing_below = norm_a * below.error
    missing_above = above.error * norm_b
    missing = missing_below + missing_above
    return square.sqrt() + d * missing


@dataclass(frozen=True)
class _Dominated:
    """W W^T <= kappa u u^T + rho I for a W at most `error` from B; `length` >= |u|^2, `square` >=
    ||W||^2."""

    u: Float[Tensor, " n"]
    kappa: Upper
    rho: Upper
    length: Upper
    square: Upper
    error: Upper

    @staticmethod
    def of(b: Float[Tensor, "n q"]) -> "_Dominated":
        """With W = u w^T + F as stored, g = F w and h = F^T u, both close to zero:

            W W^T = |w|^2 u u^T + u g^T + g u^T + F F^T,
            F F^T <= ||F||^2 (I - u u^T / |u|^2) + (2 ||F|| |h| / |u| + |h|^2 / |u|^2) I.

        u and w may be any vectors: an inaccurate pair gives a larger rho.
        """
        tolerance = 1e-5 if min(b.shape) > 128 else 0.0
        u = top_singular(Dense(b), 1, tolerance).left[0]
        w = b.T @ u
        rank_one = Rounded.exact(u[:, None]) @ Rounded.exact(w[None])
        rest = Rounded.exact(b) - rank_one
        stored, column, row = (Rounded.exact(x) for x in (rest.value, u[:, None], w[:, None]))
        f = norm_bound(rest.value)
        size_u = Upper(column.length())
        size_w = Upper(row.length())
        g = Upper((stored @ row).length())
        product_length = (stored.H @ column).length()
        inverse = round_up(1 / column.least_length())
        h = Upper(product_length * inverse)
        rho = (f + h) * (f + h) + Upper(2.0) * size_u * g
        length = size_u * size_u
        least_square = round_down(f.value * f.value)
        left = round_down(least_square / length.value)
        greatest = (size_w * size_w).value
        kappa = _at_least_zero(round_up(greatest - left))
        square = kappa * length + rho
        return _Dominated(u, kappa, rho, length, square, Upper(rest.distance()))


def norm_bound(matrix: Float[Tensor, "m n"]) -> Upper:
    """||W||_2, proved; cheap sound norms where the matrix is too large to factorise."""
    proved = NormOptions(proved_only=True)
    bound = operator_norm(Dense(matrix), Norm.L2, Norm.L2, proved)
    return bound if isinstance(bound, Upper) else INFINITE


def norm_within(matrix: Rounded) -> Upper:
    """At least ||W||_2 of every matrix within the error, proved."""
    return norm_bound(matrix.value) + Upper(matrix.distance())


@dataclass(frozen=True)
class IdealLayer:
    """U diag(values) V^T with orthogonal U, V."""

    u: Float[Tensor, "n n"]
    values: Float[Tensor, " n"]
    v: Float[Tensor, "n n"]

    @property
    def weight(self) -> Float[Tensor, "n n"]:
        return (self.u * self.values) @ self.v.T


def ideal_network(layers: int, width: int, ratio: float, *, seed: int = 0) -> list[IdealLayer]:
    """The paper's ideal scenario: layers U diag(1, r, ..., r) V^T with independent Haar-distributed
    U and V.

    Raises InputError for fewer than one layer or neuron, or a ratio outside [0, 1].
    """
    if layers < 1 or width < 1 or not 0 <= ratio <= 1:
        raise InputError(
            "the ideal scenario wants layers, width >= 1 and 0 <= ratio <= 1, not "
            f"{layers, width, ratio}"
        )
    generator = torch.Generator().manual_seed(seed)
    values = torch.full((width,), float(ratio), dtype=torch.float64)
    values[0] = 1.0
    return [
        IdealLayer(_haar(width, generator), values, _haar(width, generator)) for _ in range(layers)
    ]


def _haar(n: int, generator: torch.Generator) -> Float[Tensor, "n n"]:
    """A Haar-distributed orthogonal matrix: QR of a Gaussian one, the diagonal of R made
    positive."""
    drawn = torch.randn(n, n, dtype=torch.float64, generator=generator)
    q, r = torch.linalg.qr(drawn)
    return q * torch.where(r.diagonal() < 0, -1.0, 1.0)
