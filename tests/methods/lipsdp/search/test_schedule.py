"""The schedule: what follows a round, and when there is none."""

import math
from dataclasses import replace

import pytest

from autolip.budget import SPENT, Budget
from autolip.methods.lipsdp.search.effort import Effort
from autolip.methods.lipsdp.search.iterate import FEWEST
from autolip.methods.lipsdp.search.pricing import Pricing
from autolip.methods.lipsdp.search.schedule import (
    CLIMB,
    GRACE,
    LARGEST_MARGIN,
    LONG_CLIMB,
    MARGINS,
    ROUNDS,
    Move,
    Schedule,
)
from autolip.values import Event, Upper
from tests.methods.lipsdp.conftest import mlp, pose, relaxed

EFFORT = Effort.within(Budget.of(1e6), 0.01, None, 0.02, 1000, closest=1e-4)


def schedule(by_norm: bool = False, effort: Effort = EFFORT) -> Schedule:
    return Schedule(effort, by_norm, effort.margin, effort.tolerance, effort.tolerance / 40)


@pytest.mark.parametrize(
    ("bound", "gain", "margin", "move"),
    [
        (Upper(1.01), 2.0, 0.001, Move.RESTART),
        (Upper(1.001), 2.0, 0.001, Move.LOWER),
        (Upper(1.001), 1.0, 0.02, Move.LOWER),
        (Upper(1.001), 1.0, 0.001, Move.WIDEN),
        (Upper(1.01, frozenset({Event("start", 1e-9)})), 1.0, 0.02, Move.LOWER),
    ],
    ids=["saddle", "gained", "wide margin", "stands still", "seen by Lanczos"],
)
def test_moves(bound: Upper, gain: float, margin: float, move: Move) -> None:
    """The ascent foresaw 1."""
    assert replace(schedule(), margin=margin).move(1.0, bound, gain) is move


def test_a_failed_proof_triples_the_margin_up_to_a_half() -> None:
    made, margins = schedule(), list[float]()
    for _ in range(5):
        made.after_failure()
        margins.append(made.margin)
    assert margins[:2] == pytest.approx([0.06, 0.18]) and margins[-1] == LARGEST_MARGIN


def test_a_met_tolerance_is_divided_until_it_is_not_met() -> None:
    made = schedule()
    made.aim_higher(1.02, 1.0)
    assert made.tolerance == 0.01
    made.aim_higher(1.001, 1.0)
    assert made.tolerance == 0.01 / 16 and made.settled == made.tolerance / 40
    made.aim_higher(1.0, 1.0)
    assert made.tolerance == EFFORT.closest
    plain = schedule(effort=replace(EFFORT, closest=math.inf))
    plain.aim_higher(1.0, 1.0)
    assert plain.tolerance == 0.01


@pytest.mark.parametrize(
    ("rounds", "steps", "proved", "over"),
    [
        (0, 0, False, False),
        (1, 999, True, False),
        (1, 1000, True, True),
        (1, 1000, False, False),
        (GRACE, 1000, False, True),
        (ROUNDS, 0, False, True),
    ],
)
def test_without_a_proof_some_rounds_are_forgiven(
    rounds: int, steps: int, proved: bool, over: bool
) -> None:
    assert replace(schedule(), rounds=rounds).is_over(steps, proved) == over


def test_a_first_proof_ends_with_the_overtime() -> None:
    late = replace(EFFORT, budget=SPENT)
    assert not replace(schedule(effort=late), rounds=1).is_over(0, False)
    assert replace(schedule(effort=replace(late, overtime=SPENT)), rounds=1).is_over(0, False)


@pytest.mark.parametrize(("by_norm", "part"), [(False, CLIMB), (True, LONG_CLIMB)])
def test_a_climb_has_a_part_of_the_time(by_norm: bool, part: float) -> None:
    """Twice the usual part for its first steps."""
    allowance, left = schedule(by_norm).allowance, EFFORT.budget.left
    assert allowance.whole.left == pytest.approx(part * left, rel=1e-3)
    assert allowance.first.left == pytest.approx(max(part, 2 * CLIMB) * left, rel=1e-3)
    assert allowance.lasts(FEWEST, 999) and not allowance.lasts(FEWEST, 1000)


def test_the_first_margin_is_what_the_proof_can_bear(monkeypatch: pytest.MonkeyPatch) -> None:
    """As given where it is cheap, next to none where it is dear, a share of a norm's."""
    relaxation = relaxed(pose(mlp(4, 6, 6, 6, 6, 3), (1, 4)))
    assert Schedule.of(Pricing(relaxation, EFFORT)).margin == EFFORT.margin
    monkeypatch.setattr(Pricing, "factorisation", 1.0)
    assert Schedule.of(Pricing(relaxation, EFFORT)).margin == EFFORT.tolerance / 8
    monkeypatch.setattr(Pricing, "by_norm", True)
    by_norm = Schedule.of(Pricing(relaxation, EFFORT))
    assert by_norm.margin == MARGINS / 4 and by_norm.settled == EFFORT.tolerance / 5
