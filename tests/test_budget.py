"""Budgets, the clocks that they are read by, and the turns of a portfolio."""

import math
import time

import pytest

from autolip.budget import (
    REFERENCE,
    SLOWEST,
    SPENT,
    UNLIMITED,
    WALL,
    WORTH,
    Budget,
    Turns,
    WallClock,
    WorkClock,
    charge,
    counting,
    metered,
    stopwatch,
)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A wall clock that stands at the number in the list."""
    moment = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: moment[0])
    return moment


def test_a_budget_expires_and_says_what_is_left(clock: list[float]) -> None:
    budget = Budget.of(10.0)
    assert budget.limited and budget.left == 10.0 and not budget.expired
    clock[0] += 4
    assert budget.left == 6.0 and budget.spent == 4.0
    assert budget.affords(6.0) and not budget.affords(6.1)
    clock[0] += 6.5
    assert budget.expired and budget.left == -0.5


def test_without_a_deadline_there_is_always_time() -> None:
    assert UNLIMITED.left == Budget.of(None).left == math.inf
    assert not UNLIMITED.limited and not UNLIMITED.expired and UNLIMITED.affords(1e300)
    assert UNLIMITED.within(0.5) is UNLIMITED


def test_no_time_at_all() -> None:
    assert SPENT.limited and SPENT.expired and not SPENT.affords(0.0)


def test_parts_and_limits(clock: list[float]) -> None:
    budget = Budget.of(10.0)
    assert budget.within(0.25).left == 2.5
    assert budget.at_most(3.0).left == 3.0
    assert budget.at_most(30.0).left == budget.at_most(None).left == 10.0
    assert UNLIMITED.at_most(3.0).left == 3.0


def test_a_remedy_leaves_time_for_what_came_before(clock: list[float]) -> None:
    """Three tenths of a budget are for the last of several, and six are over when it ends."""
    budget = Budget.of(10.0)
    assert "about 20 s would help" in budget.remedy(6.0)
    clock[0] += 54
    assert "about 2 minutes would help" in budget.remedy(12.0)


def test_counted_work_goes_on_with_work_alone(clock: list[float]) -> None:
    with counting() as work:
        budget = Budget.of(1.0, work)
        clock[0] += 1e6
        assert not budget.expired
        charge(0.0, seconds=2.0)
        assert budget.expired and work.repeats


def test_a_processor_that_is_too_slow_ends_counted_work(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = [0.0]
    monkeypatch.setattr(time, "process_time", lambda: moment[0])
    with counting() as work:
        budget = Budget.of(1.0, work)
        moment[0] += 1e3 * SLOWEST
        assert budget.expired and not work.repeats


def test_clocks_know_their_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autolip.budget.factorisation_rate", lambda: 3e9)
    with counting() as work:
        assert isinstance(work, WorkClock) and work.rate == REFERENCE
    assert WALL.rate == 3e9 and not WALL.repeats


def test_a_meter_counts_what_is_charged_inside() -> None:
    charge(1e9)
    with metered() as outer:
        charge(100.0)
        with metered() as inner:
            charge(10.0, seconds=3.0)
    assert (inner.work, outer.work) == (10.0, 110.0) and inner.seconds == 3.0
    assert outer.seconds > 3.0


def test_a_stopwatch_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = [5.0]
    monkeypatch.setattr(time, "perf_counter", lambda: moment[0])
    elapsed = stopwatch()
    moment[0] += 2
    assert elapsed() == 2.0


def test_too_dear_is_more_than_lipsdp_or_more_than_there_is_time_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(WallClock, "rate", REFERENCE / 2)
    assert UNLIMITED.too_dear(WORTH) is None
    assert UNLIMITED.too_dear(1.01 * WORTH) is not None
    soon = Budget.of(100)
    assert soon.too_dear(45.0) is None and soon.too_dear(0.0) is None
    assert "about 1.1e+02 s, more than its part of the time" in str(soon.too_dear(55.0))


def test_members_have_turns() -> None:
    """The first most of the time, the cheap ones three tenths, the last six; all of it where no
    lower bound follows."""
    turns = Turns.of(Budget.of(1000), 1.0, below=True)
    left = [turn.left for turn in (turns.first, turns.cheap, turns.last)]
    assert left == pytest.approx([850, 300, 600], abs=5)
    alone = Turns.of(Budget.of(1000), 1.0, below=False)
    left = [turn.left for turn in (alone.first, alone.cheap, alone.last)]
    assert left == pytest.approx([1000, 500, 1000], abs=5)
