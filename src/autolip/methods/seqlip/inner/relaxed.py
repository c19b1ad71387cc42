"""Cheap upper bounds on max_s || A diag(s) B ||, for any width; the least of them is returned.

* product:      ||A|| ||B|| max_i max(|lo_i|, |hi_i|);
* midpoint:     ||A diag(c) B|| + ||A diag(sqrt r)|| ||diag(sqrt r) B||,  slopes in [c - r, c + r];
* Theorem 3:    see theorem3, with the singular values of the pair itself;
* multipliers:  lambda_max(M(t)), see multipliers: t from the vector power method, and the optimal t
                up to a width of about a hundred.  The method gives each neuron a vector of R^k:
                with X (q, k), v = B X, z = c v + r |v| p/|p|, p = A^T A z, the multipliers t_i =
                |v_i|/|p_i| are optimal for the X that they came from.
"""

import math
from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.budget import DECOMPOSING, UNLIMITED, Budget
from autolip.intervals import centre_and_radius
from autolip.methods.seqlip.inner.greedy import product
from autolip.methods.seqlip.inner.interior_point import Boxes, Goal, minimise
from autolip.methods.seqlip.inner.multipliers import Gram
from autolip.methods.seqlip.inner.problem import UNDERFLOW, Pair, balanced
from autolip.methods.seqlip.inner.qr_core import condensed
from autolip.methods.seqlip.theorem3 import (
    greatest_alignment,
    norm_bound,
    norm_within,
    theorem3_bound,
)
from autolip.operators.estimates.power import top_eigenvalue
from autolip.rounded import Rounded, smallest_proved
from autolip.roundoff import dot_error
from autolip.values import INFINITE, Upper, round_up

NEWTON_ORDER = 256
"""Chosen: greatest p + q for which the multipliers are optimised by the interior-point method."""

_DECOMPOSED = 1024
"""Chosen: greatest smaller side of a matrix for which singular vectors are computed."""

_FACTORISED = 8192
"""Chosen: greatest p + q for which M(t) is formed and factorised (0.5 GiB)."""


def relax(
    a: Float[Tensor, "p n"],
    b: Float[Tensor, "n q"],
    lo: Float[Tensor, " n"],
    hi: Float[Tensor, " n"],
) -> Upper:
    """Upper bound, proved, on max || A diag(s) B ||_2 over lo <= s <= hi; never above the product
    bound.

    Raises InputError where the arguments make no problem.  Cost: n (p + q)^2 multiply-adds a step.
    """
    return Upper.least([relaxed_until(a, b, lo, hi)[0], product_bound(a, b, lo, hi)])


def relaxed_until(
    a: Float[Tensor, "p n"],
    b: Float[Tensor, "n q"],
    lo: Float[Tensor, " n"],
    hi: Float[Tensor, " n"],
    budget: Budget = UNLIMITED,
) -> tuple[Upper, bool]:
    """The least of the bounds but the first that are had within a budget, and whether all were."""
    pair, _ = balanced(a, b, lo, hi)
    if not pair.width:
        return Upper(0.0), True
    if len(a) == b.shape[1] == 1:
        return Upper(
            pair.upward(greatest_alignment(pair.a[0], pair.b[:, 0], pair.lo, pair.hi)[1])
        ), True
    best = INFINITE
    for seconds, bound in _stages(pair):
        if not budget.affords(seconds):
            return best, False
        best = Upper.least([best, *bound()])
    return best, True


def _stages(pair: Pair) -> Iterator[tuple[float, Callable[[], list[Upper]]]]:
    """Ways to bound the pair, the cheapest first, each with about the seconds that it takes."""
    n = pair.width
    p = min(len(pair.a), pair.width)
    q = min(pair.b.shape[1], pair.width)
    of_a = len(pair.a) * p**2
    of_b = pair.b.shape[1] * q**2
    sides = of_a + of_b
    if max(p, q) <= _DECOMPOSED:
        yield (
            2 * sides / DECOMPOSING,
            lambda: [_raised(pair, theorem3_bound(pair.a, pair.b, pair.lo, pair.hi))],
        )
    yield 2 * sides / DECOMPOSING, lambda: [Upper(pair.upward(_midpoint(pair)))]
    if p + q <= _FACTORISED:
        yield (
            (2 * sides + 2 * n * (p + q) ** 2 + 2 * (p + q) ** 3) / DECOMPOSING,
            lambda: _by_multipliers(pair),
        )


def _raised(pair: Pair, bound: Upper) -> Upper:
    return Upper(pair.upward(bound.value), bound.events)


