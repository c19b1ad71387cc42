"""`autolip estimate` and its companions, end to end: with autolip.cli.network, autolip.cli.listing,
autolip.cli.norm and autolip.cli.progress."""

import json
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from autolip import zoo
from autolip.cli import estimate as command
from autolip.cli.main import main
from autolip.findings import Row
from autolip.values import Upper


@pytest.mark.parametrize("name", zoo.names())
def test_shipped_networks_get_a_bracket(name: str, run) -> None:
    near = ["--center", "example", "--radius", "0.1"] if "attention" in name else []
    ran = run("estimate", name, "--json", "--time-budget", "2s", *near)
    result = json.loads(ran.out)
    assert (ran.code, ran.err) == (0 if result["complete"] else 3, "")
    assert 0 < result["lower"]["value"] <= result["upper"]["value"] < float("inf")
    assert result["upper"]["certainty"] == "proved" or 0 < result["upper"]["delta"] <= 1e-9


def test_plain_text_when_not_a_terminal(run) -> None:
    ran = run("estimate", "digits-mlp")
    assert ran.code == 0
    assert "\x1b" not in ran.out
    assert ran.out.startswith("digits-mlp\n")
    assert " <= Lipschitz constant <= " in ran.out and "upper bound by lipsdp" in ran.out
    assert (
        "auto took lipsdp, the smallest of 6 bounds: 11% below autolip, 2.9% below rescaled"
        in ran.out
    )


def test_bracket_contains_a_known_constant(run, nets) -> None:
    """A linear map's constant is its largest singular value."""
    weight = torch.tensor([[3.0, 0.0], [4.0, 5.0]], dtype=torch.float64)
    torch.save(
        {"weight": weight}, nets("def net():\n    return nn.Linear(2, 2, bias=False)") / "w.pth"
    )
    ran = run(
        "estimate",
        "nets:net",
        "--input-shape",
        "2",
        "--weights",
        "w.pth",
        "--method",
        "autolip",
        "--json",
    )
    result = json.loads(ran.out)
    exact = 45**0.5
    assert result["lower"]["value"] <= exact * (1 + 1e-15) and result["upper"]["value"] >= exact * (
        1 - 1e-15
    )
    assert result["upper"]["value"] - result["lower"]["value"] < 1e-6
    assert result["assumptions"]["dtype"] == "float64"


@pytest.mark.slow
def test_region_and_output_narrow_the_bracket(run) -> None:
    def upper(*options: str) -> float:
        ran = run(
            "estimate",
            "digits-attention",
            "--method",
            "autolip",
            "--lower",
            "grid",
            "--json",
            *options,
        )
        return float(json.loads(ran.out)["upper"]["value"])

    near = upper("--center", "example", "--radius", "0.01")
    assert near < upper()
    assert upper("--center", "example", "--radius", "0.01", "--output", "3") < near


@pytest.mark.slow
def test_data_set_is_searched(run, tmp_path: Path) -> None:
    np.save(tmp_path / "digits.npy", zoo.digits()[:8].numpy())
    ran = run(
        "estimate", "digits-mlp", "--method", "autolip", "--data", tmp_path / "digits.npy", "--json"
    )
    rows = {row["method"]: row for row in json.loads(ran.out)["bounds"]}
    assert rows["dataset"]["kind"] == "lower" and rows["dataset"]["value"] > 0
    assert rows["ascent"]["kind"] == "lower"


def test_results_to_files(run, quick, tmp_path: Path) -> None:
    quick += ["--method", "autolip"]
    said = run("estimate", "digits-mlp", *quick, "-o", tmp_path / "r.json").out
    assert " <= Lipschitz constant <= " in said
    assert said.endswith(f"\nwritten: {tmp_path / 'r.json'}\n")
    assert json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["model"] == "digits-mlp"
    assert run("estimate", "digits-mlp", *quick, "-o", tmp_path / "r.txt").code == 0
    assert (tmp_path / "r.txt").read_text(encoding="utf-8").startswith("digits-mlp\n")


@pytest.mark.slow
def test_seed_makes_runs_repeat(run) -> None:
    def values() -> list[object]:
        result = json.loads(
            run("estimate", "digits-mlp", "--method", "rescaled", "--seed", "7", "--json").out
        )
        return [result["upper"]["value"], result["lower"]["value"], result["options"]["seed"]]

    assert values() == values()


