"""A result's files: what each format holds."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from autolip.errors import InputError
from autolip.report.formats import COLUMNS, FORMATS, suffix_of
from autolip.result import Result


def lines(result: Result) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(FORMATS[".csv"](result))))


def test_csv_holds_every_row_with_all_its_digits(bracket: Result) -> None:
    found = lines(bracket)
    assert tuple(found[0]) == COLUMNS
    assert [line["method"] for line in found] == [row.method for row in bracket.bounds]
    assert [line["value"] for line in found] == [
        "" if row.value is None else repr(row.value) for row in bracket.bounds
    ]
    refused = next(line for line in found if line["kind"] == "refusal")
    assert refused["refusal"].startswith("it holds for dense layers only, and")


def test_csv_holds_every_pair(pairs) -> None:
    found = lines(pairs(3))
    uppers = {line["output"]: float(line["value"]) for line in found if line["kind"] == "upper"}
    assert {name: uppers[name] for name in ("0-1", "0-2", "1-2")} == {
        "0-1": 1.0,
        "0-2": 2.0,
        "1-2": 3.0,
    }


def test_text_and_json_are_those_of_the_result(bracket: Result) -> None:
    assert FORMATS[".txt"](bracket) == f"{bracket!r}\n"
    assert json.loads(FORMATS[".json"](bracket)) == bracket.to_dict()


def test_html_is_a_page_and_hides_nothing(bracket: Result) -> None:
    page = FORMATS[".html"](replace(bracket, model="<b>\x1b\n"))
    assert page.startswith("<!doctype html>") and "<title>&lt;b&gt;\\x1b\\n:" in page
    assert "\x1b" not in page and "14.2087" in page


def test_control_characters_of_a_name_are_shown(bracket: Result) -> None:
    assert FORMATS[".txt"](replace(bracket, model="a\nb\x1b[2J")).startswith("a\\nb\\x1b[2J\n")


def test_the_format_is_the_suffix() -> None:
    assert suffix_of(Path("a.b/r.JSON"), tuple(FORMATS)) == ".json"
    with pytest.raises(
        InputError, match=r"r.xlsx does not say its format: let the name end in .txt, .json"
    ):
        suffix_of(Path("r.xlsx"), tuple(FORMATS))
