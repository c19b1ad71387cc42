"""Functions of one variable far out: derivatives lie where it is said, limits are met."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from autolip.capture.torch.export import capture_model
from autolip.intervals import Interval
from autolip.rules.propagate import action_on
from autolip.rules.scalars import _scalars
from autolip.rules.tails import slope_beyond

Function = Callable[[Tensor], Tensor]

LIMITS: dict[str, tuple[Function, float, float]] = {
    "algebraic": (lambda x: x / torch.sqrt(1 + x * x), 0, 0),
    "algebraic by rsqrt": (lambda x: x * torch.rsqrt(3 + x**2), 0, 0),
    "tanh by exps": (
        lambda x: (torch.exp(x) - torch.exp(-x)) / (torch.exp(x) + torch.exp(-x)),
        0,
        0,
    ),
    "tanh by one exp": (lambda x: 2 / (1 + torch.exp(-2 * x + 1)) - 1, 0, 0),
    "gelu by erf": (lambda x: 0.5 * x * (1 + torch.erf(x / math.sqrt(2))), 0, 1),
    "gelu by tanh": (
        lambda x: 0.5 * x * (1 + torch.tanh(0.8 * (x + 0.044715 * x**3))),
        0,
        1,
    ),
    "softplus by hand": (lambda x: torch.log1p(torch.exp(x)), 0, 1),
    "softplus by log": (lambda x: torch.log(1 + 3 * torch.exp(2 * x)), 0, 2),
    "silu by exp": (lambda x: x / (1 + torch.exp(-x)), 0, 1),
    "silu by its op": (lambda x: 3 - F.silu(2 * x) + 0 * x, 0, -2),
    "gelu by its op": (lambda x: F.gelu(x - 1) * torch.ones(4) + 0 * x, 0, 1),
    "logsigmoid by log": (lambda x: torch.log(torch.sigmoid(x)), 1, 0),
    "mish by hand": (lambda x: x * torch.tanh(torch.log(torch.exp(x) + 1)), 0, 1),
    "mish by softplus": (lambda x: x * torch.tanh(F.softplus(x, 2.0)) + 0 * x, 0, 1),
    "a bell": (lambda x: x * torch.exp(-x * x / 2), 0, 0),
    "a bell of a root": (lambda x: torch.exp(-torch.sqrt(x * x + 1)) * x, 0, 0),
    "a bell of exps": (lambda x: torch.exp(-torch.exp(x)) * torch.exp(x), 0, 0),
    "rational": (lambda x: x**3 / (1 + x * x), 1, 1),
    "the larger of two": (lambda x: torch.maximum(x * torch.ones(4), -x) * torch.sigmoid(x), 0, 1),
    "by a mask": (lambda x: torch.where(x > 3, 2 * x - 3, x), 1, 2),
    "by a modulus": (lambda x: torch.where(x.abs() > 3, 2 * x, x * x.abs() / 3 + x), 2, 2),
    "x tanh x": (lambda x: x * torch.tanh(x), -1, 1),
    "log cosh": (lambda x: torch.log(torch.cosh(x)), -1, 1),
    "hardswish": (lambda x: x * F.relu6(x + 3) / 6, 0, 1),
    "x atan x": (lambda x: x * torch.atan(x) / (math.pi / 2), -1, 1),
    "leaky": (lambda x: F.leaky_relu(x, 0.25) * torch.sigmoid(x), 0, 1),
    "maxima": (lambda x: torch.maximum(x, 1 - x) / (1 + torch.exp(-x)), 0, 1),
    "as a float": (lambda x: x.to(torch.float64) * torch.sigmoid(3 * x), 0, 1),
    "sines that fall": (lambda x: torch.sin(x) / (1 + x * x), 0, 0),
    "by entries": (lambda x: x * torch.sigmoid(x * torch.tensor([0.5, 1, 2, 3.0])), 0, 1),
}
UNKNOWN: dict[str, Function] = {
    "cubes": lambda x: x * x * torch.tanh(x),
    "rounded": lambda x: x * torch.tanh(x).to(torch.int64).to(x.dtype),
    "a pole": lambda x: 1 / (x - 100),
    "a jump of softplus": lambda x: F.softplus(x - 200, 1.0, 1.0) * torch.sigmoid(x),
    "a choice of choices": lambda x: torch.where(
        torch.where(x > 0, x > 1, x < -1), x * torch.tanh(x), x.abs()
    ),
    "a rising power": lambda x: torch.exp(x * x) * torch.exp(-x),
}


def _slopes(function: Function, start: float, side: int) -> Interval | None:
    x = torch.full((2, 4), 0.7, dtype=torch.float64)
    graph = capture_model(function, (x,)).graph
    scalar = _scalars(graph)[graph.output]
    return slope_beyond(scalar.nodes, scalar.x, start, side, scalar.masks(side), action_on)


@pytest.mark.parametrize("start", [8.0, 512.0])
@pytest.mark.parametrize("side", [-1, 1])
@pytest.mark.parametrize("name", LIMITS)
def test_derivatives_lie_there_and_limits_are_met(name: str, side: int, start: float) -> None:
    function = LIMITS[name][0]
    limit = LIMITS[name][1 if side < 0 else 2]
    found = _slopes(function, start, side)
    assert found is not None
    lo, hi = found.lo.expand(2, 4), found.hi.expand(2, 4)
    away = torch.cat([torch.linspace(0, 20, 300), torch.tensor([50.0, 150.0])]).double()
    x = (side * (start + away))[:, None, None].expand(-1, 2, 4).requires_grad_()
    (slope,) = torch.autograd.grad(torch.vmap(function)(x).sum(), x)
    seen = ~slope.isnan()  # by hand some overflow
    assert bool(((slope >= lo - 1e-9) & (slope <= hi + 1e-9) | ~seen).all())
    room = 12 / start
    assert lo.min().item() >= limit - room
    assert hi.max().item() <= limit + room


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_has_no_finite_slope_there_has_none(name: str) -> None:
    found = _slopes(UNKNOWN[name], 8.0, 1)
    assert found is None or bool((found.hi == math.inf).any() | (found.lo == -math.inf).any())
