"""The inverse of a matrix lies within what the rule says, in rational arithmetic."""

from fractions import Fraction

import pytest
import torch
from torch import Tensor

from autolip.errors import InputError
from autolip.rules.solving import inverse


def exact_inverse(matrix: Tensor) -> list[list[Fraction]]:
    """By Gauss and Jordan."""
    n = len(matrix)
    rows = [
        [Fraction(float(x)) for x in row] + [Fraction(i == j) for j in range(n)]
        for i, row in enumerate(matrix)
    ]
    for i in range(n):
        pivot = next(k for k in range(i, n) if rows[k][i])
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [x / rows[i][i] for x in rows[i]]
        for k in range(n):
            if k != i:
                factor = rows[k][i]
                rows[k] = [x - factor * y for x, y in zip(rows[k], rows[i], strict=True)]
    return [row[n:] for row in rows]


def hilbert(size: int) -> Tensor:
    steps = torch.arange(size, dtype=torch.float64)
    return 1 / (steps[:, None] + steps + 1)


MATRICES = {
    "random": torch.randn(6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64),
    "triangular": hilbert(5).tril() + 3 * torch.eye(5, dtype=torch.float64),
    "Hilbert's": hilbert(7),
    "in blocks": torch.block_diag(hilbert(3), torch.tensor([[0.3]]), hilbert(2)).double(),
    "of powers of two": torch.diag(torch.tensor([2.0, 0.25, 8.0], dtype=torch.float64)),
}


@pytest.mark.parametrize("name", MATRICES)
def test_every_entry_is_within_the_error(name: str) -> None:
    matrix = MATRICES[name]
    found, error = inverse(matrix)
    pairs = [
        (exact, Fraction(float(x)))
        for row, computed in zip(exact_inverse(matrix), found, strict=True)
        for exact, x in zip(row, computed, strict=True)
    ]
    assert all(abs(exact - x) <= Fraction(error) * abs(x) for exact, x in pairs)
    assert error > 0 or all(exact == x for exact, x in pairs)
    assert error < (1e-4 if name == "Hilbert's" else 1e-12)


def test_matrices_near_a_singular_one_are_refused() -> None:
    with pytest.raises(InputError, match="singular"):
        inverse(torch.ones(3, 3, dtype=torch.float64))
    with pytest.raises(InputError, match="too near to a singular one"):
        inverse(hilbert(12))
