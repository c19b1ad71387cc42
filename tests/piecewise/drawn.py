"""Small networks in matrices."""

import itertools

import torch
from torch import nn

from autolip.capture.torch.export import capture_model
from autolip.piecewise.network import Network, network_of
from autolip.regions import Everywhere, Region


def relu_chain(*widths: int, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    layers = list[nn.Module]()
    for m, n in itertools.pairwise(widths):
        layers += [nn.Linear(m, n), nn.ReLU()]
    return nn.Sequential(*layers[:-1]).double().eval()


def written(model: nn.Module, inputs: int, region: Region | None = None) -> Network:
    capture = capture_model(model, (torch.zeros(1, inputs, dtype=torch.float64),))
    network = network_of(capture.graph, region or Everywhere(), {})
    assert isinstance(network, Network)
    return network
