"""The MLP table on tiny networks: every column, labelled, consistent, and found again."""

from pathlib import Path

import pytest

from autolip.reproduce import columns, mlp
from autolip.reproduce.mlp import MlpExperiment
from autolip.reproduce.published import MLP
from autolip.reproduce.steps import Steps
from autolip.reproduce.training import Recipe

TINY = MlpExperiment(depths=(3,), width=5, points=40, recipe=Recipe(30, 20, 0.01), seconds=0.02)
KINDS = {
    **dict.fromkeys(("Frobenius", "AutoLip", "Theorem 3", "SeqLip"), "upper"),
    "Greedy SeqLip": "estimate",
    **dict.fromkeys(("data set", "random points", "grid search", "annealing"), "lower"),
    **dict.fromkeys(("Nelder-Mead", "basin-hopping", "ascent"), "lower"),
}


def test_every_column_is_there_with_its_kind_and_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = TINY.run(Steps(tmp_path), 0, lambda *event: None)
    assert set(outcome.columns) == set(KINDS) and set(MLP) <= set(KINDS)
    for (column, label), row in outcome.cells.items():
        assert row.kind == KINDS[column], (column, label, row)
    for network in outcome.networks:
        value = {column: outcome.value(column, network.label) or 0.0 for column in KINDS}
        assert value["SeqLip"] <= value["Theorem 3"] * (1 + 1e-9) <= value["AutoLip"] * (1 + 1e-8)
        assert value["AutoLip"] <= value["Frobenius"]
        assert value["Greedy SeqLip"] == pytest.approx(value["SeqLip"], rel=1e-6)
        assert max(v for c, v in value.items() if KINDS[c] == "lower") <= value["SeqLip"]
        assert network.facts["squared error"] > 0 and network.facts["variance of the data"] > 0

    def again(*arguments: object) -> None:
        pytest.fail("a finished step ran again")

    monkeypatch.setattr(mlp, "fit", again)
    monkeypatch.setattr(columns, "evaluate", again)
    assert TINY.run(Steps(tmp_path), 0, lambda *event: None).cells == outcome.cells


def test_quick_is_the_same_table_with_less_work() -> None:
    quick, full = MlpExperiment.quick(), MlpExperiment()
    assert (
        (quick.depths, quick.width, quick.points)
        == (full.depths, full.width, full.points)
        == ((4, 5, 7, 10), 20, 15000)
    )
    assert quick.recipe.steps < full.recipe.steps and quick.seconds < full.seconds
