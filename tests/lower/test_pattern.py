"""Walks across facets find the steepest region, near and far.

Covers autolip.lower.pattern.
"""

import pytest
import torch
from torch import nn

from autolip.capture.torch.export import capture_model
from autolip.errors import Refusal
from autolip.lower import LowerProblem, Random
from autolip.lower.pattern import Pattern
from autolip.norms import parse_norms
from autolip.regions import Ball, Box, Everywhere, Region
from autolip.values import Lower
from tests.methods.exact.enumerated import jacobians, norm
from tests.piecewise.drawn import relu_chain

QUICK = Pattern(seconds=1.0, starts=4, neighbours=200)


def problem(
    model: nn.Module, inputs: int, asked: str = "l2", region: Region | None = None
) -> LowerProblem:
    capture = capture_model(model, (torch.zeros(1, inputs, dtype=torch.float64),))
    return LowerProblem.of(capture, region or Everywhere(), *parse_norms(asked))


@pytest.mark.parametrize("asked", ["l2", "l1", "linf", "l2:linf"])
@pytest.mark.parametrize("seed", [1, 2])
def test_the_steepest_region_of_a_small_network(seed: int, asked: str) -> None:
    model = relu_chain(3, 6, 4, 2, seed=seed)
    p, q = parse_norms(asked)
    known = max(norm(matrix, p.p, q.p) for matrix in jacobians(model))
    found = QUICK.search(problem(model, 3, asked))
    assert isinstance(found, Lower)
    assert known * 0.999 <= found.value <= known * (1 + 1e-12)


def test_a_steep_region_far_away() -> None:
    """relu(x + y - 3000) grows ten times as fast as anything nearer."""
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)).double().eval()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
        model[0].bias.copy_(torch.tensor([0.0, 0.0, -3000.0]))
        model[2].weight.copy_(torch.tensor([[1.0, 1.0, 10.0]]))
    found = QUICK.search(problem(model, 2))
    assert isinstance(found, Lower) and found.value >= 11 * 2**0.5 * (1 - 1e-6)


def test_the_corner_of_a_box() -> None:
    """Only where all entries are nearly 1 is the last neuron on."""
    model = nn.Sequential(nn.Linear(6, 2), nn.ReLU(), nn.Linear(2, 1)).double().eval()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0] * 6, [10.0] * 6]))
        model[0].bias.copy_(torch.tensor([1.0, -59.9]))
        model[2].weight.fill_(1.0)
    found = QUICK.search(problem(model, 6, "l2", Box(0, 1)))
    assert isinstance(found, Lower) and found.value >= 11 * 6**0.5 * (1 - 1e-6)


@pytest.mark.parametrize("region", [Box(-0.5, 0.5), Ball([[0.1, 0.0, 0.2]], 0.4)])
def test_other_norms_and_regions(region: Region) -> None:
    model = relu_chain(3, 6, 4, 2, seed=3)
    for asked in ("linf:l2", "l2:l1"):
        found = QUICK.search(problem(model, 3, asked, region))
        assert isinstance(found, Lower) and found.value > 0


def test_it_begins_where_other_searches_ended_and_at_random_points() -> None:
    model = relu_chain(3, 12, 12, 1, seed=5)
    posed = problem(model, 3, region=Box(-1, 1))
    first = Pattern(seconds=1e-3, starts=1, points=2).search(posed)
    better = QUICK.search(posed)
    assert isinstance(first, Lower) and isinstance(better, Lower) and first.value < better.value
    posed.keep(better)
    again = Pattern(seconds=1e-3, starts=1, points=2).search(posed)
    assert isinstance(again, Lower) and again.value >= better.value * (1 - 1e-9)
    met = Random(points=500).search(posed)
    alone = problem(model, 3, region=Box(-1, 1))
    found = Pattern(points=1000).search(alone)
    assert isinstance(met, Lower) and isinstance(found, Lower)
    assert found.value >= met.value * (1 - 1e-9)


def test_what_is_no_piece_is_refused() -> None:
    smooth = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)).double().eval()
    found = QUICK.search(problem(smooth, 2))
    assert isinstance(found, Refusal) and "piecewise linear" in found.reason


def test_a_network_of_which_one_region_takes_too_long_is_refused() -> None:
    """Its work comes in one piece, whatever the time: a convolutional network took minutes."""
    asked = problem(relu_chain(3, 6, 4, 2, seed=1), 3)
    found = Pattern(seconds=1e-12).search(asked)
    assert isinstance(found, Refusal) and "one region" in found.reason
