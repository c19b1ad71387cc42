"""Bad input: one clear sentence on the standard error, exit code 2, never a traceback."""

import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

LAYER = "ready = nn.Linear(3, 2)"

NETWORKS = {
    "NaN weights": (
        "ready = nn.Linear(3, 2)\nready.weight.data[0, 0] = float('nan')",
        r"weights weight have 1 NaN or infinite entries: repair or retrain the model",
    ),
    "infinite weights": (
        "ready = nn.Linear(3, 2)\nready.bias.data[:] = float('inf')",
        r"weights bias have 2 NaN or infinite entries",
    ),
    "batch norm in training mode": (
        "ready = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))",
        r"1 \(BatchNorm1d\) is in training mode: call model.eval\(\) first",
    ),
    "dropout in training mode": (
        "ready = nn.Sequential(nn.Linear(3, 2), nn.Dropout())",
        r"1 \(Dropout\) is in training mode",
    ),
    "batch statistics": (
        "ready = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2, track_running_stats=False)).eval()",
        r"has no running statistics",
    ),
    "a shape that does not fit": ("ready = nn.Linear(4, 2)", r"cannot be exported: .*\[1, 3\] X \[4, 2\]"),
    "data-dependent control flow": (
        "class Net(nn.Module):\n    def forward(self, x):\n        return x * 2 if x.sum() > 0 else x\nready = Net()",
        r"cannot be exported: its control flow depends on the data \(nets.py:6\); use torch.where",
    ),
    "mixed devices": (
        "ready = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2, device='meta'))",
        r"meta device",
    ),
    "an unsupported operation": (
        "class Net(nn.Module):\n    def forward(self, x):\n        return torch.lgamma(x)\nready = Net()",
        r"no rule for 1 operation:\n  aten.lgamma.default at the model itself \(nets.py:6\)\n.*",
    ),
    "a network that returns nothing": (
        "class Net(nn.Module):\n    def forward(self, x):\n        return None\nready = Net()",
        r"returns no tensor",
    ),
    "a network that changes its input": (
        "class Net(nn.Module):\n    def forward(self, x):\n        return x.mul_(2)\nready = Net()",
        r"changes its input",
    ),
}


def refused(ran, reason: str) -> None:
    """One sentence: exit code 2, nothing printed as a result, the reason after the program's name."""
    assert (ran.code, ran.out) == (2, "")
    assert re.fullmatch(rf"autolip: .*{reason}.*\n", ran.err), ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("case", NETWORKS)
def test_networks(case: str, run, nets: Callable[[str], Path]) -> None:
    code, reason = NETWORKS[case]
    nets(code)
    refused(run("estimate", "nets:ready", "--input-shape", "1,3"), reason)


def test_training_mode_is_cured_by_eval(run, nets) -> None:
    nets("ready = nn.Sequential(nn.Linear(3, 2), nn.Dropout())")
    assert run("estimate", "nets:ready", "--input-shape", "1,3", "--eval").code == 0


