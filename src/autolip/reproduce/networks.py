"""The paper's networks."""

from itertools import pairwise

from torch import nn

from autolip.errors import InputError


def mlp(layers: int, width: int = 20) -> nn.Sequential:
    """ReLU network 2-n-...-n-1 with this number of linear layers."""
    sizes = [2, *[width] * (layers - 1), 1]
    linear = [nn.Linear(a, b) for a, b in pairwise(sizes)]
    return nn.Sequential(*[module for layer in linear for module in (layer, nn.ReLU())][:-1])


def cnn(layers: int) -> nn.Sequential:
    """Strided ReLU network on 28 x 28 grey images with this number of convolutions, then flat: 28,
    12, 5, ..., 5, 2, 1.

    At 5 layers the paper's: Conv(1,32,5,s2) Conv(32,64,3,s2) Conv(64,64,3,p1) Conv(64,128,3,s2)
    Conv(128,10,2).  Other depths, which it does not list, have more or fewer of the third.
    """
    if layers < 4:
        raise InputError(f"the convolutional networks have at least 4 layers, not {layers}")
    convolutions = [
        nn.Conv2d(1, 32, 5, stride=2),
        nn.Conv2d(32, 64, 3, stride=2),
        *[nn.Conv2d(64, 64, 3, padding=1) for _ in range(layers - 4)],
        nn.Conv2d(64, 128, 3, stride=2),
        nn.Conv2d(128, 10, 2),
    ]
    modules = [module for layer in convolutions for module in (layer, nn.ReLU())][:-1]
    return nn.Sequential(*modules, nn.Flatten())
