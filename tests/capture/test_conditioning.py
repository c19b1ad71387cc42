"""How far rounding moves a value: about eps times the sum of absolute terms."""

import pytest
import torch
from torch import Tensor, nn

from autolip.capture.conditioning import sensitivity
from autolip.capture.torch.export import capture_model

EPS = 1e-6


def moved(model: nn.Module, x: Tensor) -> float:
    graph = capture_model(model.double().eval(), (x,)).graph
    generator = torch.Generator().manual_seed(0)
    return float(sensitivity(graph, x, EPS, generator).max())


class Difference(nn.Module):
    """(x_1 + x_2) - x_3."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0] + x[:, 1] - x[:, 2]


def test_a_sum_that_cancels_moves_by_eps_times_its_terms() -> None:
    size = 1e6
    found = moved(Difference(), torch.tensor([[size, 1.0, size]]).double())
    assert EPS * size / 2 <= found <= 8 * EPS * size


def test_a_product_moves_by_eps_relatively() -> None:
    layer = nn.Linear(1, 1, bias=False)
    layer.weight.data.fill_(3.0)
    assert EPS <= moved(layer, torch.tensor([[2.0]]).double()) / 6.0 <= 8 * EPS


def test_without_an_error_nothing_moves() -> None:
    x = torch.tensor([[1.0, 2.0, 3.0]]).double()
    graph = capture_model(Difference(), (x,)).graph
    assert not sensitivity(graph, x, 0.0, torch.Generator().manual_seed(0)).any()


@pytest.mark.parametrize("function", [nn.Sigmoid(), nn.Tanh()])
def test_where_a_function_saturates_its_error_is_small_beside_one_not_beside_its_value(
    function: nn.Module,
) -> None:
    """sigmoid(-40) is 4e-18: libraries err by eps there, many times the value."""
    assert moved(function, torch.tensor([[-40.0]]).double()) >= EPS
