"""Functions of one variable in several operations: no chord is steeper, jumps stay infinite."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autolip import Ball, Box, Everywhere, Norm, lipschitz
from autolip.capture.torch.export import capture_model
from autolip.regions import Region
from autolip.rules import slopes_on
from autolip.slopes import Between

Function = Callable[[Tensor], Tensor]
INF = math.inf
HALF = torch.tensor([0.5, 1.0, 2.0, 3.0], dtype=torch.float64)

EVERYWHERE: dict[str, tuple[Function, float, float]] = {
    "huber": (lambda x: F.huber_loss(x, torch.zeros_like(x), reduction="none"), -1, 1),
    "huber of 1/4": (
        lambda x: torch.where(x.abs() < 0.25, x * x / 2, 0.25 * (x.abs() - 0.125)),
        -0.25,
        0.25,
    ),
    "smooth l1": (lambda x: F.smooth_l1_loss(x, torch.zeros_like(x), reduction="none"), -1, 1),
    "elu by where": (lambda x: torch.where(x > 0, x, torch.exp(x) - 1), 0, 1),
    "elu by expm1": (lambda x: torch.where(x >= 0, 2 * x, 0.5 * torch.expm1(x)), 0, 2),
    "leaky by where": (lambda x: torch.where(x > 0, x, -0.25 * x), -0.25, 1),
    "relu by a mask": (lambda x: x * (x > 0), 0, 1),
    "relu by a float mask": (lambda x: x * (x >= 0).to(x.dtype), 0, 1),
    "three pieces": (lambda x: torch.where(x < -1, -1.0, torch.where(x > 1, 1.0, x)), 0, 1),
    "weighted by entries": (lambda x: HALF / 16 * torch.where(x > 0, x, x.expm1()), 0, 3 / 16),
    "symlog": (lambda x: torch.sign(x) * torch.log1p(x.abs()), 0, 1),
    "shrunk by signs": (
        lambda x: torch.where(x.abs() > 0.5, x - torch.sign(x) * 0.5, 0 * x),
        0,
        1,
    ),
    "a smooth modulus": (lambda x: (torch.sqrt(1 + (x / 0.25) ** 2) - 1) / 4, -1, 1),
    "tanh above 0": (lambda x: torch.where(x > 0, torch.tanh(x), 0 * x), 0, 1),
}
ON_THREE: dict[str, tuple[Function, float, float]] = {
    "exp(-x^2)": (lambda x: torch.exp(-(x**2)), -0.8578, 0.8578),
    "algebraic": (lambda x: x / torch.sqrt(1 + x * x), 10**-1.5, 1),
    "tanh by exps": (
        lambda x: (torch.exp(x) - torch.exp(-x)) / (torch.exp(x) + torch.exp(-x)),
        1 - math.tanh(3) ** 2,
        1,
    ),
    "gelu by hand": (lambda x: 0.5 * x * (1 + torch.erf(x / math.sqrt(2))), -0.12905, 1.12905),
    "softplus by hand": (lambda x: torch.log1p(torch.exp(x)), 0.0474, 0.9526),
    "x + sin(x)^2": (lambda x: x + torch.sin(x) ** 2, 0, 2),
    "1 - tanh(x)^2": (lambda x: torch.rsub(torch.tanh(x) ** 2, 1), -0.7698, 0.7698),
    "by entries": (lambda x: x * HALF * torch.sigmoid(x * HALF), -0.0999 * 3, 1.0999 * 3),
}
JUMPS: dict[str, Function] = {
    "a step": lambda x: torch.where(x > 0, x + 1, x),
    "a step, weighted by entries": lambda x: HALF * torch.where(x > 0, x + 1, x),
    "a step beside a choice": lambda x: HALF * torch.where(x > 0, x, 0 * x) * (x > 0.5),
    "a step where the modulus is 1, below 0 alone": lambda x: torch.where(
        x.abs() < 1, 0 * x, torch.relu(x) - 1
    ),
    "a step by signs": lambda x: torch.sign(x) * (1 + x.abs()),
    "a step of signs that 0 hides": lambda x: torch.sign(x) * torch.where(x == 0, x, 1 + x.abs()),
    "a step beside 0": lambda x: x * (x > 0.5),
    "branches a little apart": lambda x: torch.where(x > 0, x, torch.exp(x) - (1 + 2**-50)),
    "one value apart": lambda x: torch.where(x > 0, x, torch.where(x < 0, x, x + 1)),
    "other slopes of alpha": lambda x: torch.where(
        x > 1, torch.add(x, x - 1, alpha=2), torch.sub(x, 1)
    ),
    "another modulus": lambda x: torch.where((x - 1).abs() > 1, x, 0 * x + 1),
    "no value below": lambda x: torch.sqrt(x) * (x > 0),
    "a step 1e-50 beside 0": lambda x: torch.where(x + 1e-50 > 0, x + 1, x),
    "level by entry": lambda x: torch.where(x > HALF, x, HALF),
    "rounded": lambda x: x.to(torch.int64).to(x.dtype) + x,
}


def _slopes(function: Function, region: Region) -> tuple[float, float]:
    capture = capture_model(function, (torch.full((2, 4), 0.7, dtype=torch.float64),))
    graph = slopes_on(capture.graph, region)
    slope = graph[graph.output].edges[0].slope
    if not isinstance(slope, Between):
        return -INF, INF
    return slope.lo.min().item(), slope.hi.max().item()


@pytest.mark.parametrize("name", EVERYWHERE)
def test_everywhere(name: str) -> None:
    function, lo, hi = EVERYWHERE[name]
    assert _slopes(function, Everywhere()) == pytest.approx((lo, hi), abs=1e-9)


@pytest.mark.parametrize("name", ON_THREE)
def test_on_a_ball(name: str) -> None:
    function, lo, hi = ON_THREE[name]
    found = _slopes(function, Ball(torch.zeros(2, 4), 3.0, Norm.LINF))
    assert found == pytest.approx((lo, hi), abs=0.02)
    assert found[0] <= lo + 1e-3
    assert found[1] >= hi - 1e-3


@pytest.mark.parametrize("name", JUMPS)
def test_what_jumps_stays_infinite(name: str) -> None:
    x = torch.full((2, 4), 0.7, dtype=torch.float64)
    found = lipschitz(JUMPS[name], x, method="autolip", lower=()).upper
    assert found is not None
    assert found.value == INF


@pytest.mark.parametrize("name", [*EVERYWHERE, *ON_THREE])
@pytest.mark.parametrize("place", [(-3.0, 3.0), (-0.5, 0.25), (0.0, 2.0), (-2.0, 0.0), (0.9, 1.1)])
def test_no_chord_is_steeper(name: str, place: tuple[float, float]) -> None:
    """Of entries that lie differently to the thresholds, in one region."""
    function, _, _ = (EVERYWHERE | ON_THREE)[name]
    torch.manual_seed(0)
    low = torch.full((2, 4), place[0], dtype=torch.float64)
    low[0] += torch.rand(4, dtype=torch.float64) * (place[1] - place[0])
    high = torch.full_like(low, place[1])
    graph = slopes_on(capture_model(function, (low,)).graph, Box(low, high))
    vertex = graph[graph.output]
    slope = vertex.edges[0].slope
    if len(graph.vertices) > 2 or not isinstance(slope, Between):
        assert all(edge.slope.is_finite for v in graph for edge in v.edges)
        return  # its parts say as much
    ends = low + (high - low) * torch.rand(400, 2, 4, dtype=torch.float64)
    x, y = torch.cat([ends[:200], low[None]]), torch.cat([ends[200:], high[None]])
    x[:100] = y[:100] + 1e-3 * (x[:100] - y[:100])
    chords = (torch.vmap(function)(x) - torch.vmap(function)(y)) / (x - y)
    assert bool((chords >= slope.lo - 1e-9).all())
    assert bool((chords <= slope.hi + 1e-9).all())


def test_a_threshold_beside_an_end_of_the_range() -> None:
    """Between 0 and the next double there are numbers, and they are above 0."""
    tiny = 5e-324
    region = Box(torch.zeros(2, 4), torch.full((2, 4), tiny, dtype=torch.float64))
    lo, hi = _slopes(lambda x: torch.where(x > 0, 3 * x, x), region)
    assert lo <= 3 <= hi


def test_a_branch_that_is_one_number_far_out() -> None:
    """Nothing that is added has a slope."""
    region = Box(torch.full((2, 4), -90.0), torch.zeros(2, 4))
    capture = capture_model(lambda x: 2 * torch.where(x > 3, x, -1.0), (torch.zeros(2, 4),))
    slopes = slopes_on(capture.graph, region)
    assert all(edge.slope.is_finite for vertex in slopes for edge in vertex.edges)


def test_a_network_of_such_activations() -> None:
    class Elu(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.where(x > 0, x, torch.exp(x) - 1)

    torch.manual_seed(0)
    layers = [nn.Linear(4, 6), Elu(), nn.Linear(6, 2)]
    written, known = nn.Sequential(*layers), nn.Sequential(layers[0], nn.ELU(), layers[2])
    x = torch.zeros(1, 4)
    of_written, of_known = (lipschitz(m.eval(), x, lower=()) for m in (written, known))
    assert of_written.upper is not None and of_known.upper is not None
    assert of_written.upper.value == pytest.approx(of_known.upper.value, rel=1e-3)
    assert "infinite" not in str(of_written.notes)
