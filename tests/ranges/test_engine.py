"""Range engines enter themselves, and work within what is counted (autolip.ranges.relaxation)."""

from collections.abc import Iterator
from itertools import pairwise

import pytest
import torch
from torch import nn

from autolip.capture.torch.export import capture_model
from autolip.errors import AutolipError
from autolip.graph.graph import Graph
from autolip.intervals import Interval
from autolip.ranges import ENGINES, Allowance, ranges
from autolip.ranges.engine import WORK, Asked, range_engine
from autolip.ranges.relaxation import relaxation
from autolip.regions import Ball
from autolip.testing.ranges import check_ranges


def dense(seed: int, *widths: int) -> Graph:
    torch.manual_seed(seed)
    layers = [layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.ReLU())]
    model = nn.Sequential(*layers[:-1]).double().eval()
    return capture_model(model, (torch.zeros(widths[0]).double(),), 0).graph


@pytest.fixture
def toy() -> Iterator[list[str]]:
    """An engine that says nothing new, and what it was asked for."""
    asked: list[str] = []

    @range_engine("toy")
    def nothing(question: Asked, allowance: Allowance) -> Interval | None:
        """What is known already."""
        asked.append(question.name)
        return None

    yield asked
    del ENGINES["toy"]


def test_a_toy_engine_is_asked_before_every_operation_that_bends(toy: list[str]) -> None:
    graph = dense(0, 3, 5, 5, 2)
    check_ranges(graph, Ball(torch.zeros(3), 1.0))
    assert toy == [graph.nodes[0].name, graph.nodes[2].name]


def test_an_engine_has_a_name_of_its_own_and_a_docstring() -> None:
    with pytest.raises(AutolipError, match="there already"):
        range_engine("relaxation")(relaxation)
    with pytest.raises(AutolipError, match="no docstring"):
        range_engine("mute")(lambda asked, allowance: None)


def test_the_allowance_is_a_part_of_the_time() -> None:
    assert Allowance.within(float("inf")).work == WORK
    assert 0 < Allowance.within(1.0).work < WORK
    assert Allowance.within(-1.0).work == 0.0


def test_ranges_repeat_and_end_with_their_allowance() -> None:
    graph, region = dense(1, 4, 20, 20, 2), Ball(torch.ones(4), 1.0)
    name = graph.nodes[2].name
    widths = []
    for work in (0.0, 2e4, 1e9):
        found, again = (ranges(graph, region, Allowance(work))[name] for _ in range(2))
        assert torch.equal(found.lo, again.lo) and torch.equal(found.hi, again.hi)
        widths.append(float((found.hi - found.lo).sum()))
    assert widths[0] > widths[1] > widths[2]
