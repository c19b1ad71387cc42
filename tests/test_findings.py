"""Rows: what they say follows from their answers; also autolip.result."""

import pickle

import pytest

from autolip.errors import Refusal
from autolip.findings import Answer, Row, above, below, largest_lower, smallest_upper
from autolip.values import INFINITE, Estimate, Event, Lower, Upper


def random(value: float, delta: float) -> Upper:
    return Upper(value, frozenset({Event("a start", delta)}))


@pytest.mark.parametrize(
    ("answer", "kind", "value", "certainty", "delta", "refusal"),
    [
        (Upper(2.0), "upper", 2.0, "proved", 0.0, None),
        (random(2.0, 1e-9), "upper", 2.0, "confident", 1e-9, None),
        (INFINITE, "upper", "inf", "proved", 0.0, None),
        (Lower(2.0, "a pair"), "lower", 2.0, None, 0.0, None),
        (Estimate(2.0), "estimate", 2.0, None, 0.0, None),
        (Refusal("no"), "refusal", None, None, 0.0, "no"),
    ],
)
def test_a_row_says_what_its_answer_is(
    answer: Answer,
    kind: str,
    value: float | str | None,
    certainty: str | None,
    delta: float,
    refusal: str | None,
) -> None:
    row = Row("m", answer, seconds=1.5, passes=3.0, notes=("a note",))
    assert row.to_dict() == {
        "method": "m",
        "kind": kind,
        "value": value,
        "certainty": certainty,
        "delta": delta,
        "seconds": 1.5,
        "passes": 3.0,
        "refusal": refusal,
        "notes": ["a note"],
    }
    assert Row.from_dict(row.to_dict()).to_dict() == row.to_dict()
    assert row.witness == ("a pair" if kind == "lower" else None)


def test_the_best_rows() -> None:
    rows = [Row("a", Upper(3.0)), Row("b", Upper(2.0)), Row("c", Lower(1.0)), Row("d", Lower(0.5))]
    assert smallest_upper(rows) == rows[1] and largest_lower(rows) == rows[2]
    assert smallest_upper(rows[2:]) is None and largest_lower(rows[:2]) is None
    assert (above(rows[0]), below(rows[3])) == (3.0, 0.5)
    assert (above(rows[3]), above(None)) == (float("inf"), float("inf"))
    assert (below(rows[0]), below(None)) == (0.0, 0.0)


def test_a_choice_among_random_bounds_adds_up_what_may_fail() -> None:
    """A proved one that is smaller cannot fail; one event that two bounds rest on counts once."""
    first, second = random(3.0, 1e-9), random(2.0, 2e-9)
    best = smallest_upper([Row("a", first), Row("b", second)])
    assert best is not None and best.method == "b" and best.delta == pytest.approx(3e-9)
    shared = smallest_upper([Row("a", second), Row("b", Upper(2.0 + 1e-9, second.events))])
    assert shared is not None and shared.delta == 2e-9
    proved = smallest_upper([Row("a", first), Row("b", Upper(1.0))])
    assert proved is not None and proved.delta == 0.0


def test_an_event_of_another_process_is_another_event() -> None:
    """Its serial number may be one of ours, and a union must not take the two for one."""
    event = Event("a start", 1e-9)
    bound = Upper(2.0, frozenset({event}))
    again = pickle.loads(pickle.dumps(bound))
    assert (again.value, again.delta) == (bound.value, bound.delta)
    assert Upper.least([bound, again]).delta == 2e-9
