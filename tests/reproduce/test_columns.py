"""Columns: each cell computed once, with its direction, in the region of its network.

Covers autolip.reproduce.subject too.
"""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from autolip.errors import Refusal
from autolip.findings import Row
from autolip.lower import Dataset, Grid
from autolip.methods import AutoLip, Layerwise, Theorem3
from autolip.regions import Box
from autolip.reproduce import columns
from autolip.reproduce.columns import ENDED_EARLY, Column, evaluate, fill
from autolip.reproduce.steps import Steps
from autolip.reproduce.subject import Subject
from autolip.values import INFINITE, Lower

COLUMNS = [
    Column("AutoLip", AutoLip()),
    Column("data set", Dataset()),
    Column("grid", Grid(per_axis=3)),
]


def test_cells_have_their_direction_and_enclose_the_constant(
    subjects: list[Subject], tmp_path: Path
) -> None:
    seen: list[tuple[str, int, int]] = []
    cells = fill(subjects, COLUMNS, Steps(tmp_path), 0, lambda *event: seen.append(event))
    assert [(text, done, total) for text, done, total in seen[:2]] == [
        ("2 layers: AutoLip", 0, 6),
        ("2 layers: data set", 1, 6),
    ]
    for label in ("2 layers", "3 layers"):
        assert [cells[c.title, label].kind for c in COLUMNS] == ["upper", "lower", "lower"]
        assert (
            cells["AutoLip", label].value == pytest.approx(2) and cells["AutoLip", label].value >= 2
        )
        assert (
            cells["data set", label].value == pytest.approx(2)
            and cells["data set", label].value <= 2
        )


def test_an_interrupted_table_goes_on_where_it_stopped(
    subjects: list[Subject], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def counted(subject: Subject, column: Column, seed: int) -> Row:
        if len(done) == 4 and not resumed:
            raise KeyboardInterrupt
        done.append(f"{subject.label}, {column.title}")
        return evaluate(subject, column, seed)

    monkeypatch.setattr(columns, "evaluate", counted)
    resumed = False
    with pytest.raises(KeyboardInterrupt):
        fill(subjects, COLUMNS, Steps(tmp_path), 0, lambda *event: None)
    resumed = True
    cells = fill(subjects, COLUMNS, Steps(tmp_path), 0, lambda *event: None)
    assert sorted(done) == sorted(f"{s.label}, {c.title}" for s in subjects for c in COLUMNS)
    again = fill(subjects, COLUMNS, Steps(tmp_path), 0, lambda *event: None)
    assert again == cells and len(done) == 6


@pytest.mark.slow
def test_other_weights_options_or_seeds_are_other_cells(
    subjects: list[Subject], tmp_path: Path
) -> None:
    def files() -> int:
        return len(list(tmp_path.iterdir()))

    def run(subject: Subject, column: Column, seed: int = 0) -> None:
        fill([subject], [column], Steps(tmp_path), seed, lambda *event: None)

    subject, column = subjects[0], Column("grid", Grid(per_axis=3))
    moved = replace(subject, region=Box(torch.zeros(1, 1), torch.ones(1, 1)))
    doubled = replace(subjects[0], data=torch.ones(1, 1, 1))
    run(subject, column)
    for number, change in enumerate(
        [
            (moved, column),
            (doubled, column),
            (subject, Column("grid", Grid(per_axis=4))),
            (subjects[1], column),
        ],
        2,
    ):
        run(*change)
        assert files() == number
    run(subject, column, seed=1)
    subject.model[0].weight.data += 1
    run(replace(subject), column)
    assert files() == 7


def test_a_refusal_is_a_cell_too(subjects: list[Subject], tmp_path: Path) -> None:
    cells = fill(
        subjects[:1],
        [Column("grid", Grid(per_axis=10**6))],
        Steps(tmp_path),
        0,
        lambda *event: None,
    )
    row = cells["grid", "2 layers"]
    assert (
        row.kind == "refusal"
        and row.value is None
        and "more than the 20000 allowed" in str(row.refusal)
    )


def test_a_spent_budget_is_noted(subjects: list[Subject]) -> None:
    hurried, patient = (
        evaluate(subjects[1], Column("x", Theorem3(seconds=s)), 0) for s in (1e-9, None)
    )
    assert ENDED_EARLY in hurried.notes and ENDED_EARLY not in patient.notes


def test_norms_are_computed_once_for_all_columns(
    subjects: list[Subject], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = evaluate(subjects[1], Column("AutoLip", AutoLip()), 0)
    monkeypatch.setattr(
        "autolip.methods.method.operator_norm", lambda *arguments: pytest.fail("computed again")
    )
    assert evaluate(subjects[1], Column("AutoLip", AutoLip()), 0).value == first.value


@pytest.mark.parametrize(
    "row", [Row("a", INFINITE), Row("b", Refusal("no")), Row("c", Lower(2.0), notes=("a note",))]
)
def test_rows_survive_the_way_through_plain_data(row: Row) -> None:
    assert Row.from_dict(row.to_dict()) == row


def test_columns_describe_their_options() -> None:
    descriptions = {str(Column("", Layerwise(form)).describe()) for form in ("best", "norm")}
    assert len(descriptions) == 2
