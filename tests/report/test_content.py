"""The sentence, the rows and the remarks of a result."""

from dataclasses import replace

import pytest

from autolip.findings import Row
from autolip.outputs import parse_output
from autolip.report.content import NOTES_SHOWN, headline, remarks, sheets
from autolip.result import Result
from autolip.values import INFINITE
from tests.report.conftest import confident


def test_headline_rounds_outward(bracket: Result) -> None:
    text = "14.2087 <= Lipschitz constant <= 28.0413 (l2 -> l2, everywhere), upper bound by autolip"
    assert headline(bracket) == text


def test_headline_says_what_is_missing(bracket: Result) -> None:
    assert headline(replace(bracket, lower=None)).startswith(
        "Lipschitz constant <= 28.0413 (l2 -> l2"
    )
    assert headline(replace(bracket, lower=None)).endswith("; no lower bound")
    assert headline(replace(bracket, upper=None)).endswith("; no upper bound")
    assert headline(replace(bracket, upper=None, lower=None)).startswith(
        "no bound on the Lipschitz constant"
    )


def test_headline_says_infinite(bracket: Result) -> None:
    infinite = Row("autolip", INFINITE)
    assert "<= inf (" in headline(replace(bracket, upper=infinite))


def test_headline_tells_the_probability_of_a_confident_bound(bracket: Result) -> None:
    assert bracket.upper
    random = replace(bracket.upper, answer=confident(28.0, 2.5e-10))
    assert "everywhere; with probability >= 1 - 2.5e-10)" in headline(
        replace(bracket, upper=random)
    )


@pytest.mark.parametrize(
    ("output", "subject"),
    [
        ("3", "Lipschitz constant of output 3"),
        ("3-5", "Lipschitz constant of output 3 - output 5"),
        ("pairs", "largest Lipschitz constant of a difference of two outputs"),
    ],
)
def test_headline_names_what_is_measured(bracket: Result, output: str, subject: str) -> None:
    assert f" <= {subject} <= " in headline(replace(bracket, output=parse_output(output)))


def test_headline_names_the_region(bracket: Result) -> None:
    ball = {"kind": "ball", "norm": "linf", "radius": 0.1, "center": [0.0]}
    assert "on an linf ball of radius 0.1)" in headline(replace(bracket, region=ball))
    box = {"kind": "box", "lo": [0.0, 0.0], "hi": [1.0, 0.5]}
    result = replace(bracket, region=box)
    assert "on a box)" in headline(result)
    assert "box of 2 coordinates, 0.5 to 1 wide" in remarks(result)


def test_rows_tell_kind_certainty_and_ratio(bracket: Result) -> None:
    (sheet,) = sheets(bracket)
    by_method = {cells[0]: cells for cells in sheet.rows}
    assert by_method["autolip"] == (
        "autolip",
        "upper",
        "28.0413",
        "proved",
        "1.974",
        "0.31",
        "14.0",
    )
    assert by_method["lanczos"][3] == "confident 1 - 1e-9"
    assert by_method["power"][1:5] == ("estimate", "25.125", "not a bound", "1.768")
    assert by_method["ascent"][1:5] == ("lower", "14.2087", "attained", "1")
    assert "lipsdp" not in by_method


def test_without_a_lower_bound_there_is_no_ratio(bracket: Result) -> None:
    rows = tuple(row for row in bracket.bounds if row.kind == "upper")
    (sheet,) = sheets(replace(bracket, bounds=rows, lower=None))
    assert {cells[4] for cells in sheet.rows} == {"-"}


def test_remarks_give_refusals_notes_and_assumptions(bracket: Result) -> None:
    note = "infinite through aten.sign at head (net.py:3)"
    culprit = Row("autolip", INFINITE, notes=(note,))
    assumed = {**bracket.assumptions, "fixed": {"state": "zeros, shape (2, 1, 128)"}}
    said = remarks(
        replace(bracket, bounds=(*bracket.bounds, culprit), assumptions=assumed, complete=False)
    )
    assert said[0].startswith("lipsdp refused: it holds for dense layers only")
    assert said[1].startswith("the time budget ended early")
    assert "autolip: infinite through aten.sign at head (net.py:3)" in said
    assert "varies: x, shape (1, 1, 8, 8), batch 1; weights stored as float32" in said
    assert "held fixed: state, zeros, shape (2, 1, 128)" in said


def test_many_notes_are_cut_short(bracket: Result) -> None:
    said = remarks(
        replace(bracket, bounds=(), notes=tuple(f"note {i}" for i in range(NOTES_SHOWN + 3)))
    )
    assert f"note {NOTES_SHOWN - 1}" in said and f"note {NOTES_SHOWN}" not in said
    assert "and 3 more such notes" in said


def test_pairs_as_a_matrix_upper_above_lower_below(pairs) -> None:
    matrix = sheets(pairs(4))[1]
    assert matrix.rows[1] == ("1", "0.5", ".", "3", "4")
    assert matrix.rows[3] == ("3", "1.5", "2", "2.5", ".")


def test_of_many_pairs_the_largest_are_shown(pairs) -> None:
    largest = sheets(pairs(40))[1]
    assert largest.caption.endswith("the 10 of 780 with the largest upper bounds")
    assert largest.rows[0] == ("38-39", "38.5", "77")
    assert len(largest.rows) == 10
