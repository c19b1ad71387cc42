"""Lanczos's recurrence: exact on small matrices, with a basis whose Ritz values are at most the
norm."""

import numpy as np
import pytest
import torch
from torch import Tensor

from autolip.operators.norms.krylov import Krylov


def symmetric(n: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(n, n, generator=generator, dtype=torch.float64)
    return a @ a.T


def krylov(matrix: Tensor, steps: int, seed: int = 1, **options: int) -> Krylov:
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(len(matrix), generator=generator, dtype=torch.float64)
    return Krylov(lambda x: matrix @ x, start, len(matrix), **options).grow(steps)


def test_after_all_steps_the_spectrum_is_that_of_the_matrix() -> None:
    matrix = symmetric(12)
    values, _ = krylov(matrix, 12).spectrum()
    np.testing.assert_allclose(values, torch.linalg.eigvalsh(matrix).numpy(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("steps", [1, 3, 6])
def test_a_ritz_value_is_at_most_the_norm_and_its_residual_is_that_of_its_vector(
    steps: int,
) -> None:
    matrix = symmetric(20)
    found = krylov(matrix, steps)
    theta, x = found.leading()
    assert found.top() <= torch.linalg.matrix_norm(matrix, 2).item() * (1 + 1e-12)
    residual = (matrix @ x - theta * x).norm().item()
    assert found.residual() == pytest.approx(residual, rel=1e-6, abs=1e-9)


def test_the_recurrence_holds_up_to_the_defects() -> None:
    """B v_k = beta_{k-1} v_{k-1} + alpha_k v_k + beta_k v_{k+1} + f_k, |f_k| <= defect_k but for
    the rounding of the product."""
    matrix = symmetric(15)
    found = krylov(matrix, 8)
    basis = found.combined(np.eye(8))
    for k in range(1, 7):
        image = matrix @ basis[k]
        known = found.betas[k - 1] * basis[k - 1] + found.alphas[k] * basis[k]
        rest = image - known - found.betas[k] * basis[k + 1]
        product = 16 * 2.0**-53 * (matrix.abs() @ basis[k].abs()).norm()
        assert rest.norm() <= found.defects[k] + product


def test_an_invariant_space_ends_the_recurrence() -> None:
    matrix = torch.diag(torch.tensor([1.0, 1.0, 2.0, 2.0], dtype=torch.float64))
    assert len(krylov(matrix, 4)) <= 4
    assert krylov(torch.zeros(3, 3, dtype=torch.float64), 3).exhausted


def test_a_basis_that_memory_cuts_still_gives_values() -> None:
    matrix = symmetric(12)
    cut = krylov(matrix, 6, memory=8 * 12 * 2)
    whole = krylov(matrix, 6)
    assert cut.top() == pytest.approx(whole.top(), rel=1e-6)
