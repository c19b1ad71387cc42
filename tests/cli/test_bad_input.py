"""Bad input: one clear sentence on the standard error, exit code 2, never a traceback."""

import os
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
        "ready = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2, "
        "track_running_stats=False)).eval()",
        r"has no running statistics",
    ),
    "a shape that does not fit": (
        "ready = nn.Linear(4, 2)",
        r"cannot be exported: .*\[1, 3\] X \[4, 2\]",
    ),
    "data-dependent control flow": (
        "class Net(nn.Module):\n    def forward(self, x):\n        return x * 2 if "
        "x.sum() > 0 else x\nready = Net()",
        r"cannot be exported: its control flow depends on the data \(nets.py:6\); use torch.where",
    ),
    "mixed devices": (
        "ready = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2, device='meta'))",
        r"meta device",
    ),
    "an unsupported operation": (
        "class Net(nn.Module):\n    def forward(self, x):\n        return "
        "torch.lgamma(x)\nready = Net()",
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
    """One sentence: exit code 2, nothing printed as a result, the reason after the program's
    name."""
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
    "unknown network": (
        ["digits-cnv"],
        r"no network 'digits-cnv': did you mean 'digits-conv'\? give an .onnx",
    ),
    "unknown method": (
        ["digits-mlp", "--method", "magic"],
        r"no method 'magic': choose from .*autolip",
    ),
    "unknown search": (["digits-mlp", "--lower", "magic"], r"'magic': choose from .*ascent"),
    "unknown norm": (["digits-mlp", "--norm", "l3"], r"norm 'l3' is not known: write l1, l2, linf"),
    "three norms": (["digits-mlp", "--norm", "l2:l2:l2"], r"norm 'l2:l2:l2' is not known"),
    "unknown output": (
        ["digits-mlp", "--output", "best"],
        r"output 'best' is not known: write a component",
    ),
    "output out of range": (
        ["digits-mlp", "--output", "10"],
        r"output 10 does not exist: the network has 10",
    ),
    "difference with itself": (
        ["digits-mlp", "--output", "3-3"],
        r"difference of a component with itself",
    ),
    "delta of zero": (
        ["digits-mlp", "--delta", "0"],
        r"delta is 0.0: give a probability strictly between",
    ),
    "delta of one": (["digits-mlp", "--delta", "1"], r"delta is 1.0"),
    "NaN delta": (["digits-mlp", "--delta", "nan"], r"delta is nan"),
    "no number": (["digits-mlp", "--seed", "x"], r"Invalid value for '--seed'"),
    "negative budget": (["digits-mlp", "--time-budget", "-1"], r"'-1' is not a duration"),
    "bad shape": (["digits-mlp", "--input-shape", "1,a"], r"'1,a' is not a shape"),
    "wrong shape": (
        ["digits-mlp", "--input-shape", "1,3"],
        r"has shape \(1, 1, 8, 8\), not \(1, 3\)",
    ),
    "unknown input": (
        ["digits-mlp", "--input", "y"],
        r"there is no input 'y': the network has input",
    ),
    "unknown option": (["digits-mlp", "--norms", "l2"], r"No such option '?--norms"),
    "unknown ball": (
        ["digits-mlp", "--center", "example", "--radius", "1", "--ball", "l3"],
        r"'l3' is not one of",
    ),
    "negative radius": (
        ["digits-mlp", "--center", "example", "--radius", "-1"],
        r"radius is -1.0: give a finite",
    ),
    "infinite radius": (["digits-mlp", "--center", "example", "--radius", "inf"], r"radius is inf"),
    "half a ball": (["digits-mlp", "--radius", "1"], r"a ball needs both --center and --radius"),
    "two regions": (["digits-mlp", "--radius", "1", "--box", "b.npy"], r"--box: choose one region"),
    "a seed of 65 bits": (
        ["digits-mlp", "--seed", str(2**64)],
        r"seed is 18446744073709551616: give a whole number",
    ),
    "a delta of two": (["digits-mlp", "--delta", "2"], r"delta is 2.0"),
    "NaN radius": (
        ["digits-mlp", "--center", "example", "--radius", "nan"],
        r"radius is nan: give a finite number",
    ),
    "a huge radius": (["digits-mlp", "--center", "example", "--radius", "1e400"], r"radius is inf"),
    "a shape of 10^11": (
        ["nets:ready", "--input-shape", "99999999999"],
        r"has 1e\+11 numbers, more than an input may",
    ),
    "a misspelt method": (
        ["digits-mlp", "--method", "lipdsp"],
        r"no method 'lipdsp': did you mean 'lipsdp'\? choose",
    ),
    "no name": (["digits-mlp", "--box", ""], r"the name of the file is empty"),
    "no name to write to": (["digits-mlp", "-o", ""], r"the name of the file is empty"),
    "a name with a zero": (["digits-mlp", "--box", "b\0.npy"], r"b\\x00.npy is no name: it holds"),
    "a file with a zero": (["digits-mlp", "-o", "r\0.csv"], r"r\\x00.csv is no name: it holds"),
    "an infinite box": (["digits-mlp", "--box", "0:inf"], r"0:inf is no file: write ends such as"),
    "a large scale": (["digits-mlp", "--input-scale", "1e200"], r"1e200 is no file: write numbers"),
    "a centre in words": (["digits-mlp", "--center", "nan"], r"nan is no file: write numbers"),
    "no factory": (["nets:", "--input-shape", "1,3"], r"nets: names no model: write module:"),
    "an endless budget": (
        ["digits-mlp", "--time-budget", "9999999999h"],
        r"longer than thirty years",
    ),
    "no folder to write to": (["digits-mlp", "-o", "nowhere/result.json"], r"cannot be written"),
    "weights without a factory": (
        ["digits-mlp", "--weights", "w.pth"],
        r"weights go with a module:factory",
    ),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_options(case: str, run, nets) -> None:
    for name in ("b.npy", "w.pth"):
        (nets(LAYER) / name).touch()
    arguments, reason = OPTIONS[case]
    refused(run("estimate", *arguments), reason)


def test_unknown_command(run) -> None:
    refused(run("guess"), r"No such command '?guess")


@pytest.fixture
def odd(nets) -> Path:
    """The current folder, with files that are not what they seem."""
    folder = nets(LAYER)
    for name in ("dir.onnx", "dir.npy", "dir.json"):
        (folder / name).mkdir()
    for name in ("pipe.onnx", "pipe.npy", "pipe.vnnlib", "pipe.json"):
        os.mkfifo(folder / name)
    links = {
        "zero.npy": "/dev/zero",
        "zero.vnnlib": "/dev/zero",
        "zero.pt2": "/dev/zero",
        "loop.onnx": "loop.onnx",
    }
    for name, target in links.items():
        (folder / name).symlink_to(target)
    contents = {
        "a\nb.onnx": b"x",
        "\x1b[31m.onnx": b"x",
        "zip.npy": b"PK\x03\x04garbage",
        "huge.npy": _npy_header("(100000000000000,)"),
        "negative.npy": _npy_header("(-5,)"),
        "deep.vnnlib": b"(" * 10**5,
        "far.vnnlib": b"(assert (>= X_0 1e999999999)) (assert (<= X_0 1e999999999))",
        "binary.vnnlib": bytes(range(256)),
        "empty.vnnlib": b"",
        "nothing.vnnlib": b"(assert (>= X_0 1)) (assert (<= X_0 0))",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    np.save(folder / "bool.npy", np.zeros(3, dtype=bool))
    np.save(folder / "large.npy", np.full(3, 2**60))
    np.save(folder / "nan.npy", np.full(3, np.nan))
    np.save(folder / "dates.npy", np.zeros(3, dtype="M8[s]"))
    return folder


def _npy_header(shape: str) -> bytes:
    """The head of a .npy file that promises an array of doubles, without the doubles."""
    head = (
        f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode()
        + b"\n"
    )
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head


LAYER_OPTIONS = ["nets:ready", "--input-shape", "1,3"]
BALL = [*LAYER_OPTIONS, "--radius", "1", "--center"]
FILES = {
    "dir.onnx": (["dir.onnx"], r"dir.onnx cannot be read: it is a folder, give a file"),
    "pipe.onnx": (["pipe.onnx"], r"it is a pipe"),
    "zero.pt2": (["zero.pt2"], r"it is a device"),
    "loop.onnx": (["loop.onnx"], r"Too many levels of symbolic links"),
    "absent.onnx": (["absent.onnx"], r"absent.onnx cannot be read: No such file"),
    "a line break": (["a\nb.onnx"], r"a\\nb.onnx is not an ONNX file"),
    "a control character": (["\x1b[31m.onnx"], r"\\x1b\[31m.onnx is not an ONNX file"),
    "no name at all": ([""], r"no network ''"),
    "a long name": (["n" * 300 + ".onnx"], r"File name too long"),
    **{
        f"--box {name}": ([*LAYER_OPTIONS, "--box", name], reason)
        for name, reason in {
            "dir.npy": r"it is a folder",
            "pipe.npy": r"it is a pipe",
            "pipe.vnnlib": r"it is a pipe",
            "zero.npy": r"it is a device",
            "zero.vnnlib": r"it is a device",
            "zip.npy": r"zip.npy is not a .npy file of numbers",
            "huge.npy": r"huge.npy is not a .npy file",
            "negative.npy": r"negative.npy is not a .npy file",
            "deep.vnnlib": r"deep.vnnlib: VNN-LIB: brackets are nested deeper than 100",
            "far.vnnlib": r"1e999999999 is no decimal number",
            "binary.vnnlib": r"it is no text in UTF-8",
            "empty.vnnlib": r"there is no bound on an input",
            "nothing.vnnlib": r"nothing.vnnlib: the box is empty in 1 entries",
        }.items()
    },
    "a centre of truth values": (
        [*BALL, "bool.npy"],
        r"the ball's centre holds values of type bool",
    ),
    "a centre of large numbers": ([*BALL, "large.npy"], r"whole numbers above 2\^53"),
    "a centre of NaN": ([*BALL, "nan.npy"], r"centre has NaN or infinite entries"),
    "a centre of dates": ([*BALL, "dates.npy"], r"dates.npy holds datetime64"),
    "data of NaN": ([*LAYER_OPTIONS, "--data", "nan.npy"], r"nan.npy has NaN or infinite entries"),
    "an absent value": (
        [*LAYER_OPTIONS, "--fix", "x=absent.npy"],
        r"absent.npy cannot be read: No such file",
    ),
    "a folder of weights": ([*LAYER_OPTIONS, "--weights", "dir.npy"], r"it is a folder"),
    **{
        f"-o {name}": ([*LAYER_OPTIONS, "-o", name], reason)
        for name, reason in {
            "dir.json": r"dir.json cannot be written: it is a folder",
            "pipe.json": r"it is a pipe, give the name of a file",
            "nets.py/r.json": r"its folder does not exist",
            "/proc/r.json": r"/proc/r.json cannot be written",
            "r.xlsx": r"r.xlsx does not say its format: let the name end in .txt, .json, "
            r".csv, .html, .tex, .svg, .pdf, .png or .cert",
            "result": r"result does not say its format",
            "/dev/stdout": r"/dev/stdout does not say its format",
        }.items()
    },
    "two formats": ([*LAYER_OPTIONS, "--json", "-o", "r.txt"], r"--json and r.txt are two formats"),
}


@pytest.mark.parametrize("case", FILES)
def test_files_are_looked_at_before_the_work(
    case: str, run, odd: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments, reason = FILES[case]
    monkeypatch.setattr("autolip.capture.torch.export.export", lambda *_: pytest.fail("captured"))
    before = sorted(odd.iterdir())
    refused(run("estimate", *arguments), reason)
    assert sorted(odd.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["compare", *LAYER_OPTIONS, "--each", "0"], r"'0' is not a duration"),
        (
            ["compare", *LAYER_OPTIONS, "--figure", "x.pdf"],
            r"x.pdf does not say its format: let the name end in .png",
        ),
        (
            ["compare", *LAYER_OPTIONS, "--json", "x.txt"],
            r"x.txt does not say its format: let the name end in .json",
        ),
        (["compare", *LAYER_OPTIONS, "--output", "pairs"], r"a comparison is of one constant"),
        (["compare", *LAYER_OPTIONS, "--norm", "l9"], r"norm 'l9' is not known"),
        (["norm", *LAYER_OPTIONS, "--tolerance", "nan"], r"tolerance is nan"),
        (["norm", *LAYER_OPTIONS, "--delta", "2"], r"delta is 2.0"),
        (["norm", *LAYER_OPTIONS, "--seed", "-1"], r"seed is -1"),
        (["check", "pipe.json"], r"it is a pipe"),
        (["check", "zero.npy"], r"it is a device"),
        (["reproduce", "ideal", "--out", "nets.py"], r"nets.py cannot be written"),
        (["reproduce", "ideal", "--seed", str(2**63)], r"seed is"),
        (["estimat"], r"No such command 'estimat'. Did you mean 'estimate'\?"),
    ],
    ids=" ".join,
)
def test_other_commands(
    arguments: list[str], reason: str, run, odd: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autolip.capture.torch.export.export", lambda *_: pytest.fail("captured"))
    refused(run(*arguments), reason)


def test_a_network_without_affine_blocks_has_no_norms(run, nets) -> None:
    nets("ready = nn.Tanh()")
    refused(run("norm", "nets:ready", "--input-shape", "1,3"), r"the network has no affine block")


@pytest.mark.parametrize("name", ["result.csv", "result.html", "RESULT.JSON", "result.txt"])
def test_the_name_says_the_format(name: str, run, nets) -> None:
    folder = nets("ready = nn.Linear(3, 2)")
    starts = {"csv": "model,", "html": "<!doctype html>", "json": "{", "txt": "nets:ready\n"}
    ran = run("estimate", *LAYER_OPTIONS, "--method", "autolip", "--lower", "random", "-o", name)
    assert (ran.code, ran.err) == (0, "") and ran.out.endswith(f"\nwritten: {name}\n")
    assert (
        (folder / name)
        .read_text(encoding="utf-8")
        .startswith(starts[name.lower().partition(".")[2]])
    )


def test_boxes_joined_by_or_are_said(run, nets) -> None:
    boxes = " ".join(
        f"(and {' '.join(f'(>= X_{i} {low}) (<= X_{i} {low + 1})' for i in range(3))})"
        for low in (0, 5)
    )
    (nets(LAYER) / "or.vnnlib").write_text(f"(assert (or {boxes}))", encoding="utf-8")
    ran = run(
        "estimate", *LAYER_OPTIONS, "--method", "autolip", "--lower", "random", "--box", "or.vnnlib"
    )
    assert ran.code == 0
    assert "or.vnnlib joins 2 boxes by `or`: the region is the box around all of them" in ran.out
    assert "box of 3 coordinates, 6 to 6 wide" in ran.out


@pytest.mark.parametrize("name", ["net.onnx", "net.pt2"])
@pytest.mark.parametrize("content", [b"", b"\x00\x01 damaged", b"PK\x03\x04"])
def test_empty_and_corrupt_files(name: str, content: bytes, run, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    refused(run("estimate", tmp_path / name), rf"{name} is not an? ")


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize("content", [b"", b"damaged"])
def test_empty_and_corrupt_weights(name: str, content: bytes, run, nets) -> None:
    (nets(LAYER) / name).write_bytes(content)
    refused(
        run("estimate", "nets:ready", "--input-shape", "1,3", "--weights", name),
        rf"{name} .*(weights|damaged)",
    )


def test_a_pickle_where_weights_were_expected(run, nets) -> None:
    folder = nets(LAYER)
    (folder / "w.pth").write_bytes(
        pickle.dumps({"weight": {1, 2, 3}, "executed": print}, protocol=2)
    )
    torch.save(nn.Linear(3, 2), folder / "model.pth")
    for name in ("w.pth", "model.pth"):
        ran = run("estimate", "nets:ready", "--input-shape", "1,3", "--weights", name)
        refused(ran, rf"{name} holds pickled Python objects.*save model.state_dict\(\)")


def test_weights_of_another_network(run, nets) -> None:
    torch.save({"weight": torch.zeros(2, 4), "scale": torch.zeros(1)}, nets(LAYER) / "w.pth")
    ran = run("estimate", "nets:ready", "--input-shape", "1,3", "--weights", "w.pth")
    refused(
        ran,
        r"lacks bias; it has no place for scale; it has the shapes weight \(2, 4\) for \(2, 3\)",
    )


def test_integer_input(run, nets) -> None:
    program = torch.export.export(nn.Embedding(4, 2), (torch.zeros(1, 3, dtype=torch.long),))
    torch.export.save(program, nets("") / "net.pt2")
    refused(
        run("estimate", "net.pt2"),
        r"is torch.int64: a Lipschitz constant needs a floating-point input",
    )


def test_regions_of_another_size(run, tmp_path: Path) -> None:
    np.save(tmp_path / "c.npy", np.zeros(3))
    np.save(tmp_path / "b.npy", np.stack([np.zeros(3), np.ones(3)]))
    np.save(tmp_path / "empty.npy", np.stack([np.ones(64), np.zeros(64)]))
    refused(
        run("estimate", "digits-mlp", "--center", tmp_path / "c.npy", "--radius", 1),
        r"the ball has 3 entries",
    )
    refused(run("estimate", "digits-mlp", "--box", tmp_path / "b.npy"), r"the box has 3 entries")
    refused(
        run("estimate", "digits-mlp", "--box", tmp_path / "empty.npy"),
        r"the box is empty in 64 entries",
    )


def test_data_of_another_size(run, tmp_path: Path) -> None:
    np.save(tmp_path / "d.npy", np.zeros((5, 3)))
    refused(
        run("estimate", "digits-mlp", "--data", tmp_path / "d.npy"),
        r"each row must be an input of shape",
    )


@pytest.mark.parametrize(
    "body",
    [
        "torch.ones(2)",
        "self.layer(torch.ones(3)).detach()",
        "x.detach().new_zeros(4)",
        "torch.zeros_like(x)",
    ],
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
    """In a process of its own: PyTorch's loggers hold the standard error that they found at
    import."""
    folder = nets("ready = nn.Linear(4, 2).eval()")
    code = "import sys; from autolip.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "estimate", "nets:ready", "--input-shape", "1,3"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ran.returncode == 2 and ran.stdout == ""
    assert (
        ran.stderr.startswith("autolip: the model cannot be exported")
        and ran.stderr.count("\n") == 1
    )
