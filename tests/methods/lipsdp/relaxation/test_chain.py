"""Chains: what is one sequence of narrow layers, and that its matrices are the network's."""

import pytest
import torch
from torch import Tensor, nn

from autolip.graph.views import fused
from autolip.methods.lipsdp.relaxation.chain import WIDEST_CHAIN, Chain, chain_of
from tests.methods.lipsdp.conftest import mlp, pose, relaxed, stated


class Skipping(nn.Module):
    """f(x) + x."""

    def __init__(self) -> None:
        super().__init__()
        self.network = mlp(4, 6, 4)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.network(x)


def chain(model: nn.Module, *shape: int) -> Chain | None:
    return chain_of(fused(stated(pose(model, shape))))


def test_the_layers_are_the_networks() -> None:
    model = nn.Sequential(mlp(4, 6, 5), nn.LeakyReLU(0.2), mlp(5, 3, seed=1)).double().eval()
    found = chain(model, 1, 4)
    assert found is not None and len(found.names) == 2
    x = torch.randn(1, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = x.flatten()
    for layer, (lo, hi) in zip(found.layers, found.slopes, strict=False):
        y = layer.value @ y
        y = torch.where(y > 0, hi, lo) * y
    torch.testing.assert_close(found.layers[-1].value @ y, model(x).flatten())
    assert found.work == 6**3 + 5**3


def test_convolutions_are_written_out() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(18, 3)).double()
    found = chain(model, 1, 1, 8, 8)
    assert found is not None and [tuple(x.value.shape) for x in found.layers] == [
        (18, 64),
        (3, 18),
    ]


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (Skipping(), (1, 4)),
        (mlp(4, WIDEST_CHAIN + 1, 3), (1, 4)),
        (nn.Sequential(mlp(4, 6), nn.Softmax(-1), mlp(6, 3)), (1, 4)),
    ],
)
def test_what_branches_or_is_wide_or_has_blocks_is_none(
    model: nn.Module, shape: tuple[int, ...]
) -> None:
    assert chain(model.eval(), *shape) is None


def test_the_recursion_speaks_of_l2_alone() -> None:
    model = mlp(4, 6, 3)
    assert relaxed(pose(model, (1, 4))).chain is not None
    assert relaxed(pose(model, (1, 4), "linf:l2")).chain is None
