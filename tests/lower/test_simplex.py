"""Nelder-Mead and basin-hopping."""

import math
import time
from functools import cache

import pytest
import torch
from torch import nn

from autolip.budget import Budget
from autolip.lower import BasinHopping, LowerMethod, NelderMead
from autolip.norms import Norm
from autolip.regions import Ball, Box, Everywhere
from autolip.values import Lower

SEARCHES = (NelderMead(seconds=0.1), BasinHopping(seconds=0.1))


@cache
def network() -> nn.Module:
    torch.manual_seed(3)
    return (
        nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 2))
        .double()
        .eval()
    )


@pytest.mark.parametrize("search", SEARCHES, ids=lambda search: search.name)
@pytest.mark.parametrize(
    ("region", "p"),
    [
        (Everywhere(), Norm.L2),
        (Box(-torch.ones(3), torch.tensor([1.0, 1.0, -1.0])), Norm.L1),
        (Ball(torch.zeros(3), 1.0), Norm.LINF),
    ],
)
def test_bounds_hold_and_lie_in_the_region(
    pose, check, region, p: Norm, search: LowerMethod
) -> None:
    problem = pose(network(), torch.zeros(3), region, p=p)
    assert check(problem, search.search(problem), network()) > 0


@pytest.mark.parametrize("search", SEARCHES, ids=lambda search: search.name)
def test_the_top_of_a_hill_is_found(pose, check, search: LowerMethod) -> None:
    """The steepest place of a bump of width 0.5 in a square of side 8, from the best of 64 random
    points."""

    def bump(x: torch.Tensor) -> torch.Tensor:
        return torch.exp(-((x - 0.7) ** 2).sum() / 0.5)

    best = math.sqrt(2 / (0.5 * math.e))
    problem = pose(bump, torch.zeros(2), Box(-4 * torch.ones(2), 4 * torch.ones(2)))
    assert 0.9999 * best < check(problem, search.search(problem), bump) <= best


@pytest.mark.parametrize("kind", [NelderMead, BasinHopping])
def test_a_seed_determines_the_result(pose, kind) -> None:
    lowers = [
        kind(seconds=0.05).search(pose(network(), torch.zeros(3), seed=seed)) for seed in (1, 1, 2)
    ]
    assert all(isinstance(lower, Lower) for lower in lowers)
    assert lowers[0].value == lowers[1].value and not torch.equal(
        lowers[0].witness.x, lowers[2].witness.x
    )


@pytest.mark.parametrize("kind", [NelderMead, BasinHopping])
def test_a_deadline_ends_the_search(pose, kind) -> None:
    problem = pose(network(), torch.zeros(3), budget=Budget.of(0.2))
    begun = time.monotonic()
    found = kind(seconds=1e6).search(problem)
    assert isinstance(found, Lower) and time.monotonic() - begun < 20


@pytest.mark.parametrize("kind", [NelderMead, BasinHopping])
def test_the_plan_is_kept(pose, kind) -> None:
    """In processor seconds, with what SciPy and small batches cost; and many passes are made in
    them."""
    problem = pose(network(), torch.zeros(3))
    begun = time.process_time()
    kind(seconds=0.4).search(problem)
    assert time.process_time() - begun < 4 * 0.4
    assert problem.passes > 1000


@pytest.mark.slow
def test_basin_hopping_leaves_a_local_maximum(pose, check) -> None:
    """Two bumps, the steeper one narrow: single simplices from one start stay at theirs, hops find
    the other."""

    def bumps(x: torch.Tensor) -> torch.Tensor:
        return torch.exp(-((x - 2.0) ** 2).sum() / 2) + 0.5 * torch.exp(
            -((x + 1.5) ** 2).sum() / 0.02
        )

    narrow = 0.5 * math.sqrt(2 / (0.02 * math.e))
    problem = pose(bumps, torch.zeros(2), Box(-4 * torch.ones(2), 4 * torch.ones(2)))
    assert check(problem, BasinHopping(seconds=1.0).search(problem), bumps) > 0.99 * narrow
