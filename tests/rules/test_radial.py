"""Vectors times functions of their lengths: no chord is steeper, and the constant is attained."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from autolip import Ball, Everywhere, Norm
from autolip.capture.torch.export import capture_model
from autolip.regions import Region
from autolip.rules import slopes_on
from autolip.slopes import Gain

Function = Callable[[Tensor], Tensor]
INF = math.inf


def _squash(x: Tensor) -> Tensor:
    size = x.square().sum(-1, keepdim=True)
    return size / (1 + size) * x / torch.sqrt(size + 1e-2)


def _root_mean_square(x: Tensor) -> Tensor:
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 0.25)


EVERYWHERE: dict[str, tuple[Function, float]] = {
    "softsign": (lambda x: x / (1 + x.norm(dim=-1, keepdim=True)), 1),
    "projected": (lambda x: F.normalize(x, dim=-1, eps=0.25), 4),
    "by a clamped length": (lambda x: 3 * x / x.norm(dim=1, keepdim=True).clamp(min=0.5), 6),
    "algebraic": (lambda x: x / torch.sqrt(4 + x.pow(2).sum(-1, keepdim=True)), 0.5),
    "by the mean square": (_root_mean_square, 2),
    "with another axis": (lambda x: x / (0.5 + x.norm(dim=0)[None]), 2),
    "of all": (lambda x: x / (2 + torch.linalg.vector_norm(x)), 0.5),
    "by exps": (lambda x: x * torch.exp(-x.norm(dim=-1, keepdim=True)), 1),
    "with weights that are equal": (
        lambda x: torch.full((3,), 2.0) * x / (torch.full((3, 1), 2.0) + x.norm(dim=1)[:, None]),
        1,
    ),
    "turned back": (lambda x: x * torch.cos(x.norm(dim=-1, keepdim=True)) / (1 + x.norm()), INF),
}


def _gain(function: Function, region: Region) -> dict[Norm, float]:
    capture = capture_model(function, (torch.full((3, 3), 0.7, dtype=torch.float64),))
    slope = slopes_on(capture.graph, region)
    edges = slope[slope.output].edges
    if len(edges) != 1 or not isinstance(edges[0].slope, Gain):
        return dict.fromkeys(Norm, INF)
    return {norm: gain.value for norm, gain in edges[0].slope.norms.items()}


@pytest.mark.parametrize("name", EVERYWHERE)
def test_everywhere(name: str) -> None:
    function, exact = EVERYWHERE[name]
    assert _gain(function, Everywhere())[Norm.L2] == pytest.approx(exact, rel=0.02)


@pytest.mark.parametrize("name", [*EVERYWHERE, "squash"])
@pytest.mark.parametrize(("centre", "radius"), [(0.0, 50.0), (0.0, 1.0), (0.7, 0.6), (2.0, 1.0)])
def test_no_chord_is_steeper(name: str, centre: float, radius: float) -> None:
    function = (EVERYWHERE | {"squash": (_squash, 1.0)})[name][0]
    at = torch.full((3, 3), centre, dtype=torch.float64)
    gains = _gain(function, Ball(at, radius, Norm.LINF))
    generator = torch.Generator().manual_seed(1)
    x, y = at + radius * (2 * torch.rand(2, 4000, 3, 3, dtype=at.dtype, generator=generator) - 1)
    x[:1000] *= torch.logspace(-4, 0, 1000, dtype=at.dtype)[:, None, None] if centre == 0 else 1
    y[::2] = x[::2] + 1e-4 * (y[::2] - x[::2])
    x[1::4] = torch.where(x[1::4] > centre, at + radius, at - radius)
    change, moved = torch.vmap(function)(x) - torch.vmap(function)(y), x - y
    for norm, gain in gains.items():
        sizes = [d.flatten(1).norm(p=norm.p, dim=1) for d in (change, moved)]
        assert (sizes[0] / sizes[1]).max().item() <= gain * (1 + 1e-9)


def test_directions_are_kept_where_the_whole_has_no_less() -> None:
    at = torch.full((3, 3), 5.0, dtype=torch.float64)
    assert set(_gain(EVERYWHERE["softsign"][0], Ball(at, 0.01)).values()) == {INF}
    assert set(_gain(_root_mean_square, Ball(at, 0.5, Norm.LINF)).values()) == {INF}


def test_lengths_along_other_axes_are_not_mistaken() -> None:
    """Of a square the lengths of rows fit columns, too."""
    assert _gain(lambda x: x / (1 + x.norm(dim=1)), Everywhere())[Norm.L2] == INF
    weights = torch.tensor([1.0, 2.0, 4.0])
    assert _gain(lambda x: x / (weights + x.norm(dim=0)), Everywhere())[Norm.L2] == INF
