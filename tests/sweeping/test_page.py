"""The report of many questions."""

import math

from autolip.sweeping.answers import Answer, Sweep
from autolip.sweeping.page import chart, page


def swept() -> Sweep:
    """A bracket, two bounds that are not drawn, a question without an answer."""
    known = ("l2:l2", "all", "box")
    rows = (
        Answer("small <1>", *known, upper=4.0, lower=1.0, method="lipsdp"),
        Answer("above", *known, upper=2.0, method="autolip"),
        Answer("endless", *known, upper=math.inf, lower=2.0, method="autolip"),
        Answer("none", *known, reason="no bound on either side"),
    )
    return Sweep("digits-mlp", rows, 1.0)


def test_every_question_is_in_the_table_and_what_failed_says_why() -> None:
    text = page(swept())
    assert "small &lt;1&gt;" in text and "<1>" not in text
    assert "<li>none: no bound on either side</li>" in text
    assert "<td>endless</td>" in text and "4 questions, 1.00 s" in text and "<dt>numpy</dt>" in text


def test_a_bar_reaches_from_the_lower_to_the_upper_end() -> None:
    small, above = chart(swept()).bars
    assert 0 < small.start < above.end < small.end < 100 and above.start == 0.0
    assert small.text == "1 to 4"
    closed = Answer("closed", "l2:l2", "all", "box", upper=3.0, lower=3.0)
    (seen,) = chart(Sweep("one", (closed,))).bars
    assert seen.end > seen.start
    assert chart(Sweep("empty", ())).bars == ()
