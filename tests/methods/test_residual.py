"""The cancelling multipliers: valid for any layer, exact for those built to be 1-Lipschitz."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import orthogonal

from autolip import Ball, Everywhere, Norm
from autolip.capture.torch.export import capture_model
from autolip.errors import Refusal
from autolip.methods import Bound, Problem
from autolip.methods.residual import Residual, _Bent, _Layer
from autolip.operators import Dense, Operator
from autolip.operators.norms import NormOptions, operator_norm
from autolip.regions import Region
from autolip.testing import attained_slope, check_method
from autolip.values import Upper


def _bound(model: nn.Module, *shape: int, region: Region | None = None) -> float:
    capture = capture_model(model.double().eval(), (torch.zeros(1, *shape, dtype=torch.float64),))
    options = NormOptions()
    where = region or Everywhere()
    problem = Problem.pose(capture.graph, where, Norm.L2, Norm.L2, options)
    found = Residual().answer(problem)
    assert isinstance(found, Bound), found
    assert isinstance(found.value, Upper)
    check_method(Residual(), capture, where)
    return found.value.value


def _norm(operator: Operator) -> Upper:
    bound = operator_norm(operator)
    assert not isinstance(bound, Refusal)
    return bound


def _steepest(a: Tensor, bent: list[tuple[Tensor, Tensor]]) -> float:
    """max |A + sum B S C| over S in {0, 1}: the norm is convex in S."""
    sizes = [len(c) for _, c in bent]
    largest = 0.0
    for choice in itertools.product((0.0, 1.0), repeat=sum(sizes)):
        parts = torch.tensor(choice, dtype=torch.float64).split(sizes)
        maps = (b @ s.diag() @ c for (b, c), s in zip(bent, parts, strict=True))
        largest = max(largest, torch.linalg.matrix_norm(sum(maps, a), 2).item())
    return largest


@pytest.mark.parametrize("seed", range(30))
def test_any_layer_is_bounded(seed: int) -> None:
    """Whatever A, B and C are: cancelling nearly, cancelling with the wrong sign, not at all."""
    torch.manual_seed(seed)
    bent = []
    for _ in range(1 + seed % 2):
        c = torch.randn(3, 4, dtype=torch.float64)
        scale = torch.randn(3, dtype=torch.float64).diag()
        noise = 10.0 ** -(seed % 5) * torch.randn(4, 3, dtype=torch.float64)
        bent.append((-c.T @ scale + noise, c))
    a = torch.eye(4, dtype=torch.float64) + (seed % 3) * torch.randn(4, 4, dtype=torch.float64)
    layer = _Layer(Dense(a), tuple(_Bent(Dense(b), Dense(c)) for b, c in bent))
    gain = layer.gain(_norm)
    assert isinstance(gain, Upper)
    assert gain.value >= _steepest(a, bent)


@pytest.mark.parametrize("share", [0.5, 1.0, 1.5, 4.0])
def test_beyond_one_what_is_above_counts(share: float) -> None:
    """I - share C^T S C / |C|^2 has the norm max(1, share - 1), here up to a factor."""
    torch.manual_seed(0)
    c = torch.randn(3, 4, dtype=torch.float64)
    b = -share * c.T / torch.linalg.matrix_norm(c, 2) ** 2
    layer = _Layer(Dense(torch.eye(4, dtype=torch.float64)), (_Bent(Dense(b), Dense(c)),))
    gain = layer.gain(_norm)
    assert isinstance(gain, Upper)
    true = _steepest(torch.eye(4, dtype=torch.float64), [(b, c)])
    assert true <= gain.value
    assert gain.value <= 1 + 1e-12 if share <= 2 else gain.value > true


class Orthogonal(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = orthogonal(nn.Linear(inputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.linear(x)
        return y


class ConvexPotential(nn.Module):
    """x - 2 W T^-1 phi(W^T x + b), T by rows or by the norm."""

    def __init__(self, size: int, hidden: int, by_rows: bool, curve: nn.Module) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(size, hidden))
        self.b = nn.Parameter(torch.randn(hidden))
        self.q = nn.Parameter(torch.randn(hidden))
        self.by_rows, self.curve = by_rows, curve

    def forward(self, x: Tensor) -> Tensor:
        gram = self.w.T @ self.w
        weights = self.q.exp()
        rows = (gram.abs() * weights / weights[:, None]).sum(1)
        steps = rows if self.by_rows else torch.linalg.matrix_norm(self.w, 2) ** 2
        return x - 2 * (self.curve(x @ self.w + self.b) / steps) @ self.w.T


class Activation(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        a, b = x.chunk(2, 1)
        pairs = x.view(len(x), -1, 2)
        v = torch.linspace(1, 2, x.shape[1], dtype=x.dtype)
        v = v / v.norm()
        found = {
            "maxmin": lambda: torch.cat([torch.maximum(a, b), torch.minimum(b, a)], 1),
            "pairs": lambda: torch.cat([pairs.max(2)[0], pairs.min(2)[0]], 1),
            "by the modulus": lambda: (
                torch.cat([a + b - (a - b).abs(), a + b + (a - b).abs()], 1) / 2
            ),
            "reflected": lambda: x + 2 * F.relu(-(x @ v))[:, None] * v,
            "halves": lambda: torch.cat([F.relu(x), F.relu(-x)], 1),
        }
        return found[self.kind]()


@pytest.mark.parametrize("kind", ["maxmin", "pairs", "by the modulus", "reflected", "halves"])
def test_activations_that_keep_norms(kind: str) -> None:
    torch.manual_seed(1)
    width = 16 if kind == "halves" else 8
    layers = [Orthogonal(8, 8), Activation(kind), Orthogonal(width, 8), Activation(kind)]
    assert 0.5 < _bound(nn.Sequential(*layers), 8) <= 1 + 1e-6


@pytest.mark.parametrize("by_rows", [True, False])
@pytest.mark.parametrize("curve", [nn.ReLU(), nn.Tanh()])
@pytest.mark.parametrize("hidden", [5, 12])
def test_convex_potential_layers(by_rows: bool, curve: nn.Module, hidden: int) -> None:
    torch.manual_seed(2)
    layers = [ConvexPotential(8, hidden, by_rows, curve) for _ in range(3)]
    assert 0.5 < _bound(nn.Sequential(*layers), 8) <= 1 + 1e-6


def test_channels_of_a_convolution_have_multipliers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are more entries than are looked at one by one."""
    monkeypatch.setattr("autolip.methods.residual.PROBES", 100)

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.k = nn.Parameter(torch.randn(6, 2, 3, 3))

        def forward(self, x: Tensor) -> Tensor:
            rows = F.conv2d(self.k, self.k, padding=2).abs().sum((1, 2, 3))
            z = F.relu(F.conv2d(x, self.k, padding=1))
            return x - 2 * F.conv_transpose2d(z / rows[:, None, None], self.k, padding=1)

    torch.manual_seed(3)
    assert _bound(Layer(), 2, 7, 8) <= 1 + 1e-6


