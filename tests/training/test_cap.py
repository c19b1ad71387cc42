"""The cap holds for the operator that a layer is: its dense matrix on the image it sees."""

import math

import pytest
import torch
from torch import Tensor, nn

from autolip import InputError
from autolip.training import spectral_cap_

from .networks import conv, mlp


def dense_norm(layer: nn.Module, shape: tuple[int, ...]) -> float:
    """The l2 norm of x -> layer(x) - layer(0), from its matrix in float64."""
    exact = layer.double()
    units = torch.eye(torch.Size(shape).numel(), dtype=torch.float64).reshape(-1, *shape)
    with torch.no_grad():
        matrix = (exact(units) - exact(torch.zeros(1, *shape, dtype=torch.float64))).flatten(1)
    found = torch.linalg.matrix_norm(matrix, 2).item()
    layer.float()
    return found


LAYERS = {
    "linear": (lambda: nn.Linear(7, 5), (7,)),
    "padded": (lambda: nn.Conv2d(2, 3, 3, padding=1), (2, 4, 3)),
    "strided": (lambda: nn.Conv2d(2, 4, 3, stride=2), (2, 7, 7)),
    "dilated, grouped": (lambda: nn.Conv1d(4, 4, 3, dilation=2, groups=2), (4, 11)),
    "same": (lambda: nn.Conv1d(2, 3, 4, padding="same", dilation=3), (2, 12)),
    "valid": (lambda: nn.Conv1d(2, 3, 4, padding="valid"), (2, 12)),
    "transposed": (lambda: nn.ConvTranspose2d(3, 2, 3, stride=2, output_padding=1), (3, 4, 4)),
}


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("name", LAYERS)
def test_the_true_norm_obeys_the_cap(name: str, known: bool) -> None:
    make, shape = LAYERS[name]
    torch.manual_seed(0)
    layer = make()
    before = dense_norm(layer, shape)
    cap = before / 2
    norms = spectral_cap_(layer, cap, torch.zeros(1, *shape) if known else None)
    assert norms[""] >= before
    after = dense_norm(layer, shape)
    assert after <= cap
    assert after >= cap * (0.98 if known else 0.5)


def test_the_longer_side_of_same_padding_counts() -> None:
    """(x0 + x1, x1): one zero behind and none in front; without it the first row alone is left."""
    layer = nn.Conv1d(1, 1, 2, padding="same", bias=False)
    nn.init.ones_(layer.weight)
    assert spectral_cap_(layer, 10.0, torch.zeros(1, 1, 2))[""] >= (1 + math.sqrt(5)) / 2


@pytest.mark.parametrize("mode", ["circular", "reflect"])
def test_padding_by_a_mode_is_part_of_the_map_on_the_image_it_sees(mode: str) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(2, 3, 3, padding=1, padding_mode=mode)
    with pytest.raises(InputError, match="give example_inputs"):
        spectral_cap_(layer, 1.0)
    cap = dense_norm(layer, (2, 5, 4)) / 2
    assert spectral_cap_(layer, cap, torch.zeros(1, 2, 5, 4))[""] >= 2 * cap
    assert 0.98 * cap <= dense_norm(layer, (2, 5, 4)) <= cap


def test_a_rounded_weight_is_scaled_until_it_obeys() -> None:
    """In bfloat16 one rounding moves the norm by up to 0.4%."""
    for seed in range(8):
        torch.manual_seed(seed)
        layer = nn.Linear(1, 1).bfloat16()
        cap = 0.7 * abs(layer.weight.item())
        spectral_cap_(layer, cap)
        assert 0.98 * cap <= abs(layer.weight.item()) <= cap


def test_the_reshaped_kernel_would_not_do() -> None:
    """A kernel of ones: its reshaped matrix has norm 3, the convolution up to 9."""
    layer = nn.Conv2d(1, 1, 3, padding=1, bias=False)
    nn.init.ones_(layer.weight)
    assert spectral_cap_(layer, 3.0)[""] == pytest.approx(9, rel=1e-2)
    assert dense_norm(layer, (1, 12, 12)) <= 3


def test_layers_below_the_cap_are_left_alone() -> None:
    model = mlp()
    before = [parameter.clone() for parameter in model.parameters()]
    norms = spectral_cap_(model, 100.0)
    assert sorted(norms) == ["0", "2", "4"]
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_a_whole_network_is_measured_on_its_own_images() -> None:
    model = conv().train()
    capped = spectral_cap_(model, 0.1, torch.zeros(2, 1, 8, 8))
    assert sorted(capped) == ["0", "4", "7"] and model.training
    assert all(norm <= 0.1 for norm in spectral_cap_(model, 0.1, torch.zeros(2, 1, 8, 8)).values())


def test_what_is_refused() -> None:
    with pytest.raises(InputError, match="cap is 0"):
        spectral_cap_(mlp(), 0.0)
    broken = nn.Linear(2, 2)
    nn.init.constant_(broken.weight, float("nan"))
    with pytest.raises(InputError, match="not finite"):
        spectral_cap_(broken, 1.0)
    parametrised = nn.utils.parametrizations.weight_norm(nn.Linear(4, 4))
    with pytest.raises(InputError, match="parametrised"):
        spectral_cap_(parametrised, 1e-3)


def test_the_map_of_a_tensor_is_untouched_by_autograd() -> None:
    layer = nn.Linear(3, 3)
    spectral_cap_(layer, 0.1)
    value: Tensor = layer(torch.ones(1, 3)).sum()
    value.backward()
    assert layer.weight.grad is not None
