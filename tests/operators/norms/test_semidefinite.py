"""Semidefiniteness proved: true statements accepted, false ones never."""

import pytest
import torch

from autolip.operators.norms.semidefinite import (
    factorisation_share,
    is_semidefinite,
    largest_eigenvalue,
    shift_of,
)
from autolip.rounded import Rounded


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
    assert is_semidefinite(Rounded.exact(with_smallest(1e-9, n, scale)))
    assert not is_semidefinite(Rounded.exact(with_smallest(-1e-13, n, scale)))


@pytest.mark.parametrize("size", [2.0**-20, 1.0, 2.0**20])
def test_the_shift_is_relative_to_the_trace(size: float) -> None:
    """Rump's c tr(S), and no more than the roundings beside it."""
    diagonal = torch.full((40,), size, dtype=torch.float64)
    lost = factorisation_share(40) * 40 * size
    assert 1e-3 + lost <= shift_of(diagonal, 1e-3) <= 1e-3 + lost + 2.0**-50 * max(size, 1.0)


def test_errors_of_the_entries_count() -> None:
    matrix = with_smallest(0.1, 10)
    assert is_semidefinite(Rounded(matrix, torch.full_like(matrix, 1e-3)))
    assert not is_semidefinite(Rounded(matrix, torch.full_like(matrix, 0.2)))


def test_nonsense_is_not_definite() -> None:
    nonsense = torch.full((2, 2), float("nan")).double()
    assert not is_semidefinite(Rounded.exact(nonsense))
    assert not is_semidefinite(Rounded(torch.eye(2).double(), nonsense))
    assert not is_semidefinite(Rounded.exact(torch.zeros(2, 2).double()))


def test_the_largest_eigenvalue_of_a_batch_within_an_error() -> None:
    generator = torch.Generator().manual_seed(0)
    roots = torch.randn(5, 4, 4, generator=generator, dtype=torch.complex128)
    matrices = roots @ roots.mH
    top = torch.linalg.eigvalsh(matrices).max().item()
    assert top <= largest_eigenvalue(Rounded.shared(matrices)) <= top * (1 + 1e-10)
    within = largest_eigenvalue(Rounded.shared(matrices, 1e-3))
    assert top + 1e-3 <= within <= (top + 4e-3) * (1 + 0.02)
    assert largest_eigenvalue(Rounded.shared(-matrices)) <= 2.0**-800
    assert largest_eigenvalue(Rounded.shared(matrices * float("inf"))) == float("inf")
