"""Searches: rounds that close in, and what they say where they prove nothing."""

import math
import time

import pytest

from autolip.budget import Budget, counting
from autolip.errors import Refusal, TooLate
from autolip.methods.lipsdp.relaxation.relaxation import Relaxation
from autolip.methods.lipsdp.search import rounds
from autolip.methods.lipsdp.search.effort import Effort
from autolip.methods.lipsdp.search.rounds import ROUNDS, Search, one_of_all_rounds
from autolip.methods.lipsdp.statement import Proved
from autolip.operators.norms import NormOptions
from autolip.values import Event, Upper
from tests.methods.lipsdp.conftest import mlp, pose, relaxed
from tests.methods.lipsdp.proof.test_lifted_map import statement


def dense() -> Relaxation:
    return relaxed(pose(mlp(5, 9, 8, 3), (1, 5)))


def effort(seconds: float = 60.0, tolerance: float = 1e-3, closest: float = math.inf) -> Effort:
    return Effort.within(Budget.of(seconds), tolerance, None, 0.01, 5000, closest)


@pytest.mark.parametrize("tolerance", [1e-2, 1e-4])
def test_ends_within_the_tolerance(tolerance: float) -> None:
    search = Search(dense(), effort(tolerance=tolerance), NormOptions()).run()
    assert search.best is not None and search.near
    attained = search.iterate.primal
    assert attained <= search.best.bound.value <= attained * (1 + tolerance)
    assert search.best.statement.relaxation is search.relaxation


def test_goes_on_to_the_closest_tolerance() -> None:
    first = Search(dense(), effort(), NormOptions()).run().best
    search = Search(dense(), effort(closest=1e-6), NormOptions()).run()
    assert first is not None and search.best is not None
    assert search.best.bound.value <= search.iterate.primal * (1 + 1e-6)
    assert search.best.bound.value <= first.bound.value


def test_refused_rounds_leave_their_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each once, and the margin grows on the way."""
    monkeypatch.setattr(rounds, "prove", lambda *_: Refusal("nothing holds"))
    monkeypatch.setattr(rounds, "POLISHED", 0.0)
    search = Search(dense(), effort(), NormOptions()).run()
    assert search.best is None and search.schedule.rounds == ROUNDS
    assert str(search.refusal) == "nothing holds" and not isinstance(search.refusal, TooLate)
    assert search.schedule.margin == 0.5


def test_without_time_for_a_step_it_says_how_much_would_do() -> None:
    search = Search(dense(), effort(seconds=-1.0), NormOptions()).run()
    assert isinstance(search.refusal, TooLate) and search.refusal.seconds > 0
    assert "no time left: a pass with" in str(search.refusal) and search.iterate.steps == 0


def test_deep_chains_are_polished(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the first proof falls short, and only there."""
    goals = list[float]()

    def counted(made: object, goal: float, budget: Budget) -> object:
        goals.append(goal)
        return made

    monkeypatch.setattr(rounds, "polished", counted)
    deep = relaxed(pose(mlp(*[6] * 12, seed=4, scale=0.8), (1, 6)))
    with counting() as clock:
        tight = Effort.within(Budget.of(0.3, clock), 1e-5, None, 0.01, 5000)
        Search(deep, tight, NormOptions()).run()
        assert goals
        monkeypatch.setattr(rounds, "POLISHED", 0.0)
        goals.clear()
        Search(deep, tight, NormOptions()).run()
        assert not goals


def test_a_note_says_what_ended_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "process_time", lambda: 0.0)
    search = Search(dense(), effort(), NormOptions()).run()
    assert search.note.endswith("steps paced by the clock")
    with counting() as clock:
        counted = Effort.within(Budget.of(60.0, clock), 1e-3, None, 0.01, 5000)
        assert Search(dense(), counted, NormOptions()).run().note.endswith(")")


def test_a_proof_needs_no_share_of_the_failures() -> None:
    proved = Proved(Upper(2.0), statement())
    assert one_of_all_rounds(proved) is proved
    random = Proved(Upper(2.0, frozenset({Event("start", 1e-9)})), statement())
    assert one_of_all_rounds(random).bound.delta == pytest.approx(ROUNDS * 1e-9)
