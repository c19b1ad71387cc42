"""Outcomes: tables that keep the direction of every number, beside the published ones.

Covers autolip.reproduce.published too.
"""

import csv
import io
import json
from dataclasses import replace

import pytest

from autolip.errors import AutolipError, Refusal
from autolip.findings import Row
from autolip.reproduce.outcome import Network, Outcome, written
from autolip.reproduce.published import ALEXNET, CNN, MLP
from autolip.values import INFINITE, Estimate, Event, Lower, Upper

OUTCOME = Outcome(
    "mlp",
    "A title",
    {"seed": 0},
    (Network("4 layers", 4, {"loss": 0.123456}), Network("5 layers", 5)),
    ("AutoLip", "Greedy SeqLip", "data set", "Frobenius"),
    {
        ("AutoLip", "4 layers"): Row("autolip", Upper(10.000001), seconds=1.5),
        ("Greedy SeqLip", "4 layers"): Row("seqlip", Estimate(4.0)),
        ("data set", "4 layers"): Row("dataset", Lower(3.999999)),
        ("Frobenius", "4 layers"): Row("frobenius", Refusal("too wide")),
        ("AutoLip", "5 layers"): Row("autolip", INFINITE, notes=("a note",)),
        ("Greedy SeqLip", "5 layers"): Row("seqlip", Estimate(7.0), notes=("greedy only",)),
        ("data set", "5 layers"): Row("dataset", Lower(2.0)),
        ("Frobenius", "5 layers"): Row("frobenius", Upper(8.0, frozenset({Event("start", 1e-9)}))),
    },
    {"AutoLip": {"4 layers": 33.04, "5 layers": 134.4}, "Greedy SeqLip": {"4 layers": 21.47}},
    ("A remark.",),
)


def lines(text: str) -> dict[str, list[str]]:
    return {line.split("  ")[0]: line.split() for line in text.splitlines() if line}


def test_printed_digits_keep_their_direction_and_kind() -> None:
    table = lines(OUTCOME.text().partition("Published, and ours beside it")[0])
    assert table["AutoLip"] == ["AutoLip", "upper", "10.001", "inf"]
    assert table["data set"] == ["data", "set", "lower", "3.9999", "2"]
    assert table["Greedy SeqLip"][2:] == ["estimate", "4", "7"]
    assert table["Frobenius"] == ["Frobenius", "refusal,", "upper", "-", "8"]
    assert table["AutoLip / Greedy SeqLip"][-3:] == ["ratio", "2.5", "inf"]


def test_published_numbers_stand_beside_ours() -> None:
    side = lines(OUTCOME.text().partition("Published, and ours beside it")[2])
    assert side["AutoLip"] == ["AutoLip", "33.04", "10.001", "134.4", "inf"]
    assert side["Greedy SeqLip"][2:] == ["21.47", "4", "-", "7"]
    assert (
        side["AutoLip / Greedy SeqLip"][4:]
        == ["1.54", "2.5", "-", "inf"][: len(side["AutoLip / Greedy SeqLip"][4:])]
    )


def test_refusals_notes_facts_and_remarks_are_said() -> None:
    text = OUTCOME.text()
    for sentence in (
        "Frobenius, 4 layers: refused: too wide",
        "AutoLip, 5 layers: a note",
        "4 layers: loss 0.1235",
        "A remark.",
    ):
        assert sentence in text.splitlines()


def test_json_and_csv_hold_every_cell_in_full() -> None:
    content = json.loads(OUTCOME.json(), parse_constant=pytest.fail)
    cells = {(cell["column"], cell["network"]): cell for cell in content["cells"]}
    rows = {
        (row["column"], row["network"]): row for row in csv.DictReader(io.StringIO(OUTCOME.csv()))
    }
    assert set(cells) == set(rows) == set(OUTCOME.cells)
    assert (
        cells["AutoLip", "4 layers"]["value"]
        == 10.000001
        == float(rows["AutoLip", "4 layers"]["value"])
    )
    assert cells["AutoLip", "5 layers"]["value"] == "inf" == rows["AutoLip", "5 layers"]["value"]
    for key, row in OUTCOME.cells.items():
        assert cells[key]["kind"] == rows[key]["kind"] == row.kind
    assert (
        rows["AutoLip", "4 layers"]["published"] == "33.04"
        and rows["AutoLip", "4 layers"]["layers"] == "4"
    )
    assert content["networks"][0] == {"label": "4 layers", "layers": 4, "loss": 0.123456}
    assert content["published"]["AutoLip"]["5 layers"] == 134.4


def test_a_lower_bound_above_an_upper_one_is_never_reported() -> None:
    wrong = {**OUTCOME.cells, ("data set", "4 layers"): Row("dataset", Lower(10.1))}
    with pytest.raises(
        AutolipError, match=r"4 layers: 10\.1 is attained above the bound 10\.000001"
    ):
        replace(OUTCOME, cells=wrong)
    above = {**OUTCOME.cells, ("Greedy SeqLip", "4 layers"): Row("seqlip", Estimate(99.0))}
    assert replace(OUTCOME, cells=above), "an estimate contradicts nothing"


def test_what_is_missing_is_a_dash() -> None:
    assert written(None) == written(Row("x", Refusal("no"))) == "-"


def test_the_published_ratios_grow_with_depth_as_printed() -> None:
    ratios = [
        CNN["AutoLip"][d] / CNN["Greedy SeqLip"][d]
        for d in ("4 layers", "5 layers", "7 layers", "10 layers")
    ]
    assert [round(r, 1) for r in ratios] == pytest.approx([2.0, 2.4, 3.3, 5.5])
    grown = [MLP["AutoLip"][d] / MLP["SeqLip"][d] for d in MLP["AutoLip"]]
    assert grown == sorted(grown)
    assert ALEXNET["AutoLip"]["AlexNet"] > ALEXNET["Greedy SeqLip"]["AlexNet"]
