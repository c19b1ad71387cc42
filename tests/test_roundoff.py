"""What sums and products of doubles lose, against rational arithmetic."""

from fractions import Fraction
from math import inf

import torch
from torch import Tensor

from autolip.roundoff import (
    dot_error,
    gamma,
    lower_norm,
    lowered,
    raised,
    relative_error,
    scale_float,
    shifted,
    sum_error,
    units,
    upper_norm,
)

SEEDS = range(12)
UNIT = Fraction(1, 2**53)


def randn(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def zeros(*shape: int) -> Tensor:
    return torch.zeros(shape, dtype=torch.float64)


def test_numbers_are_raised_above_what_was_meant() -> None:
    """The worst case: every one of k operations rounded down by a whole unit."""
    for k in (0, 1, 10, 1000):
        assert Fraction(raised(1.0, k)) * (1 - UNIT) ** k >= 1
        assert Fraction(raised(1.0, k)) <= 1 + (k + 6) * 2 * UNIT
        assert Fraction(lowered(1.0, k)) * (1 + UNIT) ** k <= 1


def test_the_error_of_a_sum_of_products() -> None:
    for terms in (1, 10, 1000):
        assert Fraction(sum_error(terms, 1.0)) >= (terms + 1) * UNIT / (1 - (terms + 1) * UNIT)
        complex_share = 10 * (Fraction(terms) + 6) ** 2 * UNIT**2
        assert Fraction(dot_error(terms, 1.0, is_complex=True)) ** 2 >= complex_share
        assert Fraction(dot_error(terms, 1.0)) >= (terms + 2) * UNIT / (1 - (terms + 2) * UNIT)


def test_relative_errors_of_some_roundings() -> None:
    """The worst case: x becomes x / (1 + u) and is still off by all of it."""
    for roundings in (1, 2, 3, 100):
        far = (1 + UNIT) ** roundings - 1 if roundings > 1 else UNIT
        assert far <= Fraction(relative_error(roundings)) <= (roundings + 1) * UNIT
    assert units(3, 2.0) == 6 * 2.0**-53


def test_norms_of_vectors() -> None:
    for seed in SEEDS:
        x = randn(seed, 30) * 2.0 ** (seed * 90 - 500)
        assert Fraction(upper_norm(x)) ** 2 >= sum(Fraction(v) ** 2 for v in x.tolist())
    assert upper_norm(zeros(0)) == 0 and upper_norm(zeros(1) + inf) == inf


def test_norms_of_vectors_from_below() -> None:
    for seed in SEEDS:
        x = randn(seed, 3000).abs() * 2.0 ** (seed * 90 - 500)
        square = sum(Fraction(v) ** 2 for v in x.tolist())
        assert square * Fraction(1 - 2.0**-40) <= Fraction(lower_norm(x)) ** 2 <= square
    assert lower_norm(zeros(0)) == 0 and lower_norm(zeros(3)) == 0


def test_powers_of_two() -> None:
    assert shifted(zeros(1) + 2.0**-1074, torch.tensor([2097])).item() == 2.0**1023
    assert shifted(zeros(1) + 2.0**1023, -2097).item() == 2.0**-1074
    assert scale_float(1.0, 2000) == inf and scale_float(1.0, -2000) > 0


def test_gamma_bounds_a_sum_of_products() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(2, 1000, dtype=torch.float64)
    exact = sum(Fraction(a) * Fraction(b) for a, b in zip(x.tolist(), y.tolist(), strict=True))
    assert abs(Fraction((x @ y).item()) - exact) <= Fraction(
        gamma(1000) * (x.abs() @ y.abs()).item()
    )
