"""Simulated annealing."""

import math

import pytest
import torch
from torch import nn

from autolip.lower import Annealing
from autolip.lower.annealing import _accepted
from autolip.norms import Norm
from autolip.regions import Ball, Box, Everywhere
from autolip.values import Lower


def network() -> nn.Module:
    torch.manual_seed(3)
    return (
        nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 2))
        .double()
        .eval()
    )


@pytest.mark.parametrize(
    ("region", "p"),
    [
        (Everywhere(), Norm.L2),
        (Box(-torch.ones(3), torch.ones(3)), Norm.L1),
        (Ball(torch.zeros(3), 1.0), Norm.LINF),
    ],
)
def test_bounds_hold_and_lie_in_the_region(pose, check, region, p: Norm) -> None:
    problem = pose(network(), torch.zeros(3), region, p=p)
    assert check(problem, Annealing(chains=8, steps=10).search(problem), network()) > 0


def test_walks_beat_their_starts(pose, check) -> None:
    """A bump of width 0.05 in a flat square."""

    def bump(x: torch.Tensor) -> torch.Tensor:
        return torch.exp(-((x - 0.7) ** 2).sum() / 0.5)

    best = math.sqrt(2 / (0.5 * math.e))
    problem = pose(bump, torch.zeros(2), Box(-4 * torch.ones(2), 4 * torch.ones(2)))
    value = check(problem, Annealing(chains=16, steps=150, stride=0.1).search(problem), bump)
    assert 0.999 * best < value <= best


def test_acceptance_is_boltzmanns() -> None:
    generator = torch.Generator().manual_seed(0)
    here = torch.ones(20_000, dtype=torch.float64)
    assert _accepted(here, here + 1e-9, 0.5, generator).all()
    rate = _accepted(here, here - 0.5, 0.5, generator).double().mean().item()
    assert rate == pytest.approx(math.exp(-1), abs=0.02)
    assert not _accepted(here, here - 1e-6, 0.0, generator).any()


def test_a_seed_determines_the_result(pose) -> None:
    lowers = [
        Annealing(chains=8, steps=10).search(pose(network(), torch.zeros(3), seed=seed))
        for seed in (1, 1, 2)
    ]
    assert all(isinstance(lower, Lower) for lower in lowers)
    assert lowers[0].value == lowers[1].value and not torch.equal(
        lowers[0].witness.x, lowers[2].witness.x
    )