def test_a_max_pool_is_taken_as_a_whole() -> None:
    model = nn.Sequential(Activation("maxmin"), nn.Unflatten(1, (2, 4, 4)), nn.MaxPool2d(2))
    assert 1.0 <= _bound(model, 32) <= 1 + 1e-12


def test_a_layer_that_expands_is_bounded_above_one() -> None:
    class Grown(ConvexPotential):
        def forward(self, x: Tensor) -> Tensor:
            return x + 0.75 * (super().forward(x) - x) * 2

    torch.manual_seed(4)
    model = Grown(6, 4, False, nn.ReLU())
    capture = capture_model(model.double(), (torch.zeros(1, 6, dtype=torch.float64),))
    attained = attained_slope(capture, Everywhere())
    assert attained > 1.5
    assert attained <= _bound(model, 6) <= 2 * attained


def test_on_a_region_slopes_are_those_of_the_region() -> None:
    torch.manual_seed(5)
    model = ConvexPotential(4, 4, True, nn.ReLU())
    centre = torch.randn(1, 4, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(model.double(), centre).reshape(4, 4)
    near = _bound(model, 4, region=Ball(centre, 1e-3))
    assert torch.linalg.matrix_norm(jacobian, 2) - 1e-12 <= near <= 1 + 1e-6


def test_paths_that_do_not_cancel_cost_nothing() -> None:
    """A residual layer at random: products of norms are as good, and norms of E dear."""
    torch.manual_seed(0)
    branch = nn.Sequential(nn.Linear(5, 9), nn.ReLU(), nn.Linear(9, 5))

    class Added(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.branch = branch

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = x + self.branch(x)
            return y

    capture = capture_model(Added().eval(), (torch.zeros(1, 5),))
    problem = Problem.pose(capture.graph, Everywhere(), Norm.L2, Norm.L2, NormOptions())
    assert "does not cancel" in str(Residual().bound(problem))


def test_a_chain_is_refused() -> None:
    capture = capture_model(nn.Sequential(nn.Linear(3, 3), nn.ReLU()), (torch.zeros(1, 3),))
    problem = Problem.pose(capture.graph, Everywhere(), Norm.L2, Norm.L2, NormOptions())
    assert "no paths part" in str(Residual().accepts(problem))


def test_multipliers_beyond_floating_point_are_refused() -> None:
    huge = Dense(torch.full((2, 2), 1e200, dtype=torch.float64))
    layer = _Layer(Dense(torch.eye(2, dtype=torch.float64)), (_Bent(huge, huge),))
    assert isinstance(layer.gain(_norm), Refusal) or math.isinf(_value(layer))


def _value(layer: _Layer) -> float:
    gain = layer.gain(_norm)
    assert isinstance(gain, Upper)
    return gain.value
