"""The norm after one flip, from one decomposition, against a decomposition of every flip."""

import pytest
import torch
from torch import Tensor

from autolip.methods.seqlip.inner.flip_gain import CANDIDATES, best_flip, helpful_flips


def drawn(p: int, n: int, q: int, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """M, a, b and changes d."""
    g = torch.Generator().manual_seed(seed)
    a, b = torch.randn(p, n, generator=g).double(), torch.randn(n, q, generator=g).double()
    s = torch.randint(0, 2, (n,), generator=g).double()
    return (a * s) @ b, a, b, 1 - 2 * s


def after(m: Tensor, a: Tensor, b: Tensor, change: Tensor) -> Tensor:
    """|| M + d_i a_i b_i || for every i."""
    flips = [m + change[i] * torch.outer(a[:, i], b[i]) for i in range(len(change))]
    return torch.linalg.matrix_norm(torch.stack(flips), 2)


@pytest.mark.parametrize("shape", [(4, 7, 3), (3, 5, 8), (6, 6, 6)])
@pytest.mark.parametrize("seed", range(4))
def test_the_best_flip_is_that_of_all_decompositions(
    shape: tuple[int, int, int], seed: int
) -> None:
    m, a, b, change = drawn(*shape, seed)
    norms = after(m, a, b, change)
    found = best_flip(m, a, b, change)
    if norms.max() > torch.linalg.matrix_norm(m, 2) * (1 + 1e-6):
        assert found is not None
        assert norms[found].item() == pytest.approx(norms.max().item(), rel=1e-9)
    else:
        assert found is None or norms[found] >= torch.linalg.matrix_norm(m, 2)


def test_at_an_optimum_there_is_no_flip() -> None:
    """All slopes 1 is the best pattern of non-negative matrices."""
    g = torch.Generator().manual_seed(0)
    a, b = torch.rand(3, 6, generator=g).double(), torch.rand(6, 4, generator=g).double()
    assert best_flip(a @ b, a, b, -torch.ones(6).double()) is None
    assert not len(helpful_flips(a @ b, a, b, -torch.ones(6).double()))


def test_from_nothing_the_largest_product_is_taken() -> None:
    a = torch.tensor([[1.0, 3.0]], dtype=torch.float64)
    b = torch.tensor([[2.0], [1.0]], dtype=torch.float64)
    assert best_flip(torch.zeros(1, 1).double(), a, b, torch.ones(2).double()) == 1
    assert best_flip(torch.zeros(1, 1).double(), a, b, torch.zeros(2).double()) is None
    assert best_flip(torch.zeros(1, 1).double(), a[:, :0], b[:0], torch.zeros(0).double()) is None


def test_helpful_flips_are_few_and_hold_the_best() -> None:
    m, a, b, change = drawn(5, 2 * CANDIDATES, 5, 3)
    few = helpful_flips(m, a, b, change)
    assert 0 < len(few) <= CANDIDATES
    assert int(after(m, a, b, change).argmax()) in few.tolist()
