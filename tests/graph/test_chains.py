"""Sequential stretches: whole chains, pieces of residual networks, none."""

import torch
from torch import Tensor, nn

from autolip.capture.torch.export import capture_model
from autolip.graph.chains import Stretch, stretches
from autolip.graph.views import fused
from autolip.regions import Everywhere
from autolip.rules import slopes_on


def of(model: nn.Module, x: Tensor) -> tuple[Stretch, ...]:
    return stretches(fused(slopes_on(capture_model(model.eval(), (x,)).graph, Everywhere())))


def test_a_chain_is_one_stretch() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 2)
    )
    (stretch,) = of(model, torch.randn(1, 3))
    assert len(stretch.blocks) == 3 and len(stretch.slopes) == 2
    scale = model[3].running_var.add(1e-5).rsqrt()
    expected = (torch.diag(scale) @ model[2].weight).double()
    assert torch.allclose(stretch.blocks[1].matrix(), expected)


def test_a_pool_with_a_gain_splits_the_chain() -> None:
    model = nn.Sequential(
        nn.Conv1d(1, 2, 3), nn.ReLU(), nn.Conv1d(2, 2, 1), nn.MaxPool1d(2), nn.Flatten(),
        nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2),
    )  # fmt: skip
    found = of(model, torch.randn(1, 1, 8))
    assert [len(stretch.blocks) for stretch in found] == [2, 2]


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.c(torch.relu(x + self.b(torch.relu(self.a(x)))))


def test_a_residual_network_keeps_its_sequential_pieces() -> None:
    assert of(Residual(), torch.randn(1, 3)) == ()


def test_linear_networks_have_none() -> None:
    assert of(nn.Linear(3, 2), torch.randn(1, 3)) == ()
