"""Semidefiniteness proved: true statements accepted, false ones never."""

import pytest
import torch

from autolip.operators.norms.semidefinite import is_semidefinite


def with_smallest(eigenvalue: float, n: int, scale: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(n)
    q = torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64))[0]
    values = torch.rand(n, generator=generator, dtype=torch.float64) + 0.5
    values[0] = eigenvalue
    matrix = (q * values) @ q.T
    d = torch.logspace(0, scale, n, dtype=torch.float64)
    return torch.tril(matrix) * d * d.unsqueeze(1) + (torch.tril(matrix, -1) * d * d.unsqueeze(1)).T


@pytest.mark.parametrize("n", [1, 2, 5, 40, 150])
@pytest.mark.parametrize("scale", [0.0, 8.0, -8.0])
def test_definite_matrices_are_accepted_and_others_not(n: int, scale: float) -> None:
    zero = torch.zeros(n, n, dtype=torch.float64)
    assert is_semidefinite(with_smallest(1e-9, n, scale), zero)
    assert not is_semidefinite(with_smallest(-1e-13, n, scale), zero)


def test_errors_of_the_entries_count() -> None:
    matrix = with_smallest(0.1, 10)
    assert is_semidefinite(matrix, torch.full_like(matrix, 1e-3))
    assert not is_semidefinite(matrix, torch.full_like(matrix, 0.2))


def test_nonsense_is_not_definite() -> None:
    assert not is_semidefinite(
        torch.full((2, 2), float("nan")).double(), torch.zeros(2, 2).double()
    )
    assert not is_semidefinite(torch.zeros(2, 2).double(), torch.zeros(2, 2).double())
