"""What is proved within a budget: whole, by a norm where a factorisation is too dear, or not at
all."""

import itertools
import re
import time
from dataclasses import replace

import pytest
from torch import nn

from autolip import budget
from autolip.budget import Budget, WallClock, WorkClock, counting
from autolip.errors import Refusal
from autolip.methods import LipSDP
from autolip.methods.lipsdp.proof import prove as proof
from autolip.methods.lipsdp.proof.factorisation import price
from autolip.methods.lipsdp.proof.prove import prove
from autolip.methods.lipsdp.search import pricing
from autolip.methods.lipsdp.search.effort import Effort
from autolip.methods.lipsdp.search.pricing import Pricing
from autolip.methods.lipsdp.search.rounds import Search
from autolip.methods.method import Bound
from autolip.operators.norms import NormOptions
from tests.methods.lipsdp.conftest import mlp, pose, relaxed


class Joined(nn.Module):
    """f(x) + x: not a chain."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.network = mlp(6, width, 6, seed=1)

    def forward(self, x):  # type: ignore[no-untyped-def]
        return x + self.network(x)


def effort_of(seconds: float) -> Effort:
    return Effort.within(Budget.of(seconds), 0.01, None, 0.01, 1000)


def test_a_factorisation_that_is_too_dear_is_replaced_by_a_norm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """That of the lifted map: a margin above the value by the factorisation, at most."""
    problem, method = pose(Joined(40), (1, 6)), LipSDP(seconds=1)
    whole = method.bound(problem)
    monkeypatch.setattr(WorkClock, "rate", 1.0)
    monkeypatch.setattr(proof, "by_factorisation", lambda statement: pytest.fail("factorised"))
    late = method.bound(problem)
    assert isinstance(whole, Bound) and isinstance(late, Bound)
    assert whole.value.value * 0.99 <= late.value.value <= whole.value.value * 1.02


def test_nothing_is_factorised_where_only_proofs_count(monkeypatch: pytest.MonkeyPatch) -> None:
    relaxation = relaxed(pose(Joined(40), (1, 6)))
    effort, options = effort_of(20), NormOptions(proved_only=True)
    monkeypatch.setattr(WallClock, "rate", 1.0)
    monkeypatch.setattr(Pricing, "step", lambda self, rank: 1e-4)
    search = Search(relaxation, effort, options).run()
    assert search.best is None and "12 variables takes about 1.7e+03 s" in search.reasons[0]
    refused = prove(search.iterate.statement, 0.01, replace(options, budget=Budget.of(0)))
    assert isinstance(refused, Refusal)


@pytest.mark.parametrize(
    "seconds, rank", [(1e-9, pricing.MOST_COLUMNS), (1.0, pricing.FEWEST_COLUMNS)]
)
def test_a_step_of_few_columns_says_how_many_there_is_time_for(
    seconds: float, rank: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where their work says that there is none for a climb with as many as are wanted, but for some
    steps."""
    relaxation = relaxed(pose(Joined(40), (1, 6)))
    monkeypatch.setattr(Pricing, "step", lambda self, rank: rank / pricing.MOST_COLUMNS)
    monkeypatch.setattr(Pricing, "seconds_of_a_column", seconds)
    assert Search(relaxation, effort_of(10), NormOptions()).iterate.rank == rank


def test_a_step_is_measured() -> None:
    relaxation = relaxed(pose(Joined(40), (1, 6)))
    assert 0 < Pricing(relaxation, effort_of(10)).seconds_of_a_column < 1


def test_the_budget_is_kept(seconds: float = 0.7) -> None:
    """One and a half times the budget and one proof, in counted work."""
    problem = pose(Joined(400), (1, 6))
    with counting() as clock:
        LipSDP(tolerance=1e-9, seconds=seconds).bound(problem)
        assert seconds < clock.meter.seconds < 1.5 * seconds + 2 * price(relaxed(problem), clock)


def test_the_same_work_gives_the_same_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """However fast the machine is: the wall clock has no say where nobody set a time budget."""
    problem, method = pose(Joined(40), (1, 6)), LipSDP(tolerance=1e-9, seconds=0.03)
    usual = method.bound(problem)
    moments = itertools.count(step=100.0)
    monkeypatch.setattr(time, "monotonic", lambda: next(moments))
    monkeypatch.setattr(budget, "factorisation_rate", lambda: pytest.fail("measured"))
    slow = method.bound(problem)
    assert isinstance(usual, Bound) and isinstance(slow, Bound)
    assert usual.value == slow.value and usual.notes == slow.notes
    assert (
        usual.complete and "ended after its share of work, a time budget goes on" in usual.notes[0]
    )


def test_what_the_processor_ended_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine so slow that counted work takes many times as long."""
    moments = itertools.count(step=2.0)
    monkeypatch.setattr(time, "process_time", lambda: next(moments))
    found = LipSDP(tolerance=1e-9).bound(pose(Joined(40), (1, 6)))
    assert isinstance(found, Bound) and "ended by the clock" in found.notes[-1]


def test_a_time_budget_goes_on_below_one_percent() -> None:
    """By a clock that counts: to one part in ten thousand, where without one the first percent is
    enough."""
    problem = pose(Joined(40), (1, 6))
    first = LipSDP().bound(problem)
    ticks = itertools.count(step=1e-3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: next(ticks))
        later = problem.with_budget(Budget(60.0))
        found = LipSDP().bound(later)
    assert isinstance(first, Bound) and isinstance(found, Bound)
    attained = float(found.notes[0].split("attains ")[1].split()[0])
    assert found.value.value <= attained * (1 + 1.1e-4)
    assert found.value.value <= first.value.value


def test_too_little_time_names_the_budget_that_helps() -> None:
    """A refusal for want of time is no answer: the result is not complete."""
    problem = pose(Joined(40), (1, 6))
    late = problem.with_budget(Budget.of(-1))
    found = LipSDP().bound(late)
    assert isinstance(found, Bound) and not found.complete
    assert re.search(r"no time left: .*: a time budget of about \d+ s would help", found.notes[-1])


def test_progress_shows_what_is_attained_and_what_is_proved() -> None:
    """The two close in on the bound."""
    said: list[str] = []
    found = LipSDP(tolerance=1e-4).bound(replace(pose(mlp(4, 8, 7, 3), (1, 4)), say=said.append))
    assert isinstance(found, Bound)
    told = [re.fullmatch(r"lipsdp, attains (\S+), proved (\S+)", text) for text in said]
    pairs = [(float(match[1]), float(match[2])) for match in told if match]
    assert all(attained <= proved * (1 + 1e-5) for attained, proved in pairs)
    assert pairs[-1] == pytest.approx((found.value.value, found.value.value), rel=2e-3)
    assert any(re.fullmatch(r"lipsdp, attains \S+ after 8 steps", text) for text in said)
