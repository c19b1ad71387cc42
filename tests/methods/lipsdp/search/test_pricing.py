"""Prices: what a step and a proof cost, and how many columns there is room for."""

import pytest

from autolip.budget import Budget, Clock, WallClock, counting
from autolip.methods.lipsdp.relaxation.relaxation import Relaxation
from autolip.methods.lipsdp.search import pricing
from autolip.methods.lipsdp.search.effort import Effort
from autolip.methods.lipsdp.search.iterate import started
from autolip.methods.lipsdp.search.pricing import (
    COLUMNS_OF_A_NORM,
    FEWEST_COLUMNS,
    MOST_COLUMNS,
    Pricing,
)
from tests.methods.lipsdp.conftest import mlp, pose, relaxed


def small() -> Relaxation:
    return relaxed(pose(mlp(6, 40, 30, 5), (1, 6)))


def priced(relaxation: Relaxation, seconds: float, clock: Clock | None = None) -> Pricing:
    budget = Budget.of(seconds, clock) if clock else Budget.of(seconds)
    return Pricing(relaxation, Effort.within(budget, 0.01, None, 0.01, 1000))


def test_counted_steps_cost_what_is_foreseen() -> None:
    with counting() as clock:
        relaxation = small()
        foreseen, ascent = priced(relaxation, 1.0, clock).step(16), started(relaxation, 16, 0, None)
        before = clock.meter.seconds
        ascent.step()
        assert clock.meter.seconds - before == pytest.approx(foreseen, rel=0.5)


def test_a_step_costs_more_with_more_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WallClock, "rate", 1e6)
    prices = priced(small(), 1.0)
    assert prices.step(16) < prices.step(32) < 2 * prices.step(16)


def test_a_proof_is_a_norm_where_no_factorisation_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    relaxation = small()
    assert not priced(relaxation, 10.0).by_norm
    assert priced(relaxation, -1.0).by_norm
    monkeypatch.setattr(pricing, "LARGEST_FORM", 3)
    assert priced(relaxation, 10.0).by_norm


def test_columns_are_as_many_as_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert priced(small(), 1e6).first_rank == MOST_COLUMNS
    monkeypatch.setattr(pricing, "MEMORY", 5 * 10 * small().variables * 8)
    assert priced(small(), 1e6).first_rank == 8
    monkeypatch.setattr(pricing, "MEMORY", 0)
    assert priced(small(), 1e6).first_rank == FEWEST_COLUMNS


def test_a_norm_begins_with_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pricing, "by_norm", True)
    assert priced(small(), 1e6).first_rank == COLUMNS_OF_A_NORM


def test_nothing_is_measured_where_work_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of columns is then the same on every machine."""
    monkeypatch.setattr(pricing, "started", lambda *_: pytest.fail("measured"))
    with counting() as clock:
        assert priced(small(), 1e-9, clock).first_rank == FEWEST_COLUMNS
