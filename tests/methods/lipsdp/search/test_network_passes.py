"""Passes: forward is the network, adjoint its transpose, at any scale."""

import pytest
import torch
from torch import Tensor, nn

from autolip.methods.lipsdp.search.network_passes import TOP, Passes
from tests.methods.lipsdp.conftest import mlp, pose, relaxed


class Branching(nn.Module):
    """A value that is read twice, and the input in the output."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = mlp(4, 4), mlp(4, 4, seed=1)

    def forward(self, x: Tensor) -> Tensor:
        z = torch.relu(self.a(x))
        return self.b(torch.tanh(z) + z) - x


def slopes(passes: Passes, name: str, like: Tensor) -> Tensor:
    """One slope for each neuron, whatever the batch."""
    generator = torch.Generator().manual_seed(len(name))
    return torch.rand(like.shape[1:], generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("scale", [1.0, 1e12, 1e-12])
@pytest.mark.parametrize("normalise", [False, True])
def test_the_adjoint_is_the_transpose(scale: float, normalise: bool) -> None:
    """<y, g> = <x, w> where every nonlinear vertex is one diagonal map."""
    model = nn.Sequential(mlp(4, 6, scale=scale), nn.ReLU(), Branching6(), nn.ReLU(), mlp(6, 3))
    passes = Passes(relaxed(pose(model.double().eval(), (1, 4))).graph, normalise=normalise)
    bend = lambda name, v: v * slopes(passes, name, v)  # noqa: E731
    x, g = torch.randn(5, 1, 4).double(), torch.randn(5, 1, 3).double()
    y, w = passes.forward(x, bend), passes.adjoint(g, bend)
    inner = (y * g).flatten(1).sum(1) * 2.0 ** passes.exponents[passes.output]
    outer = (x * w).flatten(1).sum(1) * 2.0 ** passes.exponents[passes.output]
    torch.testing.assert_close(inner, outer, rtol=1e-10, atol=0)


class Branching6(nn.Module):
    """x + f(x) of six neurons."""

    def __init__(self) -> None:
        super().__init__()
        self.network = mlp(6, 6, 6)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.network(x)


def test_forward_is_the_network() -> None:
    """With the callback's own activation, which does not know the scale: ReLU has none."""
    model = Branching6().eval()
    x = torch.randn(7, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for normalise in (False, True):
        passes = Passes(relaxed(pose(model, (1, 6))).graph, normalise=normalise)
        y = passes.forward(x.reshape(7, 1, 6), lambda name, v: v.relu())
        scale = 2.0 ** passes.exponents[passes.output]
        torch.testing.assert_close(y.reshape(7, 6) * scale, model(x))


def test_deep_values_stay_near_one() -> None:
    model = mlp(*[5] * 40, scale=1e6)
    passes = Passes(relaxed(pose(model, (1, 5))).graph, torch.float32, normalise=True)
    seen = list[float]()

    def bend(name: str, v: Tensor) -> Tensor:
        seen.append(float(v.abs().max()))
        return v.relu()

    y = passes.forward(torch.randn(3, 1, 5, generator=torch.Generator().manual_seed(0)), bend)
    assert bool(y.isfinite().all()) and max(seen) < TOP * 1e8
    assert passes.exponents[passes.output] > 600
