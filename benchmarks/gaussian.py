"""Networks fitted to a function drawn from a Gaussian process, and the cost of enumerating their
patterns."""

import time
from itertools import pairwise

import torch
from torch import Tensor, nn


def gaussian_process(generator: torch.Generator, features: int = 500) -> nn.Module:
    """A function of two variables drawn (approximately) from a Gaussian process with an RBF kernel
    of length one."""
    layer, read = nn.Linear(2, features), nn.Linear(features, 1, bias=False)
    layer.weight.data = torch.randn(features, 2, generator=generator)
    layer.bias.data = torch.rand(features, generator=generator) * 2 * torch.pi
    read.weight.data = torch.randn(1, features, generator=generator) * (2 / features) ** 0.5

    class Cosine(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.cos(x)

    return nn.Sequential(layer, Cosine(), read).requires_grad_(False)


def trained_weights(width: int, seed: int, steps: int = 2000, layers: int = 5) -> list[Tensor]:
    """The weights of a trained 2-n-...-n-1 network."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    truth, sizes = gaussian_process(generator), [2, *[width] * (layers - 1), 1]
    linear = [nn.Linear(a, b) for a, b in pairwise(sizes)]
    network = nn.Sequential(*[module for layer in linear for module in (layer, nn.ReLU())][:-1])
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(steps):
        x = 4 * torch.rand(256, 2, generator=generator) - 2
        loss = (network(x) - truth(x)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return [layer.weight.detach().double() for layer in linear]


def seconds_per_decomposition(width: int) -> float:
    """Processor seconds of one singular value decomposition (values only), in batches, for the
    enumeration."""
    generator, count = torch.Generator().manual_seed(0), max(8, 4096 * 400 // width**2 // 8)
    a, b = torch.randn(2, width, width, generator=generator).double()
    batch = (a * (torch.rand(count, 1, width, generator=generator) < 0.5)) @ b
    torch.linalg.svdvals(batch)
    start = time.process_time()
    torch.linalg.svdvals(batch)
    return (time.process_time() - start) / count
