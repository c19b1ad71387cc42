"""What is said about layers."""

import math
from dataclasses import replace

from autolip.layers import Layer
from autolip.report.layers import explained, layer_records, layer_sheet, what
from autolip.result import Result
from tests.report.conftest import row

LAYERS = (
    Layer("first", "net.py:3", "affine", (1, 8), 32, 12.0, 12.0, 9.0, 1.333, 0.7),
    Layer("act", "net.py:4", "aten.relu.default", (1, 8), 0, 12.0, 1.0, 6.0, 1.5, 0.0, 8, 3),
    Layer("last", "net.py:5", "affine", (1, 2), 16, 60.0, 5.0, 14.2, 2.1, 0.3),
    Layer("side", "", "affine", (), 0, math.inf, None, None, None, None),
)


def test_every_layer_is_a_line_and_a_record(bracket: Result) -> None:
    sheet = layer_sheet(bracket, LAYERS)
    assert sheet.caption.startswith("bounds up to each layer by autolip;")
    assert sheet.headings[-1] == "stable" and len(sheet.rows) == 4
    assert sheet.rows[1] == (
        "act (net.py:4)", "relu", "1x8", "-", "1", "12", "6", "1.5", "0%", "3/8",
    )  # fmt: skip
    assert sheet.rows[3] == ("side", "affine", "1", "-", "-", "inf", "-", "-", "-", "-")
    assert layer_sheet(bracket, LAYERS[:1]).headings[-1] == "share"
    records = layer_records(LAYERS)
    assert [record["gain"] for record in records] == [12.0, 1.0, 5.0, None]
    assert records[1]["stable"] == 3 and records[1]["operation"] == "relu"


def test_sentences_name_the_layers_biggest_first(bracket: Result) -> None:
    said = explained(bracket, LAYERS[:3])
    assert said[0].startswith("The upper bound is at most 1.974 times the constant")
    assert "multiply to the bound of autolip; most comes from affine at first (net.py:3)" in said[1]
    assert "(gain 12, 70%), affine at last" in said[1]
    assert said[2].startswith("What limits the bound: ")
    assert "mostly at affine at last (net.py:5) by 2.1, relu at act (net.py:4) by 1.5" in said[2]
    assert "by 1.0" not in said[2]
    assert said[3].startswith("On the region 3 of 8 neurons have one slope alone")


def test_what_stands_in_no_module_is_named_once(bracket: Result) -> None:
    inline = replace(LAYERS[2], module="", loss=1.0004)
    act = replace(LAYERS[1], module="")
    places = [row[0] for row in layer_sheet(bracket, (inline, act, replace(act, source=""))).rows]
    assert places == ["affine (net.py:5)", "relu (net.py:4)", "relu"]
    (*_, said, _) = explained(bracket, (inline, LAYERS[1]))
    assert "What limits the bound" in said and "net.py:5" not in said
    assert "most comes from affine at net.py:5 (gain 5" in explained(bracket, (inline,))[1]


def test_an_infinite_bound_names_its_culprit(bracket: Result) -> None:
    note = "infinite through aten.mul.Tensor at net (net.py:9)"
    culprit = row("autolip", "upper", math.inf, notes=(note, note))
    (said,) = explained(replace(bracket, bounds=(culprit,), upper=culprit, lower=None), ())
    assert (
        said
        == "Infinite through aten.mul.Tensor at net (net.py:9): a region often makes it finite."
    )


def test_operations_are_named_as_their_readers_call_them() -> None:
    assert what(LAYERS[1]) == "relu" and what(LAYERS[0]) == "affine"
    assert what(replace(LAYERS[0], operation="input")) == "change of norm"
