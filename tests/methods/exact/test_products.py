"""Multipliers of the product of norms, and between those of a search and them.

Covers autolip.methods.exact.products.
"""

import itertools
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import autolip
from autolip.budget import Budget
from autolip.capture.torch.export import capture_model
from autolip.methods import Problem
from autolip.methods.exact.cases import Effort
from autolip.methods.exact.certificate import written
from autolip.methods.exact.method import Exact
from autolip.methods.exact.products import Products, rescued
from autolip.methods.exact.proved import quadratic_bounds
from autolip.methods.exact.tree import Tree
from autolip.norms import Norm
from autolip.operators.norms import NormOptions
from autolip.piecewise.network import Network
from autolip.regions import Everywhere
from autolip_check.check import check


def network(model: nn.Module, inputs: int) -> Network:
    x = torch.zeros(1, inputs, dtype=torch.float64)
    graph = capture_model(model.double().eval(), (x,)).graph
    found = written(Problem.pose(graph, Everywhere(), Norm.L2, Norm.L2, NormOptions()))
    assert isinstance(found, Network)
    return found


def layers(*sizes: int, slope: float = 0.0) -> nn.Sequential:
    torch.manual_seed(0)
    parts = list[nn.Module]()
    for m, n in itertools.pairwise(sizes):
        parts += [nn.Linear(m, n), nn.LeakyReLU(slope) if slope else nn.ReLU()]
    return nn.Sequential(*parts[:-1])


class Around(nn.Module):
    """Two paths, of which one bends."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = layers(3, 5, 5, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.inner(x)
        return out


@pytest.mark.parametrize(
    ("model", "steepest"),
    [
        (layers(3, 5, 4, 2), 1),
        (layers(3, 5, 4, 2, slope=0.3), 1),
        (layers(3, 4, 4, 2, slope=-2.0), 2),
        (Around(), 1),
    ],
    ids=["relu", "leaky", "steeper below", "residual"],
)
def test_they_prove_the_product(model: nn.Module, steepest: int) -> None:
    """In the whole and where some neurons have one slope, and with several paths their sum."""
    net = network(model, 3)
    first, last = net.first.repeat(2, 1), net.last.repeat(2, 1)
    last[1, :2] = 0  # the layer's steepest neuron stays
    slopes = net.centred(first, last)
    rows, product = Products(net).of(*slopes)
    proved = quadratic_bounds(net, *slopes, rows, 0.0)
    assert bool((proved <= product * (1 + 1e-4)).all())
    norms = [
        torch.linalg.matrix_norm(p.detach(), 2)
        for name, p in model.named_parameters()
        if "weight" in name
    ]
    expected = float(torch.stack(norms).prod()) * steepest ** (len(norms) - 1)
    expected += isinstance(model, Around)
    assert float(product[0]) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("model", "left"), [(layers(3, 4, 4, 2), 0.0), (Around(), 1.0)])
def test_a_layer_that_is_off_passes_nothing(model: nn.Module, left: float) -> None:
    """Before it there are neurons that do not count."""
    net = network(model, 3)
    last = net.last.clone().unsqueeze(0)
    last[0, net.places[1]] = 0
    slopes = net.centred(net.first.unsqueeze(0), last)
    rows, product = Products(net).of(*slopes)
    proved = quadratic_bounds(net, *slopes, rows, 0.0)
    assert float(product) == left and float(proved) <= left + 1e-5


def deep(count: int) -> nn.Sequential:
    """Of orthogonal layers, whose entries are 2.8 times as large together."""
    torch.manual_seed(1)
    parts = list[nn.Module]()
    for _ in range(count):
        linear = nn.Linear(8, 8)
        nn.init.orthogonal_(linear.weight)
        nn.init.zeros_(linear.bias)
        parts += [linear, nn.ReLU()]
    return nn.Sequential(*parts[:-1])


@pytest.mark.parametrize("q", [Norm.L2, Norm.LINF])
def test_the_first_case_is_not_above_the_product(q: Norm) -> None:
    """Where a search ends before it proves anything, and in norms in which none is made."""
    net = network(deep(24), 8)
    tree = Tree(net, Norm.L2, q, 1e-6, Budget.of(1e-9), Effort(first_steps=2))
    tree.start()
    assert tree.upper <= 1.001


def test_the_nearest_to_the_search_that_proves_is_taken() -> None:
    bounds, rows = torch.tensor([9.0, 1.0]).double(), torch.tensor([[1.0], [1.0]]).double()
    safe = torch.tensor([[100.0], [100.0]]).double(), torch.tensor([2.0, 2.0]).double()

    def prove(which: Tensor, multipliers: Tensor) -> Tensor:
        assert which.tolist() == [0]
        return torch.where(multipliers[:, 0] > 1.5, multipliers[:, 0], 1e9)

    found, taken = rescued(bounds, rows, safe, prove)
    assert found.tolist() == pytest.approx([100**0.1, 1.0])
    assert taken[:, 0].tolist() == pytest.approx([100**0.1, 1.0])


def test_the_check_accepts_them(tmp_path: Path) -> None:
    """A tree that is ended before its first case is split."""
    x, only = torch.zeros(1, 8, dtype=torch.float64), Exact(seconds=0.02)
    asked = {"norm": "l2:linf", "method": only, "lower": None}
    result = autolip.lipschitz(deep(9).double(), x, **asked)  # type: ignore[arg-type]
    assert result.upper is not None and result.upper.value is not None
    assert result.upper.value <= 1.001
    result.certificate().save(tmp_path / "deep.cert")
    assert check(tmp_path / "deep.cert").claim
