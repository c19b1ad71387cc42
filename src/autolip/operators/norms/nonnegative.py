"""Norms of operators without negative entries: every pair of norms has its maximum at a known
place, or nearly.

With M >= 0 and e the vector of ones, ||M||_{inf -> q} = ||M e||_q is attained at e, ||M||_{p -> 1}
= ||M^T e||_{p*} is its transpose, ||M||_{1 -> q} is the largest norm of a column, and for any x > 0

    ||M||_2^2 <= max_i (M^T M x)_i / x_i,

an equality at the eigenvector (L. Collatz 1942, H. Wielandt 1950).  Products are rounded upward
entry by entry, so that everything here is PROVED; M may be a majorant.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.errors import Refusal
from autolip.norms import Norm
from autolip.operators.norms.dense import proved_norm
from autolip.operators.norms.engine import upper
from autolip.operators.norms.rounding import CHUNK, upper_product
from autolip.operators.operator import DTYPE, Operator, flat, largest
from autolip.roundoff import gamma, scale_float, upper_norm
from autolip.values import ZERO, Upper

FEW = 512
"""Chosen: smaller side up to which the matrix is formed where no closed form is known."""

ROUNDS = 50
"""Chosen: most steps towards the eigenvector."""

FLOOR = 1e-9
"""Chosen: smallest entry of the trial vector, relative to its largest."""


def nonnegative_norm(operator: Operator, p: Norm, q: Norm) -> Upper | Refusal:
    """Upper bound on ||M||_{p -> q} for an operator M >= 0 made of non-negative leaves."""
    if not operator.in_size or not operator.out_size:
        return ZERO
    if p is Norm.LINF:
        return _length(upper_product(operator, _ones(operator.in_shape)), q)
    if q is Norm.L1:
        return nonnegative_norm(operator.T, q.dual, p.dual)
    if min(operator.in_size, operator.out_size) <= FEW:
        return _of_rows(upper_rows(operator), p, q)
    if (p, q) == (Norm.L2, Norm.L2):
        return perron(operator)
    return Refusal(
        f"the {p.value} -> {q.value} norm of {operator} needs its matrix, whose sides exceed {FEW}"
    )


def products_of_norm(n: int, m: int, p: Norm, q: Norm) -> float:
    """How many products with an m x n operator and its transpose that takes, in pairs, at most."""
    if p is Norm.LINF or q is Norm.L1:
        return 0.5
    return min(n, m) / 2 if min(n, m) <= FEW else float(ROUNDS)


def upper_rows(operator: Operator) -> Float[Tensor, "n m"]:
    """At least M^T, entrywise: the columns of M as rows."""
    flip = operator.out_size < operator.in_size
    base = operator.T if flip else operator
    longest = max(base.in_size, base.out_size)
    batch = max(1, CHUNK // longest)
    unit_rows = torch.eye(base.in_size, dtype=DTYPE)
    units = unit_rows.reshape(-1, *base.in_shape)
    products = [flat(upper_product(base, part)) for part in units.split(batch)]
    rows = torch.cat(products)
    return rows.T if flip else rows


def _of_rows(rows: Float[Tensor, "n m"], p: Norm, q: Norm) -> Upper:
    if (p, q) == (Norm.L2, Norm.L2):
        return upper(proved_norm(rows))
    if p is Norm.L1:
        return Upper.largest(_length(row, q) for row in rows)
    return Upper.largest(_length(column, Norm.L2) for column in rows.T)


def _length(x: Tensor, norm: Norm) -> Upper:
    if norm is Norm.LINF:
        return upper(largest(x))
    return upper(upper_norm(x) if norm is Norm.L2 else x.sum().item() * (1 + 2 * gamma(x.numel())))


def _ones(shape: torch.Size) -> Tensor:
    return torch.ones((1, *shape), dtype=DTYPE)


def perron(operator: Operator) -> Upper:
    """||M||_2 for M >= 0 by the quotients of Collatz and Wielandt, from at most ROUNDS products
    with M and M^T.

    Every step gives a bound; the search ends when the largest quotient is within 1e-10 of the
    smallest one, or no longer improves.
    """
    is_wide = operator.in_size <= operator.out_size
    base = operator if is_wide else operator.T
    x = _ones(base.in_shape)
    best = Upper(math.inf)
    for _ in range(ROUNDS):
        image = upper_product(base, x)
        top = largest(image)
        if top == 0:
            return ZERO
        if not math.isfinite(top):
            return best
        exponent = math.frexp(top)[1]
        scaled = image * 2.0**-exponent
        again = upper_product(base.T, scaled)
        quotients = again / x  # `upper_product` leaves room for this rounding
        high = quotients.max().item()
        low = quotients.min().item()
        if math.isfinite(high):
            best = Upper.least([best, _root(high, exponent)])
        if not high > low * (1 + 1e-10):
            break
        x = (again / largest(again)).clamp(min=FLOOR)
    return best


def _root(square: float, exponent: int) -> Upper:
    """sqrt(square 2^exponent)."""
    odd = exponent % 2
    return Upper(scale_float(Upper(square * 2.0**odd).sqrt().value, (exponent - odd) // 2))