def test_an_ended_budget_exits_with_3_and_what_is_known(
    run, quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = command._bracket
    monkeypatch.setattr(command, "_bracket", lambda *given: replace(honest(*given), complete=False))
    ran = run("estimate", "digits-mlp", *quick, "--time-budget", "60s")
    assert ran.code == 3
    assert " <= Lipschitz constant <= " in ran.out
    assert "the time budget ended early" in ran.out


def test_a_budget_that_is_over_at_once_still_gives_sound_bounds(run, quick) -> None:
    ran = run("estimate", "digits-mlp", "--time-budget", "0.000001", "--json")
    result = json.loads(ran.out)
    assert ran.code in (0, 3) and (ran.code == 3) == (not result["complete"])
    full = json.loads(run("estimate", "digits-mlp", *quick, "--json").out)
    if result["upper"] is not None:
        assert result["upper"]["value"] >= full["lower"]["value"]


def test_no_upper_bound_exits_with_2(run, quick, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = command._bracket
    monkeypatch.setattr(command, "_bracket", lambda *given: replace(honest(*given), upper=None))
    ran = run("estimate", "digits-mlp", *quick)
    assert ran.code == 2
    assert ran.err == "autolip: no upper bound: see the reasons above\n"


def test_interruption_exits_with_130(run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "_bracket", interrupted)
    assert run("estimate", "digits-mlp").code == 130


def test_without_a_model_the_shipped_networks_are_listed(run, golden) -> None:
    ran = run("estimate")
    assert ran.code == 0
    golden("estimate-list", ran.out)


@pytest.mark.parametrize(
    "page",
    [
        "",
        "estimate",
        "layers",
        "certify",
        "norm",
        "compare",
        "check",
        "reproduce",
        "sweep",
        "rules",
        "methods",
    ],
)
def test_help_is_golden(page: str, run, golden) -> None:
    ran = run(*page.split(), "--help")
    assert ran.code == 0
    golden(f"help-{page}" if page else "help", ran.out)


def test_rules_are_golden(run, golden) -> None:
    golden("rules", run("rules").out)


def test_methods_are_golden(run, golden) -> None:
    golden("methods", run("methods").out)


def test_version(run) -> None:
    from importlib.metadata import version

    assert run("--version").out == f"autolip {version('autolip')}\n"


def test_help_does_not_wait_for_torch() -> None:
    code = (
        "import sys; from autolip.cli.main import main; main(['--help']); main(['estimate', "
        "'--help']); "
    )
    code += "sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'rich')))"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode
        == 0
    )


@pytest.mark.slow
def test_as_a_program(tmp_path: Path) -> None:
    """The installed script: exit code and streams as they leave the process."""
    script = Path(sys.executable).parent / "autolip"
    ran = subprocess.run(
        [script, "estimate", tmp_path / "no.onnx"], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("autolip: ") and ran.stderr.count("\n") == 1


def test_progress_and_colours_only_on_a_terminal(
    nets, monkeypatch: pytest.MonkeyPatch, capfd
) -> None:
    """On a terminal the table is drawn by rich; the progress line goes to the standard error and is
    wiped."""
    nets("ready = nn.Linear(2, 2)")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    assert main(["estimate", "nets:ready", "--input-shape", "1,2"]) == 0
    captured = capfd.readouterr()
    assert "\x1b[1m" in captured.out and "─" in captured.out
    assert "lower bound: ascent" in captured.err  # what takes long enough to be drawn


def test_archive(run, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).eval()
    torch.export.save(torch.export.export(model, (torch.zeros(1, 3),)), tmp_path / "net.pt2")
    result = json.loads(
        run(
            "estimate", tmp_path / "net.pt2", "--method", "autolip", "--lower", "random", "--json"
        ).out
    )
    first, last = (
        torch.linalg.matrix_norm(layer.weight.double(), 2).item() for layer in (model[0], model[2])
    )
    assert result["lower"]["value"] <= result["upper"]["value"] <= first * last * (1 + 1e-6)


@pytest.mark.parametrize(("limit", "code"), [("1e9", 0), ("0.5", 1)])
def test_a_limit_for_continuous_integration(limit: str, code: int, run, quick) -> None:
    ran = run("estimate", "digits-mlp", *quick, "--method", "autolip", "--at-most", limit)
    assert ran.code == code and " <= Lipschitz constant <= " in ran.out
    assert ran.err == (
        "" if code == 0 else f"autolip: the upper bound is above --at-most {limit}\n"
    )


def test_a_limit_is_compared_as_it_is_written() -> None:
    """0.1 is less than the double that is nearest to it."""
    upper = Row("autolip", Upper(0.1))
    result = SimpleNamespace(upper=upper, rounding=None)
    nearest = upper.answer.value
    assert command._within(result, Decimal("0.1")) == 1  # type: ignore[arg-type]
    assert command._within(result, Decimal(nearest)) == 0  # type: ignore[arg-type]


def test_a_search_is_kept_beside_its_result(run, nets) -> None:
    """Gone where nothing is left to do; else the next run is to go on with it, or is refused."""
    folder = nets(
        "def net():\n    return nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))"
    )
    asked = ["estimate", "nets:net", "--input-shape", "1,2", "--method", "exact"]
    assert run(*asked, "-o", "x.json").code == 0 and not (folder / "x.json.tree").exists()
    assert run(*asked, "--output", "pairs", "-o", "x.txt").code == 0
    (folder / "x.json.tree").write_bytes(b"another file")
    again = run(*asked, "-o", "x.json")
    assert again.code == 2 and "x.json.tree is there already: resume to go on" in again.err
    damaged = run(*asked, "--resume", "x.json.tree")
    assert damaged.code == 2 and "damaged, or no tree of a search" in damaged.err
    wrong = run("estimate", "nets:net", "--input-shape", "1,2", "--resume", "x.json.tree")
    assert wrong.code == 2 and "--method exact" in wrong.err
