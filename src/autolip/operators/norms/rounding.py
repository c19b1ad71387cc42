"""Products with vectors, and what floating point did to them.

The standard model (Higham, Accuracy and Stability of Numerical Algorithms, 2002, chapter 3): an
inner product of t terms in any order differs from the exact one by at most gamma_t |a|^T|x|, plus
2^-1075 for every product that underflows; sums do not underflow.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.budget import charge
from autolip.errors import Refusal
from autolip.operators.algebra import compose, factors
from autolip.operators.operator import DTYPE, Operator, flat
from autolip.rounded import Rounded, total
from autolip.roundoff import SMALLEST, UNIT, gamma

LARGEST_MATRIX = 2**27
"""Chosen: greatest number of entries of one matrix held in memory (1 GiB)."""

LONG = 6
"""Tuned: factors from which on a product is made by halves."""

NARROW = 512
"""Chosen: greatest side of factors for that."""

CHUNK = 2**24
"""Chosen: entries of a batch of vectors that are held at once."""


def upper_product(
    majorant: Operator, x: Float[Tensor, " k *in_shape"]
) -> Float[Tensor, " k *out_shape"]:
    """At least M x, entrywise, for M >= 0 and x >= 0, with the operator's `relative_error`
    included.

    An entry that is exactly 0 stays 0.
    """
    return majorant.fold(x, lambda leaf, v: _inflate(leaf, v, leaf.mv(v)), upper_sum)


def upper_sum(parts: Sequence[Tensor]) -> Tensor:
    """At least the sum of tensors >= 0, entrywise."""
    return torch.stack(list(parts)).sum(0) * (1 + gamma(len(parts)))


def _inflate(leaf: Operator, x: Tensor, product: Tensor) -> Tensor:
    """A computed product of non-negative factors, raised above the exact one.

    The product loses one unit for each of its terms, and this scale and its use four more.  The two
    that gamma has to spare leave one and a half after its subtraction, and with the eight five are
    left to whoever rounds the result.
    """
    if leaf.is_wiring and bool((x == x.round()).all()) and bool((product < 2**53).all()):
        return product
    known = (1 + leaf.relative_error) / (1 - gamma(leaf.terms))
    scale = known * (1 + 8 * UNIT)
    positive = product > 0
    if not positive.all() and bool(((x > 0) & (x < 1)).any()):
        is_positive = (x > 0).to(DTYPE)
        positive = leaf.mv(is_positive) > 0
    return product * scale + positive.to(DTYPE) * ((leaf.terms + 2) * SMALLEST)


@dataclass(frozen=True)
class Units(Rounded):
    """Every member of the batch is exactly a unit vector or 0."""


def rounded_product(operator: Operator, x: Rounded) -> Rounded | Refusal:
    """A x by running error analysis: every leaf adds gamma |A| |x| and passes errors on through
    |A|.

    Products of known entries with unit vectors are exact.  Refused where no majorant is known.
    """
    if operator.majorant() is None:
        return Refusal(f"neither the entries of {operator} nor bounds on them are known")
    return operator.fold(x, _rounded_leaf, total)


def _rounded_leaf(operator: Operator, x: Rounded) -> Rounded:
    units = isinstance(x, Units)
    value = operator.mv_units(x.value) if units else operator.mv(x.value)
    if units and operator.knows_entries:
        relative = operator.relative_error * (1 + 4 * UNIT)
        error = value.abs() * relative
        if operator.relative_error:
            error = error + (value != 0).to(DTYPE) * SMALLEST
        return Units(value, error) if _moves(operator) else Rounded(value, error)
    majorant = operator.majorant()
    assert majorant is not None
    error = upper_product(majorant, x.error)
    if not _moves(operator):
        reached = x.value.abs() + x.error
        size = upper_product(majorant, reached)
        relative = gamma(operator.terms) + operator.relative_error
        error = error + size * (relative * (1 + 4 * UNIT))
        error = error + (size > 0).to(DTYPE) * ((operator.terms + 2) * SMALLEST)
    return Rounded(
        value, error
    )  # the sums lose a unit of their own size, and gamma has two of |A| (|x| + e) to spare


def _moves(operator: Operator) -> bool:
    """Whether the operator only moves entries, to one place at most: unit vectors stay such, or
    become 0."""
    return operator.is_wiring and operator.is_selection and bool((operator.in_counts <= 1).all())


def rounded_rows(operator: Operator) -> Iterator[Rounded | Refusal]:
    """The matrix's columns (as flat rows), in batches, each with its error: A applied to the unit
    vectors, or the product of halves."""
    if is_long(operator):
        found = by_halves(operator)
        yield found if isinstance(found, Refusal) else found.H
        return
    size = operator.in_size
    width = max(operator.in_size, operator.out_size)
    rows = CHUNK // max(width, 1)
    batch = max(1, min(size, rows))
    for start in range(0, size, batch):
        stop = min(start + batch, size)
        units = torch.zeros(stop - start, size, dtype=DTYPE)
        units[torch.arange(stop - start), torch.arange(start, stop)] = 1.0
        units = units.reshape(-1, *operator.in_shape)
        exact = Units(units, torch.zeros_like(units))
        product = rounded_product(operator, exact)
        if isinstance(product, Refusal):
            yield product
            return
        yield Rounded(flat(product.value), flat(product.error))


def rounded_matrix(operator: Operator) -> Rounded | Refusal:
    """The matrix of an operator (outputs x inputs), by the products with the fewer unit vectors."""
    wide = operator.out_size < operator.in_size
    parts = []
    for part in rounded_rows(operator.T if wide else operator):
        if isinstance(part, Refusal):
            return part
        parts.append(part)
    if not parts:
        return Rounded.exact(torch.zeros(operator.out_size, operator.in_size, dtype=DTYPE))
    value = torch.cat([part.value for part in parts])
    error = torch.cat([part.error for part in parts])
    return Rounded(*(part if wide else part.T.contiguous() for part in (value, error)))


def is_long(operator: Operator) -> bool:
    """Whether it is a product of many small factors, not all of which only move entries."""
    parts = factors(operator)
    sides = [part.out_size for part in parts]
    largest = max(operator.in_size, *sides)
    count = sum(not part.is_wiring for part in parts)
    return count >= LONG and largest <= NARROW


def by_halves(operator: Operator) -> Rounded | Refusal:
    """The matrix of a product of many factors, as that of its halves, each made so.

    Errors of one factor after another grow as | |A_n| ... |A_1| |, those of halves as the moduli of
    products of 2, 4, 8, ... factors, which cancellation has made small.
    """
    parts = factors(operator)
    if len(parts) == 1:
        return rounded_matrix(operator)
    middle = len(parts) // 2
    left = by_halves(compose(*parts[:middle]))
    right = by_halves(compose(*parts[middle:]))
    if isinstance(left, Refusal) or isinstance(right, Refusal):
        return left if isinstance(left, Refusal) else right
    columns = right.value.shape[1]
    charge(3.0 * left.value.numel() * columns)
    return left @ right


def nonzero(x: Tensor) -> Tensor:
    """x, with 1 for 0: for searches that divide by it."""
    return torch.where(x == 0, 1.0, x)


def power_of_two(exponent: int) -> float:
    """2^exponent, for searches: 0 or inf where it leaves the range of doubles."""
    return math.ldexp(1.0, exponent) if exponent < 1024 else math.inf
