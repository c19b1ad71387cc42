"""Rounding bounds against exact rational arithmetic."""

from fractions import Fraction

import pytest
import torch
from torch import Tensor

from autolip.errors import Refusal
from autolip.operators import Dense, Diagonal, Incidence, Operator, Traced, compose
from autolip.operators.norms.rounding import (
    LONG,
    by_halves,
    is_long,
    rounded_matrix,
    rounded_product,
    rounded_rows,
    upper_product,
)
from autolip.operators.operator import largest
from autolip.rounded import Rounded
from autolip.roundoff import scale_float, upper_norm


def exact(matrices: list[Tensor], x: Tensor) -> list[Fraction]:
    """M_1 M_2 ... x."""
    vector = [Fraction(v) for v in x.tolist()]
    for matrix in reversed(matrices):
        vector = [
            sum((Fraction(a) * v for a, v in zip(row, vector, strict=True)), Fraction(0))
            for row in matrix.tolist()
        ]
    return vector


def chain(scale: float, signed: bool, seed: int) -> tuple[Operator, list[Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    matrices = [
        torch.randn(6, 6, generator=generator, dtype=torch.float64) * s
        for s in (1 / scale, scale, 1.0)
    ]
    matrices[1][2] = 0
    matrices = matrices if signed else [matrix.abs() for matrix in matrices]
    return compose(*(Dense(matrix) for matrix in matrices)), matrices


@pytest.mark.parametrize("scale", [1.0, 1e-160, 1e-300, 1e160])
@pytest.mark.parametrize("seed", range(3))
def test_upper_products_are_above_and_zero_stays_zero(scale: float, seed: int) -> None:
    operator, matrices = chain(scale, False, seed)
    x = torch.rand(6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * min(
        1.0, scale
    )
    value = upper_product(operator, x.unsqueeze(0))[0]
    truth = exact(matrices, x)
    assert all(
        v == float("inf") or Fraction(v) >= t for v, t in zip(value.tolist(), truth, strict=True)
    )
    middle = upper_product(Dense(matrices[1]), x.unsqueeze(0))[0]
    assert middle[2] == 0 and (middle[:2] > 0).all()


@pytest.mark.parametrize("scale", [1.0, 1e-100, 1e-160, 1e160])
@pytest.mark.parametrize("seed", range(3))
def test_running_errors_cover_the_exact_product(scale: float, seed: int) -> None:
    operator, matrices = chain(scale, True, seed)
    x = torch.randn(6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * min(
        1.0, scale
    )
    product = rounded_product(
        operator, Rounded(x.unsqueeze(0), torch.zeros(1, 6, dtype=torch.float64))
    )
    assert isinstance(product, Rounded)
    pairs = zip(
        product.value[0].tolist(), product.error[0].tolist(), exact(matrices, x), strict=True
    )
    assert all(
        error == float("inf") or abs(Fraction(v) - t) <= Fraction(error) for v, error, t in pairs
    )
    if scale == 1.0:
        assert largest(product.error) <= 1e-12 * largest(product.value)


def test_matrices_of_leaves_are_exact_and_of_chains_nearly_so() -> None:
    operator, matrices = chain(1.0, True, 0)
    (rows,) = rounded_rows(Dense(matrices[0]))
    assert (
        isinstance(rows, Rounded)
        and largest(rows.error) == 0
        and torch.equal(rows.value.T, matrices[0])
    )
    moved = compose(Dense(matrices[0]), Incidence(lambda x: x.flip(0), (6,)))
    (rows,) = rounded_rows(moved)
    assert isinstance(rows, Rounded) and largest(rows.error) == 0
    (rows,) = rounded_rows(operator)
    assert isinstance(rows, Rounded) and 0 < largest(rows.error) < 1e-12
    for j in range(6):
        truth = exact(matrices, torch.eye(6)[j])
        pairs = zip(rows.value[j].tolist(), rows.error[j].tolist(), truth, strict=True)
        assert all(abs(Fraction(v) - t) <= Fraction(error) for v, error, t in pairs)


def test_a_copied_column_is_no_unit_vector() -> None:
    """1/3 + 1/5 rounds: the column of a wiring that copies an input twice must carry an error."""
    sums = compose(
        Dense(torch.tensor([[1 / 3, 0.2]], dtype=torch.float64)),
        Incidence(lambda x: x.expand(2), (1,)),
    )
    (rows,) = rounded_rows(sums)
    assert isinstance(rows, Rounded) and rows.error[0, 0] > 0


def test_relative_errors_enter() -> None:
    diagonal = Diagonal(torch.tensor([1.0, 2.0], dtype=torch.float64), (2,), relative_error=1e-3)
    (rows,) = rounded_rows(diagonal)
    assert isinstance(rows, Rounded) and rows.error.diag().tolist() == pytest.approx([1e-3, 2e-3])
    assert (
        upper_product(diagonal, torch.ones(1, 2, dtype=torch.float64))
        >= torch.tensor([1.001, 2.002], dtype=torch.float64)
    ).all()


def test_unknown_entries_are_refused() -> None:
    (rows,) = rounded_rows(Traced(lambda x: x.cumsum(0), (3,), terms=3))
    assert isinstance(rows, Refusal)


@pytest.mark.parametrize("scale", [1.0, 1e-320, 1e-200, 1e200, 1e307])
def test_norms_of_vectors_round_up(scale: float) -> None:
    x = torch.randn(50, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * scale
    square = sum(Fraction(v) ** 2 for v in x.tolist())
    value = upper_norm(x)
    assert (
        value == float("inf")
        or square
        <= Fraction(value) ** 2
        <= square * (1 + Fraction(1, 10**12)) + Fraction(2) ** -2100
    )
    assert (value == float("inf")) == (scale == 1e307 and square > Fraction(2) ** 2047)


def test_scaling_a_number_rounds_up() -> None:
    assert scale_float(0.75, -1074) >= 2.0**-1074
    assert scale_float(0.0, -2000) == 0.0
    assert scale_float(1.0, 2000) == float("inf")
    assert scale_float(0.75, 4) == 12.0


def long_chain(count: int, size: int, share: float = 0.0) -> tuple[Operator, list[Tensor]]:
    """Factors that are each off by up to a share of every entry, and those that are meant."""
    generator = torch.Generator().manual_seed(count)
    meant = [
        torch.randn(size, size, generator=generator, dtype=torch.float64) * size**-0.5
        for _ in range(count)
    ]
    stored = [matrix * (1 - share / 2) for matrix in meant]
    return compose(*(Dense(matrix, None, share) for matrix in stored)), meant


@pytest.mark.parametrize("share", [0.0, 1e-3])
def test_products_by_halves_contain_the_exact_one(share: float) -> None:
    """Roundings, and what is not known of the factors of either half."""
    operator, meant = long_chain(LONG + 1, 3, share)
    assert is_long(operator)
    found = by_halves(operator)
    assert isinstance(found, Rounded)
    for column, unit in enumerate(torch.eye(3, dtype=torch.float64)):
        for row, truth in enumerate(exact(meant, unit)):
            off = abs(Fraction(found.value[row, column].item()) - truth)
            assert off <= Fraction(found.error[row, column].item())
            assert not share or off > 0


def test_products_by_halves_lose_little_along_long_chains() -> None:
    """One factor after another multiplies errors by about the root of the size each time."""
    operator, _ = long_chain(30, 64)
    matrix = rounded_matrix(operator)
    assert isinstance(matrix, Rounded)
    (running,) = [rounded_product(operator, Rounded.exact(torch.eye(64, dtype=torch.float64)))]
    assert isinstance(running, Rounded)
    assert matrix.distance() < 1e-7 * matrix.length() < running.distance()


def test_what_only_moves_entries_and_what_is_wide_is_not_made_by_halves() -> None:
    operator, _ = long_chain(LONG, 600)
    assert not is_long(operator)
    operator, _ = long_chain(LONG - 1, 3)
    assert not is_long(operator)
