"""What layers contribute: gains telescope to the smallest bound, losses to the width of the
bracket."""

import math

import pytest
import torch
from torch import nn

from autolip import Ball, Everywhere, InputError, lipschitz
from autolip.layers import Layer, quotient, stretches
from autolip.lower import Random
from autolip.result import Result


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 4))
        self.head = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(x + self.inner(x)))


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def dense() -> nn.Module:
    return nn.Sequential(
        nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3)
    ).eval()


def found(model: nn.Module, **asked: object) -> Result:
    asked = {"method": "autolip", "lower": "random", **asked}
    return lipschitz(model.eval(), torch.zeros(1, 4), **asked)


@pytest.mark.parametrize("norm", ["l2", "linf", "linf:l2", "l1:linf"])
@pytest.mark.parametrize("make", [dense, Residual])
def test_gains_along_the_main_path_multiply_to_the_bound(make, norm: str) -> None:
    result = found(make(), norm=norm, region=Ball(torch.zeros(1, 4), 0.5))
    layers = result.layer_list
    main = [layer for layer in layers if layer.share is not None]
    product = math.prod(layer.gain or 0 for layer in main)
    assert layers[-1].bound == result.upper.value
    assert product == pytest.approx(result.upper.value, rel=1e-12)
    assert sum(layer.share for layer in main) == pytest.approx(1)
    assert all((layer.share == 0) == (layer.gain <= 1) for layer in main)


@pytest.mark.parametrize("method", ["autolip", "liplt", "lipsdp"])
@pytest.mark.parametrize("make", [dense, Residual])
def test_losses_multiply_to_the_width_of_the_bracket(make, method: str) -> None:
    result = found(make(), method=method)
    assert result.layer_list[-1].bound == result.upper.value
    main = [layer for layer in result.layer_list if layer.share is not None]
    width = result.upper.value / result.lower.value
    assert math.prod(layer.loss for layer in main) == pytest.approx(width, rel=1e-6)
    assert all(layer.attained <= layer.bound * (1 + 1e-12) for layer in result.layer_list)


def test_of_all_differences_layers_are_of_the_one_with_the_largest_bound() -> None:
    result = found(dense(), output="pairs")
    main = [layer for layer in result.layer_list if layer.share is not None]
    assert result.layer_list[-1].bound == result.upper.value
    width = result.upper.value / result.worst_pair.lower.value
    assert math.prod(layer.loss for layer in main) == pytest.approx(width, rel=1e-6)


def test_layers_beside_the_main_path_have_no_share() -> None:
    layers = found(Residual()).layer_list
    beside = [layer for layer in layers if layer.share is None]
    assert beside == [] or all(layer.gain is not None for layer in beside)
    assert {layer.module for layer in layers} >= {"inner.0", "head"}


def test_the_main_path_leads_through_the_largest_term() -> None:
    class Two(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.tanh(torch.relu(5 * x) + 0.1 * x)

    shares = {layer.operation: layer.share for layer in found(Two()).layer_list}
    assert shares["aten.relu.default"] is not None


def test_an_affine_network_is_one_layer_of_its_norm() -> None:
    model = nn.Linear(4, 3, bias=False).double()
    model.weight.data = torch.diag(torch.tensor([3.0, 2.0, 1.0, 1.0], dtype=torch.float64))[:3]
    (layer,) = found(model).layer_list
    assert layer.gain == layer.bound == pytest.approx(3)
    assert (layer.weights, layer.share) == (12, 1)


def test_stable_neurons_are_those_whose_sign_the_region_decides() -> None:
    """Of relu(w x + b) for |x| <= 1 those with |w| <= |b| are stable."""
    model = nn.Sequential(nn.Linear(1, 4), nn.ReLU(), nn.Linear(4, 1)).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0], [1.0], [1.0], [2.0]]))
        model[0].bias.copy_(torch.tensor([3.0, -3.0, 0.5, 0.0]))
    asked = {"method": "autolip", "lower": Random(points=50)}
    near = lipschitz(model.eval(), torch.zeros(1, 1), region=Ball(0.0, 1.0), **asked)
    relu = next(layer for layer in near.layer_list if "relu" in layer.operation)
    assert (relu.stable, relu.neurons) == (2, 4)
    far = lipschitz(model, torch.zeros(1, 1), region=Everywhere(), **asked)
    assert all(layer.neurons is None for layer in far.layer_list)


def test_stretches_are_those_of_the_values() -> None:
    model = dense()
    result = found(model, output="0-2")
    witness = result.lower.witness
    measured = stretches(result.problem, witness)
    with torch.no_grad():
        apart = model.double()(witness.x) - model.double()(witness.y)
    rise = (apart[0, 0] - apart[0, 2]).abs().item()
    run = (witness.x - witness.y).norm().item()
    assert measured[result.problem.fused.output] == pytest.approx(rise / run, rel=1e-6)
    assert measured[result.problem.fused.input] == pytest.approx(1)


def test_an_infinite_gain_is_no_gain() -> None:
    class Square(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(x * x)

    layers: tuple[Layer, ...] = found(Square()).layer_list
    assert layers[0].bound == math.inf and layers[0].gain is None and layers[0].loss is None
    assert quotient(1, 0) is quotient(0, 1) is quotient(math.inf, 2) is None


def test_a_constant_network_has_no_layers() -> None:
    class Constant(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.zeros(2)

    assert found(Constant()).layer_list == ()


def test_a_result_without_its_network_says_so(tmp_path) -> None:
    found(dense()).save(tmp_path / "r.json")
    again = Result.load(tmp_path / "r.json")
    with pytest.raises(InputError, match="comes from a file"):
        again.explain()
