"""Text, terminal and HTML renderings carry the same content."""

import io
from dataclasses import replace

from rich.console import Console

from autolip.findings import Row
from autolip.outputs import Hidden
from autolip.report.table import render_html, render_rich, render_text
from autolip.result import Result
from autolip.units import Units
from tests.report.conftest import confident, row

BALL = {"norm": "l1", "radius": 0.5, "center": [0.0, 0.0], "scale": [2.0, 3.0]}


def test_text_is_golden(bracket: Result, golden) -> None:
    golden("result", render_text(bracket) + "\n")


def test_inputs_that_vary_together_in_units_are_golden(bracket: Result, golden) -> None:
    inputs = [{"name": "x", "shape": [1, 3]}, {"name": "state", "shape": [1, 2]}]
    parts = [
        {"input": "x", "shape": [1, 3], "region": {"kind": "box", "lo": [0.0], "hi": [1.0]}},
        {"input": "state", "shape": [1, 2], "region": {"kind": "scaled ball"} | BALL},
    ]
    shown = replace(
        bracket,
        region={"kind": "product", "parts": parts},
        units=Units.asked([0.1, 0.1, 0.1, 2.0, 3.0], 0.5),
        output=Hidden("encoder.3"),
        assumptions={
            **bracket.assumptions,
            "input": "x and state",
            "input_shape": [5],
            "inputs": inputs,
            "layer": "encoder.3",
        },
    )
    golden("questions", render_text(shown) + "\n")


def test_pairs_text_is_golden(pairs, golden) -> None:
    golden("pairs", render_text(pairs(5)) + "\n")


def test_html_is_golden(bracket: Result, golden) -> None:
    golden("result-html", render_html(bracket).replace("><", ">\n<") + "\n")


def test_terminal_table_is_golden(bracket: Result, golden) -> None:
    console = Console(width=100, force_terminal=False, record=True, file=io.StringIO())
    console.print(render_rich(bracket))
    golden(
        "result-terminal",
        "\n".join(line.rstrip() for line in console.export_text().splitlines()) + "\n",
    )


def test_words_are_whole_on_a_terminal_of_80_columns(bracket: Result) -> None:
    long = row("seqlip-published", "estimate", 1.8351e12, seconds=123.45, passes=590000)
    random = Row("eclipse-fast", confident(2.84e10, 1.3e-10), seconds=123.45, passes=590000)
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(render_rich(replace(bracket, bounds=(*bracket.bounds, long, random))))
    shown = console.export_text().split()
    for word in (
        "seqlip-published",
        "eclipse-fast",
        "estimate",
        "confident",
        "certainty",
        "590000",
    ):
        assert word in shown


def test_text_has_no_escape_codes_and_no_trailing_blanks(bracket: Result, pairs) -> None:
    for result in (bracket, pairs(5), replace(bracket, bounds=())):
        text = render_text(result)
        assert "\x1b" not in text
        assert all(line == line.rstrip() for line in text.splitlines())


def test_names_of_the_user_are_not_markup(bracket: Result) -> None:
    odd = replace(bracket, model="<b>[red]net[/red]</b>")
    assert "&lt;b&gt;[red]net[/red]&lt;/b&gt;" in render_html(odd)
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(render_rich(odd))
    assert "<b>[red]net[/red]</b>" in console.export_text()


def test_result_shows_itself(bracket: Result) -> None:
    assert repr(bracket) == render_text(bracket)
    assert bracket._repr_html_() == render_html(bracket)
