"""Leading singular directions by a random block, against a full decomposition."""

import pytest
import torch

from autolip.operators.convolution import Convolution
from autolip.operators.dense import Dense
from autolip.operators.estimates.randomised import randomised_singular
from autolip.operators.kernel import Geometry
from autolip.operators.operator import Operator


def falling(m: int, n: int) -> Operator:
    """Singular values 0.8^i."""
    torch.manual_seed(0)
    k = min(m, n)
    u, v = (torch.linalg.qr(torch.randn(size, k, dtype=torch.float64))[0] for size in (m, n))
    return Dense((u * 0.8 ** torch.arange(k)) @ v.T)


def convolution() -> Operator:
    torch.manual_seed(0)
    return Convolution(torch.randn(4, 3, 3, 3), (3, 8, 8), Geometry((1, 1), (1, 1), (1, 1)))


@pytest.mark.parametrize(
    "layer", [falling(60, 40), falling(40, 60), convolution(), convolution().T]
)
def test_triplets_are_those_of_the_matrix(layer: Operator) -> None:
    k = 12
    found = randomised_singular(layer, k)
    values = torch.linalg.svdvals(layer.matrix())[:k]
    assert (found.values <= values * (1 + 1e-5)).all() and (found.values >= 0.9 * values).all()
    assert found.values[0].item() == pytest.approx(values[0].item(), rel=1e-2)
    assert found.left.shape == (k, *layer.out_shape) and found.right.shape == (k, *layer.in_shape)
    for vectors in (found.left, found.right):
        flat = vectors.flatten(1)
        assert torch.allclose(flat @ flat.T, torch.eye(k).double(), atol=1e-4)
    pairing = found.left.flatten(1) @ layer.matrix() @ found.right.flatten(1).T
    assert torch.allclose(pairing, torch.diag(found.values), atol=1e-4 * values[0].item())
