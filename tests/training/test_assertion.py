"""Passes, or says which of three things it is."""

import pytest
import torch
from torch import nn

from autolip import InputError
from autolip.training import NotLipschitz, assert_lipschitz


def scaled(factor: float) -> nn.Module:
    """x -> factor relu(x)."""
    model = nn.Sequential(
        nn.Linear(1, 1, bias=False), nn.ReLU(), nn.Linear(1, 1, bias=False)
    ).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0]]))
        model[2].weight.copy_(torch.tensor([[factor]]))
    return model.eval()


X = torch.zeros(1, 1).double()


def test_it_passes_and_returns_the_bracket() -> None:
    result = assert_lipschitz(scaled(2.0), 2.0, X, tol=1e-6)
    assert result.upper is not None and 2.0 <= result.upper.value <= 2.0 * (1 + 1e-6)


def test_violated_comes_with_a_witness() -> None:
    with pytest.raises(NotLipschitz, match=r"^violated: two inputs") as caught:
        assert_lipschitz(scaled(2.0), 1.9, X)
    assert caught.value.reason == "violated"
    assert caught.value.result.lower.witness is not None


def test_not_proved_gives_the_bracket() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2)
    ).eval()
    result = assert_lipschitz(model, 1e3, torch.zeros(1, 4), method="autolip")
    between = (result.upper.value + result.lower.value) / 2
    with pytest.raises(NotLipschitz, match="not proved: the constant lies in") as caught:
        assert_lipschitz(model, between, torch.zeros(1, 4), method="autolip")
    assert caught.value.reason == "not proved"


def test_rounding_is_neither() -> None:
    exact = nn.Sequential(scaled(0.7), scaled(1.3))
    proved = assert_lipschitz(exact, 2.0, X, method="autolip").upper.value
    with pytest.raises(NotLipschitz, match="rounding") as caught:
        assert_lipschitz(exact, proved / (1 + 1e-9), X, tol=0.0, method="autolip", lower=None)
    assert caught.value.reason == "rounding"


@pytest.mark.parametrize("options", [{"constant": float("nan")}, {"constant": 1.0, "tol": -1.0}])
def test_bad_numbers_are_refused_at_once(options: dict[str, float]) -> None:
    with pytest.raises(InputError, match="give a finite number"):
        assert_lipschitz(scaled(1.0), example_inputs=X, **options)  # type: ignore[arg-type]


def test_pairs_between_orthogonal_layers_are_one_lipschitz() -> None:
    """The maximum and the minimum of a pair decide the same: 1, not sqrt(2) for each layer."""

    class MaxMin(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            a, b = x.chunk(2, 1)
            return torch.cat([torch.maximum(a, b), torch.minimum(a, b)], 1)

    torch.manual_seed(0)
    layers = [nn.utils.parametrizations.orthogonal(nn.Linear(6, 6)) for _ in range(3)]
    model = nn.Sequential(layers[0], MaxMin(), layers[1], MaxMin(), layers[2]).eval()
    x = torch.zeros(1, 6)
    result = assert_lipschitz(model, 1.0, x, tol=1e-5, method="residual", lower=())
    assert result.upper is not None
    assert result.upper.method == "residual"
