"""What random points find, the ascent finds: at corners, on curved edges, far from the example."""

import math

import pytest
import torch
from torch import Tensor, nn

from autolip.lower import Ascent, Random
from autolip.lower.scouts import scattered
from autolip.norms import Norm
from autolip.regions import Ball, Box, Everywhere

QUICK = Ascent(passes=4000)


class Exponentials(nn.Module):
    """x -> (exp x_1, ..., exp x_n): the Jacobian is diag(exp x)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.exp()


class Products(nn.Module):
    """x -> exp(x_1 + ... + x_n), whose gradient is sqrt(n) times its value."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sum(-1, keepdim=True).exp()


class FarAway(nn.Module):
    """Slope 100 beyond 40, 1 before."""

    def forward(self, x: Tensor) -> Tensor:
        return x + 99 * torch.relu(x - 40)


def test_the_steepest_corner_of_a_box(pose) -> None:
    box = Box(-torch.ones(3), torch.tensor([1.0, 2.0, 0.5]))
    found = QUICK.search(pose(Products(), torch.zeros(3), region=box))
    exact = math.sqrt(3) * math.exp(3.5)
    assert exact * (1 - 1e-4) < found.value <= exact


def test_the_steepest_point_of_a_sphere(pose) -> None:
    """On the edge of an l2 ball, where a step along the gradient leaves it."""
    found = QUICK.search(pose(Products(), torch.zeros(3), region=Ball(torch.zeros(3), 1.5)))
    exact = math.sqrt(3) * math.exp(1.5 * math.sqrt(3))
    assert exact * (1 - 1e-4) < found.value <= exact


def test_far_from_the_example(pose) -> None:
    found = QUICK.search(pose(FarAway(), torch.zeros(2), region=Everywhere()))
    assert 100 * (1 - 1e-6) < found.value <= 100


@pytest.mark.parametrize("passes", [1, 40])
def test_too_few_passes_for_a_scout(pose, passes: int) -> None:
    found = Ascent(passes=passes).search(
        pose(Exponentials(), torch.zeros(3), region=Ball(torch.zeros(3), 1.0))
    )
    assert 0 < found.value <= math.e


@pytest.mark.parametrize(
    "region", [Box(-torch.ones(3), torch.ones(3)), Ball(torch.zeros(3), 1.0), Everywhere()]
)
@pytest.mark.parametrize("norm", [Norm.L2, Norm.LINF])
@pytest.mark.parametrize("seed", [0, 1])
def test_random_points_find_no_more_in_as_many_passes(pose, region, norm, seed: int) -> None:
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 8), nn.Softplus(), nn.Linear(8, 2)
    ).double()
    for weight in model.parameters():
        weight.data *= 3
    problem, again = (pose(model, torch.zeros(3), region=region, p=norm, q=norm) for _ in range(2))
    ours = QUICK.search(problem)
    theirs = Random(points=int(problem.passes / 8), seconds=60.0).search(again)
    assert ours.value >= theirs.value * (1 - 1e-6)


def test_every_other_point_is_pushed_outward(pose) -> None:
    """To faces and corners of a box; a hundred times as far where there is no edge."""
    box = Box(-torch.ones(3), torch.ones(3))
    problem = pose(Exponentials(), torch.zeros(3), region=box)
    points = scattered(problem, 200, torch.Generator().manual_seed(0))
    outward = (points[1::2].abs() == 1).any(1).double().mean()
    assert (
        outward > 0.6
        and not bool((points[::2].abs() == 1).any())
        and all(map(box.contains, points))
    )
    problem = pose(Exponentials(), torch.zeros(3), region=Everywhere())
    points = scattered(problem, 200, torch.Generator().manual_seed(0))
    assert points.abs().max() > 50 and points[::2].abs().max() < 50
