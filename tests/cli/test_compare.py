"""`autolip compare`: every method on its own, one table, one figure (autolip.report.comparison, in
autolip.report.style)."""

import json
from pathlib import Path

import pytest

from autolip.methods import METHODS

NETWORK = """def small():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2)).eval()"""


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_all_methods_in_a_table_and_a_figure(run, nets, suffix: str) -> None:
    pytest.importorskip("matplotlib")
    folder = nets(NETWORK)
    figure, table = folder / f"x.{suffix}", folder / "x.json"
    ran = run(
        "compare",
        "nets:small",
        "--input-shape",
        "1,3",
        "--each",
        "2",
        "--figure",
        figure,
        "--json",
        table,
    )
    assert ran.code == 0, ran.err
    rows = json.loads(table.read_text(encoding="utf-8"))["bounds"]
    assert {row["method"] for row in rows if row["kind"] != "lower"} == set(METHODS)
    values = [row["value"] for row in rows if row["kind"] not in ("lower", "refusal")]
    assert values == sorted(values)
    lower = next(row["value"] for row in rows if row["kind"] == "lower")
    assert all(row["value"] >= lower * (1 - 1e-9) for row in rows if row["kind"] == "upper")
    assert figure.read_bytes().startswith(b"\x89PNG" if suffix == "png" else b"<?xml")
    if suffix == "svg":
        drawn = {row["method"] for row in rows if row["kind"] != "refusal"}
        assert all(
            f"  {name}  " in figure.read_text(encoding="utf-8") for name in drawn & set(METHODS)
        )


@pytest.mark.slow
def test_refusals_are_listed(run, nets) -> None:
    folder = nets(NETWORK)
    ran = run(
        "compare",
        "nets:small",
        "--input-shape",
        "1,3",
        "--norm",
        "l1:l2",
        "--each",
        "1",
        "--figure",
        folder / "x.svg",
    )
    assert ran.code == 0 and "refused" in ran.out and "seqlip" in ran.out


def test_other_figures_are_refused_before_the_work(run, tmp_path: Path) -> None:
    ran = run("compare", "nothing", "--figure", tmp_path / "x.pdf")
    assert ran.code == 2 and "let the name end in .png or .svg" in ran.err
