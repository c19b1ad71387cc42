"""The paper's architectures, with the sizes it states."""

import pytest
import torch
from torch import nn

from autolip.errors import InputError
from autolip.reproduce.networks import cnn, mlp


@pytest.mark.parametrize("layers", [1, 4, 10])
def test_mlps_have_the_layers_asked_for(layers: int) -> None:
    model = mlp(layers, 7)
    assert sum(isinstance(module, nn.Linear) for module in model) == layers
    assert isinstance(model[-1], nn.Linear) and model(torch.zeros(3, 2)).shape == (3, 1)


@pytest.mark.parametrize("layers", [4, 5, 7, 10])
def test_convolutional_networks_end_in_ten_classes(layers: int) -> None:
    model = cnn(layers)
    assert sum(isinstance(module, nn.Conv2d) for module in model) == layers
    assert model(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


def test_five_convolutions_are_the_published_ones() -> None:
    found = [
        (m.in_channels, m.out_channels, m.kernel_size[0], m.stride[0], m.padding[0])
        for m in cnn(5)
        if isinstance(m, nn.Conv2d)
    ]
    assert found == [
        (1, 32, 5, 2, 0),
        (32, 64, 3, 2, 0),
        (64, 64, 3, 1, 1),
        (64, 128, 3, 2, 0),
        (128, 10, 2, 1, 0),
    ]


def test_three_convolutions_are_too_few() -> None:
    with pytest.raises(InputError, match="at least 4 layers, not 3"):
        cnn(3)
