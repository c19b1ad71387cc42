"""A parametrisation that goes on from call to call is evaluated once; any other stays."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import orthogonal, spectral_norm

from autolip import lipschitz
from autolip.capture.torch.parametrised import settled


class PowerSteps(nn.Module):
    """W / (u W v), u and v one step further with every call."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.u = nn.Parameter(torch.ones(rows), requires_grad=False)
        parametrize.register_parametrization(self, "u", Unit())

    def forward(self, weight: Tensor) -> Tensor:
        v = weight.T @ self.u
        v = v / v.norm()
        self.u = weight @ v
        return weight / (self.u @ weight @ v)


class Unit(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x / x.norm()

    def right_inverse(self, x: Tensor) -> Tensor:
        return x / x.norm()


def _moving() -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), orthogonal(nn.Linear(3, 3)))
    parametrize.register_parametrization(model[0], "weight", PowerSteps(3))
    return model.eval()


def test_weights_of_one_evaluation() -> None:
    model = _moving()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    plain = settled(model)
    assert plain is not model
    first = plain.get_submodule("0")
    assert not parametrize.is_parametrized(first)
    assert parametrize.is_parametrized(plain.get_submodule("2"))
    assert torch.equal(plain(torch.ones(1, 4)), plain(torch.ones(1, 4)))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_what_repeats_stays() -> None:
    model = nn.Sequential(orthogonal(nn.Linear(4, 4)), spectral_norm(nn.Linear(4, 4))).eval()
    assert settled(model) is model


def test_such_a_network_gets_a_bracket() -> None:
    result = lipschitz(_moving(), torch.zeros(1, 4), method="autolip")
    assert result.upper is not None
    assert result.upper.value == pytest.approx(1.0, abs=0.2)
