"""`autolip certify`: what it prints, writes and refuses."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from autolip import zoo
from tests.cli.conftest import Ran

Run = Callable[..., Ran]


def test_a_shipped_network_needs_no_data(run: Run) -> None:
    ran = run("certify", "digits-mlp", "--radius", 0.3, "--first", 3)
    assert ran.code == 0 and not ran.err
    last = ran.out.strip().splitlines()[-1]
    assert "certified at l2 radius 0.3" in last and "accuracy 100%" in last


def test_files_and_layouts(run: Run, tmp_path: Path) -> None:
    """Channels last, flat, and pixels up to 16 behind --std 16: the same rows."""
    images, labels = zoo.held_out()
    x = images[:3].numpy()
    layouts = {"first": x, "last": np.moveaxis(x, 1, -1), "flat": x.reshape(3, -1), "whole": x * 16}
    rows = []
    for name, values in layouts.items():
        np.savez(tmp_path / f"{name}.npz", x=values, y=labels[:3])
        scaled = name == "whole"
        options = ("--radius", 4.8 if scaled else 0.3, *(("--std", 16) if scaled else ()))
        out = tmp_path / f"{name}.json"
        ran = run("certify", "digits-mlp", "--data", tmp_path / f"{name}.npz", *options, "-o", out)
        assert ran.code == 0 and "certified at" in ran.out
        stored = json.loads(out.read_text(encoding="utf-8"))
        rows.append([row["outcome"] for row in stored["samples"]])
    assert all(one == rows[0] for one in rows)


def test_no_labels_and_no_rounding(run: Run, tmp_path: Path) -> None:
    images, _ = zoo.held_out()
    np.savez(tmp_path / "x.npz", x=images[:1])
    ran = run(
        "certify", "digits-mlp", "--data", tmp_path / "x.npz", "--norm", "linf", "--clip", 0, 1,
        "--ignore-rounding", "--radius", 0.01,
    )  # fmt: skip
    assert ran.code == 0
    assert "the labels are the classes that the network gives" in ran.out
    assert "is left out" in ran.out


def test_boxes(run: Run, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=zoo.held_out()[0][1:3])
    asked = "certify", "digits-mlp", "--data", tmp_path / "x.npz", "--box"
    ran = run(*asked, 0.02)
    assert ran.code == 0 and "2 of 2 certified on their regions (100%)" in ran.out
    ran = run(*asked, "0.02,0.1")
    assert ran.code == 2 and "the box has 2 entries" in ran.err
    ran = run(*asked, 0.02, "--radius", 1)
    assert ran.code == 2 and "leave radius, largest and clip out" in ran.err


def test_the_time_of_each(run: Run) -> None:
    ran = run("certify", "digits-conv", "--radius", 0.4, "--first", 1, "--each", "0.0001s")
    assert ran.code == 3 and "1 open" in ran.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("digits-mlp", "--radius", "-1"), "finite number >= 0"),
        (("digits-mlp", "--mean", "a"), "no list of numbers"),
        (("digits-mlp", "--mean", "0.1,0.2"), "one for each channel"),
        (("digits-mlp", "-o", "found.xls"), "does not say its format"),
        (("no-such.onnx",), "cannot be read"),
        (("nets:build",), "give --data FILE.npz"),
    ],
)
def test_bad_input_is_one_sentence(run: Run, arguments: tuple[str, ...], said: str) -> None:
    ran = run("certify", *arguments)
    assert ran.code == 2 and said in ran.err and ran.err.count("\n") == 1


@pytest.mark.parametrize(
    ("samples", "labels", "said"),
    [
        (1.0, 1, r"have shape (): give samples along the first axis"),
        (np.zeros((0, 64)), np.zeros(0), r"have shape (0, 64): give samples"),
        (np.zeros((3, 64)), np.zeros(2), "there are 2 labels for 3 samples"),
        (np.zeros((3, 64)), 1, "there are 1 labels for 3 samples"),
        (np.full((3, 64), np.nan), np.zeros(3), "sample 0 has NaN or infinite entries"),
    ],
)
def test_odd_data(samples: object, labels: object, said: str, run: Run, tmp_path: Path) -> None:
    """All of it is looked at, whatever of it is asked for."""
    np.savez(tmp_path / "x.npz", x=samples, y=labels)
    ran = run("certify", "digits-mlp", "--data", tmp_path / "x.npz", "--radius", 1, "--first", 1)
    assert ran.code == 2 and said in ran.err and ran.err.count("\n") == 1


def test_data_that_is_none(run: Run, tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(b"no archive")
    ran = run("certify", "digits-mlp", "--data", tmp_path / "x.npz", "--radius", 1)
    assert ran.code == 2 and "no .npz file" in ran.err
    np.savez(tmp_path / "z.npz", z=np.zeros(3))
    ran = run("certify", "digits-mlp", "--data", tmp_path / "z.npz", "--radius", 1)
    assert ran.code == 2 and "name the samples x" in ran.err
