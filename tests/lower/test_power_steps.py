"""Power steps: the norm of a linear map, and halves that are at least as steep as the whole."""

import pytest
import torch
from torch import nn

from autolip.lower.pairs import measured
from autolip.lower.power_steps import bisected, polished
from autolip.norms import Norm

from .conftest import Pose


def linear(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Linear(4, 3).double()


def ramp() -> nn.Module:
    """x -> relu(x): steep on one side only."""
    return nn.ReLU()


@pytest.mark.parametrize("p", [Norm.L1, Norm.L2])
@pytest.mark.parametrize("q", [Norm.L2, Norm.LINF])
def test_a_linear_map_is_found_whole(pose: Pose, p: Norm, q: Norm) -> None:
    model = linear()
    problem = pose(model, torch.zeros(1, 4).double(), p=p, q=q)
    x = torch.randn(2, 1, 4, generator=torch.Generator().manual_seed(1)).double()
    found = polished(problem, measured(problem, x, x.roll(1, 0)), 400)
    matrix = model.weight.detach()
    exact = {
        (Norm.L1, Norm.L2): matrix.norm(dim=0).max(),
        (Norm.L2, Norm.L2): torch.linalg.matrix_norm(matrix, 2),
        (Norm.L1, Norm.LINF): matrix.abs().max(),
        (Norm.L2, Norm.LINF): matrix.norm(dim=1).max(),
    }[p, q]
    assert found.slope.max().item() == pytest.approx(exact.item(), rel=1e-6)


def test_the_steeper_half_is_kept(pose: Pose) -> None:
    """From -1 to 3 relu rises by 3 of 4; the half from 1 to 3 has slope 1."""
    problem = pose(ramp(), torch.zeros(1, 1).double())
    x = torch.tensor([[[-1.0]]]).double()
    whole = measured(problem, x, torch.tensor([[[3.0]]]).double())
    assert whole.slope.item() == pytest.approx(0.75)
    halves = bisected(problem, whole, 1)
    assert halves.slope.item() == pytest.approx(1.0)


def test_without_passes_nothing_is_spent(pose: Pose) -> None:
    problem = pose(linear(), torch.zeros(1, 4).double())
    x = torch.randn(2, 1, 4, generator=torch.Generator().manual_seed(1)).double()
    pairs = measured(problem, x, x.roll(1, 0))
    before = problem.passes
    found = polished(problem, pairs, 1)
    assert problem.passes == before and len(found.slope) == 1
