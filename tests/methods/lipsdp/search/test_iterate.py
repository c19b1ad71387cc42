"""The iterate: climbs that end, what they attain, and more columns."""

import pytest
import torch

from autolip.budget import SPENT, UNLIMITED
from autolip.methods.lipsdp.search import iterate as module
from autolip.methods.lipsdp.search.iterate import FEWEST, SAID, Allowance, Iterate, format_of
from tests.methods.lipsdp.conftest import mlp, pose, relaxed

ENDLESS = Allowance(UNLIMITED, UNLIMITED, 10_000)


@pytest.fixture
def iterate() -> Iterate:
    return Iterate.of(relaxed(pose(mlp(30, 9, 8, 3), (1, 30))), 4, seed=0)


def unsaid(text: str) -> None:
    """Tells nobody."""


def test_a_climb_ends_where_the_value_stands_still(iterate: Iterate) -> None:
    iterate.climb(0.0, 1e-3, ENDLESS, unsaid)
    roughly, attained = iterate.steps, iterate.primal
    iterate.climb(0.0, 1e-9, ENDLESS, unsaid)
    assert 2 * module.PATIENCE < roughly < iterate.steps
    assert attained <= iterate.primal <= attained * 1.05


def test_what_is_attained_counts_without_a_margin_only(iterate: Iterate) -> None:
    """With one the slopes are wider, and so is what they attain."""
    iterate.climb(0.3, 1e-9, ENDLESS, unsaid)
    assert iterate.primal == 0
    wide = iterate.ascent.primal
    iterate.attain()
    assert 0 < iterate.primal < wide


def test_the_statement_is_of_the_network_itself(iterate: Iterate) -> None:
    """Not of the smaller one that is climbed."""
    assert iterate.ascent.relaxation.graph.input_shape.numel() == 9
    iterate.climb(0.01, 1e-3, ENDLESS, unsaid)
    assert iterate.statement.relaxation is iterate.relaxation
    assert iterate.statement.value == iterate.ascent.dual


@pytest.mark.parametrize(
    ("allowance", "steps"),
    [
        (Allowance(SPENT, SPENT, 1000), 1),
        (Allowance(UNLIMITED, SPENT, 1000), FEWEST),
        (Allowance(UNLIMITED, UNLIMITED, 11), 11),
    ],
)
def test_a_climb_keeps_to_what_it_may_use(
    iterate: Iterate, allowance: Allowance, steps: int
) -> None:
    """One step at least."""
    iterate.climb(0.0, 0.0, allowance, unsaid)
    assert iterate.steps == steps


def test_progress_is_told(iterate: Iterate) -> None:
    said = list[str]()
    iterate.climb(0.0, 0.0, Allowance(UNLIMITED, UNLIMITED, 2 * SAID + 1), said.append)
    assert [text.split(" after ")[1] for text in said] == [f"{SAID} steps", f"{2 * SAID} steps"]


def test_columns_are_doubled_as_long_as_that_can_help(iterate: Iterate) -> None:
    """By the number of variables, 47: r (r + 1) <= 8 times that."""
    iterate.climb(0.0, 1e-3, ENDLESS, unsaid)
    assert iterate.widen() and iterate.rank == 8
    iterate.restart()
    assert iterate.rank == 16 and iterate.ascent.steps == 0
    assert not iterate.widen() and iterate.rank == 16


def test_the_unit_is_of_the_size_of_the_constant(iterate: Iterate) -> None:
    unit = iterate.unit()
    iterate.climb(0.0, 1e-9, ENDLESS, unsaid)
    assert iterate.primal / 2 <= unit <= iterate.primal * (1 + 1e-9)


def test_small_passes_are_made_in_double_precision() -> None:
    assert format_of(module.SMALL_PASS / 2, None)[0] is torch.float64
    assert format_of(module.SMALL_PASS, None)[0] is torch.float32
