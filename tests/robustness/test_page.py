"""The report of certified samples, and autolip.robustness.curve, whose steps it draws."""

import pytest

from autolip.robustness.certified import Certified
from autolip.robustness.page import _marks, outcomes, page, plot
from autolip.robustness.verdict import Outcome, Verdict

REQUEST = {"radius": 0.3, "norm": "l2", "largest": False, "regions": False, "clip": None}


def certified() -> Certified:
    """One sample of each outcome, images of 8 x 8."""
    pixels = tuple(k / 64 for k in range(64))
    rows = (
        Verdict(0, 1, 1, Outcome.CERTIFIED, 0.3, method="lipsdp"),
        Verdict(1, 2, 2, Outcome.ATTACKED, 0.1, 0.25, witness=pixels),
        Verdict(2, 3, 3, Outcome.OPEN, 0.2),
        Verdict(3, 4, 5, Outcome.MISCLASSIFIED),
    )
    return Certified("<digits>", REQUEST, rows, ("a note & more",), 1.0, (1, 1, 8, 8))


def test_every_part_is_there_and_names_are_text() -> None:
    text = page(certified())
    assert "&lt;digits&gt;" in text and "a note &amp; more" in text and "<digits>" not in text
    assert "1 of 4 certified at l2 radius 0.3 (25%)" in text
    assert "sample 1: another class than 2, 0.25 away" in text and text.count("<img ") == 1
    heads = ("Outcomes", "Accuracy against the radius", "Samples", "How to repeat it")
    assert all(f"<h2>{head}</h2>" in text for head in heads)
    assert "<dt>torch</dt>" in text and "<dt>clip</dt>" not in text
    assert "<dt>largest</dt><dd><code>no</code></dd>" in text


def test_bars_and_steps_are_shares_of_the_samples() -> None:
    found = certified()
    assert [(bar.name, bar.end) for bar in outcomes(found).bars] == [
        ("certified", 25.0), ("attacked", 25.0), ("open", 25.0), ("misclassified", 25.0),
    ]  # fmt: skip
    above, below = (dict(reversed(line.points)) for line in plot(found).lines)
    assert below[0.0] == 75.0 and below[100 * 0.3 / 0.315] == 25.0
    attack = 100 * 0.25 / 0.315
    assert list(plot(found).lines[0].points)[:2] == [(0.0, 75.0), (100 * 0.1 / 0.315, 75.0)]
    assert max(place for place, share in plot(found).lines[0].points if share == 75.0) == attack
    assert above[0.0] == 75.0 and above[100.0] == 50.0


@pytest.mark.parametrize("end", [0.99, 1.0, 2.1, 5.0, 5.1, 9.99, 3e-7])
def test_marks_are_few_and_within(end: float) -> None:
    marks = _marks(end)
    assert 2 <= len(marks) <= 5 and marks[0] > 0 and marks[-1] <= end * (1 + 1e-12)