def product_bound(
    a: Float[Tensor, "p n"],
    b: Float[Tensor, "n q"],
    lo: Float[Tensor, " n"],
    hi: Float[Tensor, " n"],
) -> Upper:
    """||A|| ||B|| max_i max(|lo_i|, |hi_i|), proved."""
    sizes = torch.maximum(lo.abs(), hi.abs())
    largest = sizes.to(torch.float64)
    return norm_bound(a) * norm_bound(b) * Upper(largest.max().item() if len(largest) else 0.0)


def _midpoint(pair: Pair) -> float:
    """||A diag(c) B|| + ||A diag(sqrt r)|| ||diag(sqrt r) B|| in balanced units."""
    c, r = centre_and_radius(pair.lo, pair.hi)
    a = Rounded.exact(pair.a)
    b = Rounded.exact(pair.b)
    root = Rounded.nearest(r.sqrt())
    products = c.abs() * a.lengths(0) * b.lengths(1)
    sizes = products.sum().item()
    slips = Upper(dot_error(pair.width, sizes)) + Upper(UNDERFLOW)
    left_norm = norm_within(a * root)
    right_norm = norm_within(root[:, None] * b)
    spread = left_norm * right_norm
    return (norm_bound(product(pair.a, pair.b, c)) + slips + spread).value


def _by_multipliers(pair: Pair) -> list[Upper]:
    """Proved values of beta >= lambda_max(M(t))."""
    core = condensed(pair)
    gram = Gram(core.a, core.b)
    values = [certified(gram, pair, power_multipliers(gram, pair))]
    if gram.order <= NEWTON_ORDER and pair.width <= 2 * NEWTON_ORDER:
        values.append(
            minimise(
                gram, Boxes.root(gram, pair.lo, pair.hi), Goal(0.0, gap=0.0, floor=1e-9)
            ).bound.item()
        )
    return [Upper(pair.upward(core.upward(value))) for value in values]


def power_multipliers(
    gram: Gram, pair: Pair, *, steps: int = 100, rank: int = 8, seed: int = 0
) -> Float[Tensor, " n"]:
    """Multipliers t of the vector power method; any positive t is valid.

    Cost: 4 n (p + q) rank multiply-adds a step.  A neuron without signal gets its share from a
    floor of 1e-6.
    """
    number = torch.float32 if gram.order > NEWTON_ORDER else torch.float64
    c, r = (x[:, None].to(number) for x in centre_and_radius(pair.lo, pair.hi))
    a = gram.a.to(number)
    b = gram.b.to(number)
    tiny = torch.finfo(number).tiny
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(b.shape[1], rank, dtype=number, generator=generator)
    p = a.T @ (a @ (b @ x))
    for _ in range(steps):
        unit = x / x.norm().clamp_min(tiny)
        v = b @ unit
        ahead = r * v.norm(dim=1, keepdim=True) * _directions(p)
        y = a @ (c * v + ahead)
        unit_y = y / y.norm().clamp_min(tiny)
        p = a.T @ unit_y
        back = r * p.norm(dim=1, keepdim=True) * _directions(v)
        x = b.T @ (c * p + back)
    above = v.norm(dim=1).double()
    below = p.norm(dim=1).double()
    numerator = above + 1e-6 * above.max()
    denominator = below + 1e-6 * below.max()
    t = numerator / denominator
    return t.nan_to_num(1.0).clamp(1e-20, 1e20)


def _directions(x: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
    """Rows of length one; zero where there is none."""
    return torch.nn.functional.normalize(x, dim=1, eps=torch.finfo(x.dtype).tiny)


def certified(gram: Gram, pair: Pair, t: Float[Tensor, " n"]) -> float:
    """A proved value of at least lambda_max(M(t)), whatever t: by Cholesky above an estimate."""
    c, r = (x[None] for x in centre_and_radius(pair.lo, pair.hi))
    matrix = gram.matrix(c, r, t[None])[0]
    top = top_eigenvalue(matrix)

    def raised(beta: float) -> Float[Tensor, " 1"]:
        value = torch.tensor([beta], dtype=torch.float64)
        return value + gram.slack(c, r, t[None], value)

    def is_above(beta: float) -> bool:
        return bool(gram.factorised(c, r, t[None], raised(beta))[1])

    beta = smallest_proved(top, is_above, excess=top * 1e-12, attempts=40)
    if beta is None:
        return math.inf
    value = raised(beta)
    return round_up((value + gram.slack(c, r, t[None], value)).item())
