"""Ranges by LipSDP's rows: nothing lies outside, and they are closer than linear relaxation."""

import itertools
import math
import random
from fractions import Fraction
from unittest.mock import patch

import pytest
import torch
from torch import Tensor, nn

from autolip.capture.torch.export import capture_model
from autolip.errors import AutolipError
from autolip.graph.graph import Graph
from autolip.intervals import Interval
from autolip.methods.lipsdp.rows import _Around, rows
from autolip.norms import Norm
from autolip.ranges import Allowance, ranges
from autolip.ranges.engine import Asked
from autolip.ranges.prefix import Prefix
from autolip.regions import Ball, Box, Region
from autolip.rules.propagate import checked_action
from autolip.testing.ranges import check_ranges
from tests.fuzz.drawing import network
from tests.fuzz.trials import captured
from tests.ranges.test_forward import regions as regions_of_every_kind

ENOUGH = math.inf


def chain(seed: int, *widths: int, activation: type[nn.Module] = nn.ReLU) -> Graph:
    torch.manual_seed(seed)
    pairs = itertools.pairwise(widths)
    layers = [layer for m, n in pairs for layer in (nn.Linear(m, n), activation())]
    model = nn.Sequential(*layers[:-1]).double().eval()
    return capture_model(model, (torch.zeros(widths[0]).double(),), 0).graph


def prefix_of(graph: Graph, region: Region) -> Prefix:
    """All of a network, with ranges by interval arithmetic."""
    prefix = Prefix(region, graph.input, graph.input_shape)
    for node in graph:
        outcome = prefix.outcome(node)
        prefix.add(node, outcome, checked_action(node, outcome))
    return prefix


def regions(x: Tensor) -> list[Region]:
    wide = torch.linspace(0.0, 0.6, x.numel()).double()
    return [
        Ball(x, 0.5),
        Ball(x, 0.4, Norm.LINF),
        Ball(x, 0.4, Norm.L1),
        Box(x - wide, x + 2 * wide),
    ]


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh])
@pytest.mark.parametrize("number", range(4))
def test_no_value_lies_outside(number: int, activation: type[nn.Module]) -> None:
    """Rows are a few per cent above what is attained: one too small by that is seen."""
    graph = chain(number, 3, 5, 5, 4, 2, activation=activation)
    x = torch.randn(3, generator=torch.Generator().manual_seed(number)).double()
    region = regions(x)[number]
    check_ranges(graph, region, engines=[rows], points=500)


@pytest.mark.parametrize(
    "seed", [3, 27, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(40, 60))]
)
def test_no_value_lies_outside_in_random_networks(seed: int) -> None:
    """Of all operations, on regions of every kind, one point among them."""
    try:
        capture = captured(network(random.Random(seed)), False)
    except AutolipError:
        pytest.skip("not captured")
    if capture.graph.constant is None:
        for region in regions_of_every_kind(capture.graph.input_shape, seed, 0.3):
            check_ranges(capture.graph, region, engines=[rows], points=15, seed=seed)


def test_rows_are_closer_than_linear_relaxation() -> None:
    graph = chain(1, 16, 64, 64, 64, 10)
    centre = torch.randn(16, generator=torch.Generator().manual_seed(123)).double()
    region = Ball(centre, 0.5)
    name = graph.nodes[4].name
    before = ranges(graph, region)[name]
    after = ranges(graph, region, Allowance.within(ENOUGH))[name]
    assert float((after.hi - after.lo).median()) < 0.7 * float((before.hi - before.lo).median())


def test_rows_are_rounded_outward() -> None:
    """From 0, where the sum with the value at the origin is exact."""
    graph = chain(0, 2, 40, 40)
    region = Ball(torch.zeros(2).double(), 0.1)
    prefix = prefix_of(graph, region)
    first = graph.nodes[0].name
    around = _Around(prefix)
    gains = torch.rand(40, generator=torch.Generator().manual_seed(0)).double()
    with patch("autolip.methods.lipsdp.rows.values_at", _zero):
        found = around.reached(first, torch.arange(40), gains)
    for gain, lo, hi in zip(gains.tolist(), found.lo.tolist(), found.hi.tolist(), strict=True):
        far = Fraction(gain) * Fraction(0.1)
        assert Fraction(hi) >= far and Fraction(lo) <= -far


def _zero(graph: Graph, x: Tensor) -> dict[str, Interval]:
    shape = next(node.shape for node in graph if node.name == graph.output)
    return {graph.output: Interval(torch.zeros(shape).double(), torch.zeros(shape).double())}


def test_a_box_of_different_sides_has_units() -> None:
    """One side a thousand times the other: rows know which."""
    graph = chain(2, 2, 8, 8, 1)
    region = Box(torch.tensor([-1.0, -1e-3]).double(), torch.tensor([1.0, 1e-3]).double())
    around = _Around(prefix_of(graph, region))
    assert around.norm is Norm.LINF and around.radius.value == 1.0
    assert around.scale is not None and around.scale[0] >= 1.0 and around.scale[1] < 2e-3
    ball = _Around(prefix_of(graph, Ball(torch.zeros(2).double(), 0.25)))
    assert ball.norm is Norm.L2 and ball.scale is None and ball.radius.value == 0.25


def test_what_it_does_not_answer() -> None:
    graph, centre = chain(3, 3, 6, 6, 1), torch.ones(3).double()
    prefix = prefix_of(graph, Ball(centre, 1.0))
    first, second = graph.nodes[0], graph.nodes[2]

    def found(name: str, searches: float) -> Interval | None:
        entries = torch.ones(6, dtype=torch.bool)
        return rows(Asked(prefix, name, entries), Allowance(ENOUGH, searches))

    assert found(second.name, 1e9) is not None
    assert found(first.name, 1e9) is None, "an affine value is known exactly"
    assert found(second.name, 0.0) is None
    assert found(second.name, 1.0) is None, "not even one row"
    with patch.object(Ball, "contains", lambda self, x: False):
        assert found(second.name, 1e9) is None, "there are no slopes from outside"


def test_the_work_is_counted() -> None:
    graph = chain(3, 3, 6, 6, 1)
    prefix = prefix_of(graph, Ball(torch.ones(3).double(), 1.0))
    allowance = Allowance.within(ENOUGH)
    before = allowance.work, allowance.searches
    rows(Asked(prefix, graph.nodes[2].name, torch.ones(6, dtype=torch.bool)), allowance)
    assert allowance.searches < before[1]
    assert before[0] - allowance.work == pytest.approx(before[1] - allowance.searches)
