"""Many questions about one network: the answers of single calls, in a fifth of their time.

Covers autolip.sweeping.table and autolip.cli.sweep too.
"""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

import autolip
from autolip import Ball, Box, InputError
from autolip.cli.main import main
from autolip.sweeping import answers
from autolip.sweeping.table import questions_of
from autolip.workers import Store


def controller() -> nn.Module:
    torch.manual_seed(0)
    layers = (nn.Linear(2, 12), nn.Tanh(), nn.Linear(12, 12), nn.Tanh(), nn.Linear(12, 1))
    return nn.Sequential(*layers).eval()


def boxes(count: int) -> list[dict[str, object]]:
    regions = [Box([0.1 * k, -1], [0.1 * k + 0.1, 1]) for k in range(count)]
    return [{"region": region, "name": f"box {k}"} for k, region in enumerate(regions)]


def test_boxes_of_a_controller(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same brackets as single calls, with one capture."""
    model, x = controller(), torch.zeros(1, 2)
    options = {"method": "autolip", "lower": None}
    alone = [autolip.lipschitz(model, x, region=one["region"], **options) for one in boxes(3)]
    captures = list[object]()
    original = answers.capture_model

    def counted(*arguments: object) -> object:
        captures.append(arguments)
        return original(*arguments)

    monkeypatch.setattr(answers, "capture_model", counted)
    found = autolip.sweep(model, x, boxes(6), **options)
    assert len(captures) == 1
    assert [row.upper for row in found.rows[:3]] == [one.upper.value for one in alone]
    assert found.complete and [row.name for row in found.rows[:2]] == ["box 0", "box 1"]


def test_questions_differ_in_everything(tmp_path: Path) -> None:
    model, x = controller(), torch.zeros(1, 2)
    questions = [
        {"norm": "linf:l2", "method": "autolip"},
        {"region": Ball([0.0, 0.0], 0.1, "linf"), "method": ["autolip", "liplt"], "name": "near"},
        {"output": 0, "seed": 1, "lower": None, "method": "autolip"},
    ]
    path = tmp_path / "rows.sqlite"
    found = autolip.sweep(model, x, questions, store=path)
    assert [row.norm for row in found.rows] == ["linf:l2", "l2:l2", "l2:l2"]
    assert [row.region for row in found.rows] == ["everywhere", "ball", "everywhere"]
    assert found.rows[2].lower is None and found.rows[2].method == "autolip"
    assert found.rows[0].lower <= found.rows[0].upper
    again = autolip.sweep(model, x, [*questions, {"method": "autolip"}], store=path, resume=True)
    assert again.rows[:3] == found.rows
    with Store.reading(path) as store:
        assert len(store) == 4
    found.save(tmp_path / "rows.json")
    stored = json.loads((tmp_path / "rows.json").read_text(encoding="utf-8"))
    assert stored["questions"][1]["name"] == "near"
    assert "near" in repr(found)


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ({"norm": "l3"}, "question 1: norm"),
        ({"region": Box([0, 0, 0], [1, 1, 1])}, "question 1: the box has 3 entries"),
        ({"nom": "l2"}, "no such option"),
        ("l2", "a dictionary of options"),
    ],
)
def test_a_question_that_cannot_be_meant(question: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        autolip.sweep(controller(), torch.zeros(1, 2), [question])


def test_questions_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "questions.csv"
    path.write_text(
        "name,lo,hi,center,radius,ball,norm,time_budget\n"
        "a,0 0,1 1,,,,,\nb,,,0.5 0.5,0.1,linf,linf:l2,2.5\nc,,,,,,,\n",
        encoding="utf-8",
    )
    a, b, c = questions_of(path)
    assert a["region"].describe() == Box([0, 0], [1, 1]).describe() and a["name"] == "a"
    assert b["region"].radius == 0.1 and b["norm"] == "linf:l2" and b["time_budget"] == 2.5
    assert c == {"name": "c"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,colour\na,red\n", "the columns colour"),
        ("name,lo\na,0\n", "line 2: a region is lo and hi"),
        ("name,seed\na,x\n", "line 2"),
        ("name\na,b\n", "more cells than headings"),
        ("", "has no columns"),
        ("name,norm\n", "asks nothing"),
        ("name,norm,name\na,l2,b\n", "has the column name twice"),
        ('name,norm\n"a,l2\n', r"line \d: no CSV"),
        (f"name\n{'a' * 10**6}\n", r"line \d: no CSV"),
        (",".join(f"c{k}" for k in range(10**4)), "the columns c0, c1, c2, c3, c4: choose"),
    ],
)
def test_files_of_questions_that_cannot_be_read(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "questions.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        questions_of(path)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "questions.csv"
    lines = "name,method,lower\nfirst,autolip,random\nsecond,frobenius,random\n"
    path.write_text(lines, encoding="utf-8")
    out = tmp_path / "rows.csv"
    assert main(["sweep", "digits-mlp", str(path), "-o", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "first" in printed and "2 questions" in printed
    assert out.read_text(encoding="utf-8").count("\n") == 3


def test_what_a_line_leaves_out_is_as_the_options_say(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "questions.csv"
    path.write_text("name,lower,output,lo,hi\na,random,,,\nb,random,3,0.4,0.6\n", "utf-8")
    options = ["--norm", "linf", "--output", "0-1", "--box", "0:1", "--method", "autolip"]
    assert main(["sweep", "digits-mlp", str(path), *options]) == 0
    first, second = capsys.readouterr().out.splitlines()[2:4]
    assert first.split()[:4] == ["a", "linf:linf", "0-1", "box"] and " autolip " in first
    assert second.split()[:4] == ["b", "linf:linf", "3", "box"]
    bounds = [line.split()[-3] for line in (first, second)]
    assert len(set(bounds)) == 2


def test_rows_hold_both_sides_and_print_in_one_line() -> None:
    question = {"method": "autolip", "lower": "random", "seed": 0, "name": "a\x1b[31m"}
    model = controller()
    found = autolip.sweep(model, torch.zeros(1, 2), [question])
    alone = autolip.lipschitz(model, torch.zeros(1, 2), method="autolip", lower="random", seed=0)
    (row,) = found.rows
    assert (row.upper, row.method, row.delta) == (alone.upper.value, "autolip", 0.0)
    assert 0 < row.lower <= row.upper and not row.reason
    assert "a\\x1b[31m" in repr(found) and "\x1b" not in repr(found)


def test_a_row_without_a_bound_says_so() -> None:
    found = autolip.sweep(
        controller(), torch.zeros(1, 2), [{"method": "seqlip", "norm": "l1", "lower": None}]
    )
    (row,) = found.rows
    assert (row.upper, row.lower, row.method) == (None, None, "")
    assert row.reason == "no bound on either side" and not found.complete


@pytest.mark.slow
def test_two_workers() -> None:
    pytest.importorskip("distributed")
    model, x = controller(), torch.zeros(1, 2)
    one = autolip.sweep(model, x, boxes(6), method="autolip", lower=None)
    two = autolip.sweep(model, x, boxes(6), method="autolip", lower=None, workers=2)
    assert [row.upper for row in two.rows] == [row.upper for row in one.rows]