OPTIONS = {
    "unknown network": (["digits-cnv"], r"no network 'digits-cnv': give an .onnx or .pt2 file"),
    "unknown method": (["digits-mlp", "--method", "magic"], r"no method 'magic': choose from .*autolip"),
    "unknown search": (["digits-mlp", "--lower", "magic"], r"'magic': choose from .*ascent"),
    "unknown norm": (["digits-mlp", "--norm", "l3"], r"norm 'l3' is not known: write l1, l2, linf"),
    "three norms": (["digits-mlp", "--norm", "l2:l2:l2"], r"norm 'l2:l2:l2' is not known"),
    "unknown output": (["digits-mlp", "--output", "best"], r"output 'best' is not known: write all, pairs"),
    "output out of range": (["digits-mlp", "--output", "10"], r"output 10 does not exist: the network has 10"),
    "difference with itself": (["digits-mlp", "--output", "3-3"], r"difference of a component with itself"),
    "delta of zero": (["digits-mlp", "--delta", "0"], r"delta is 0.0: give a probability strictly between"),
    "delta of one": (["digits-mlp", "--delta", "1"], r"delta is 1.0"),
    "NaN delta": (["digits-mlp", "--delta", "nan"], r"delta is nan"),
    "no number": (["digits-mlp", "--seed", "x"], r"Invalid value for '--seed'"),
    "negative budget": (["digits-mlp", "--time-budget", "-1"], r"'-1' is not a duration"),
    "bad shape": (["digits-mlp", "--input-shape", "1,a"], r"'1,a' is not a shape"),
    "wrong shape": (["digits-mlp", "--input-shape", "1,3"], r"has shape \(1, 1, 8, 8\), not \(1, 3\)"),
    "unknown input": (["digits-mlp", "--input", "y"], r"there is no input 'y': the network has input"),
    "unknown option": (["digits-mlp", "--norms", "l2"], r"No such option '?--norms"),
    "unknown ball": (["digits-mlp", "--center", "example", "--radius", "1", "--ball", "l1"], r"'l1' is not one of"),
    "negative radius": (["digits-mlp", "--center", "example", "--radius", "-1"], r"radius is -1.0: give a finite"),
    "infinite radius": (["digits-mlp", "--center", "example", "--radius", "inf"], r"radius is inf"),
    "half a ball": (["digits-mlp", "--radius", "1"], r"a ball needs both --center and --radius"),
    "two regions": (["digits-mlp", "--radius", "1", "--box", "b.npy"], r"two regions: choose one"),
    "no folder to write to": (["digits-mlp", "-o", "nowhere/result.json"], r"cannot be written"),
    "weights without a factory": (["digits-mlp", "--weights", "w.pth"], r"weights go with a module:factory"),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_options(case: str, run, nets) -> None:
    for name in ("b.npy", "w.pth"):
        (nets(LAYER) / name).touch()
    arguments, reason = OPTIONS[case]
    refused(run("estimate", *arguments), reason)


def test_unknown_command(run) -> None:
    refused(run("guess"), r"No such command '?guess")


@pytest.mark.parametrize("name", ["net.onnx", "net.pt2"])
@pytest.mark.parametrize("content", [b"", b"\x00\x01 damaged", b"PK\x03\x04"])
def test_empty_and_corrupt_files(name: str, content: bytes, run, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    refused(run("estimate", tmp_path / name), rf"{name} is not an? ")


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize("content", [b"", b"damaged"])
def test_empty_and_corrupt_weights(name: str, content: bytes, run, nets) -> None:
    (nets(LAYER) / name).write_bytes(content)
    refused(run("estimate", "nets:ready", "--input-shape", "1,3", "--weights", name), rf"{name} .*(weights|damaged)")


def test_a_pickle_where_weights_were_expected(run, nets) -> None:
    folder = nets(LAYER)
    (folder / "w.pth").write_bytes(pickle.dumps({"weight": {1, 2, 3}, "executed": print}, protocol=2))
    torch.save(nn.Linear(3, 2), folder / "model.pth")
    for name in ("w.pth", "model.pth"):
        ran = run("estimate", "nets:ready", "--input-shape", "1,3", "--weights", name)
        refused(ran, rf"{name} holds pickled Python objects.*save model.state_dict\(\)")


def test_weights_of_another_network(run, nets) -> None:
    torch.save({"weight": torch.zeros(2, 4), "scale": torch.zeros(1)}, nets(LAYER) / "w.pth")
    ran = run("estimate", "nets:ready", "--input-shape", "1,3", "--weights", "w.pth")
    refused(ran, r"lacks bias; it has no place for scale; it has the shapes weight \(2, 4\) for \(2, 3\)")


def test_integer_input(run, nets) -> None:
    program = torch.export.export(nn.Embedding(4, 2), (torch.zeros(1, 3, dtype=torch.long),))
    torch.export.save(program, nets("") / "net.pt2")
    refused(run("estimate", "net.pt2"), r"is torch.int64: a Lipschitz constant needs a floating-point input")


def test_regions_of_another_size(run, tmp_path: Path) -> None:
    np.save(tmp_path / "c.npy", np.zeros(3))
    np.save(tmp_path / "b.npy", np.stack([np.zeros(3), np.ones(3)]))
    np.save(tmp_path / "empty.npy", np.stack([np.ones(64), np.zeros(64)]))
    refused(run("estimate", "digits-mlp", "--center", tmp_path / "c.npy", "--radius", 1), r"the ball has 3 entries")
    refused(run("estimate", "digits-mlp", "--box", tmp_path / "b.npy"), r"the box has 3 entries")
    refused(run("estimate", "digits-mlp", "--box", tmp_path / "empty.npy"), r"the box is empty in 64 entries")


def test_data_of_another_size(run, tmp_path: Path) -> None:
    np.save(tmp_path / "d.npy", np.zeros((5, 3)))
    refused(run("estimate", "digits-mlp", "--data", tmp_path / "d.npy"), r"each row must be an input of shape")


@pytest.mark.parametrize(
    "body", ["torch.ones(2)", "self.layer(torch.ones(3)).detach()", "x.detach().new_zeros(4)", "torch.zeros_like(x)"]
)
def test_a_network_that_ignores_its_input_has_the_constant_zero(body: str, run, nets) -> None:
    nets(
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.layer = nn.Linear(3, 2)\n"
        f"    def forward(self, x):\n        return {body}\n"
        "ready = Net()"
    )
    ran = run("estimate", "nets:ready", "--input-shape", "1,3")
    assert (ran.code, ran.err) == (0, "")
    assert "0 <= Lipschitz constant <= 0 (l2 -> l2, everywhere)" in ran.out
    assert "the output does not depend on the input" in ran.out


@pytest.mark.slow
def test_the_exporter_does_not_log_beside_the_sentence(nets) -> None:
    """In a process of its own: PyTorch's loggers hold the standard error that they found at import."""
    folder = nets("ready = nn.Linear(4, 2).eval()")
    code = "import sys; from autolip.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "estimate", "nets:ready", "--input-shape", "1,3"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ran.returncode == 2 and ran.stdout == ""
    assert ran.stderr.startswith("autolip: the model cannot be exported") and ran.stderr.count("\n") == 1
