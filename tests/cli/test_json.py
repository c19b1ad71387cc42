"""docs/json.md describes every field of the JSON form, and nothing else."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from autolip.cli.main import main

DOCUMENT = Path(__file__).parents[2] / "docs" / "json.md"
KINDS = {
    "string": str,
    "number": (int, float),
    "object": dict,
    "boolean": bool,
    "list of numbers": list,
    "list of strings": list,
    "list of objects": list,
    "null": type(None),
}
REPEATED = {
    "pairs[].upper": "upper",
    "pairs[].lower": "lower",
    "region.parts[].region": "region",
}
"""Fields said to have the form of another one."""
FREE = {"assumptions.fixed", "provenance.files"}
"""Objects whose keys are the user's names."""


def documented() -> dict[str, str]:
    """Type of every field in the page's table."""
    return dict(
        re.findall(
            r"^\| `([^`]+)` \| ([^|]+?) \|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE
        )
    )


def fields(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every field of a JSON value with its path, as the page writes it."""
    if isinstance(value, dict) and path not in FREE:
        for key, inner in value.items():
            here = f"{path}.{key}" if path else key
            yield here, inner
            yield from fields(inner, REPEATED.get(here, here))
    elif isinstance(value, list):
        for inner in value:
            yield from fields(inner, f"{path}[]")


def fits(value: Any, kind: str) -> bool:
    """Whether a value has the documented type: alternatives are joined by `or` and commas."""
    options = [option.strip() for option in re.split(r",| or ", kind)]
    if '"inf"' in options and value == "inf":
        return True
    return any(
        isinstance(value, KINDS[option]) and (option == "boolean" or not isinstance(value, bool))
        for option in options
        if option != '"inf"'
    )


CODE = """
import torch
from torch import nn

class Net(nn.Module):
    def forward(self, x, state):
        return torch.cat([torch.tanh(x), state], 1)

class Step(nn.Module):
    def forward(self, x):
        return torch.sign(x)

class Grid(nn.Module):
    def forward(self, x):
        return torch.clamp(torch.round(4 * x), -8, 7)

class Twice(nn.Module):
    def forward(self, x):
        return x, 2 * x

def linear():
    return nn.Linear(3, 2).eval()

class Zero(nn.Module):
    def forward(self, x):
        return torch.zeros(2)
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[dict[str, Any]]]:
    """One result of every form: regions, outputs, refusals, infinities, several inputs."""
    folder = tmp_path_factory.mktemp("json")
    (folder / "forms.py").write_text(CODE, encoding="utf-8")
    np.save(folder / "box.npy", np.stack([np.zeros(3), np.ones(3)]))
    box = {"kind": "box", "lo": 0.0, "hi": 1.0}
    part = {"input": "state", "shape": [1, 2], "region": box}
    product = json.dumps({"kind": "product", "parts": [part]})
    (folder / "product.json").write_text(product, encoding="utf-8")
    save_file({"weight": torch.ones(2, 3), "bias": torch.ones(2)}, folder / "linear.safetensors")
    two = ("forms:Net", "--input-shape", "1,3", "--input-shape", "state=1,2")
    calls = [
        two,
        (*two, "--output", "pairs"),
        (*two, "--box", "box.npy"),
        (*two, "--varying", "x", "--varying", "state", "--region", "product.json"),
        ("forms:Step", "--input-shape", "1,3", "--lower", "ascent", "--lower", "dataset"),
        ("forms:Grid", "--input-shape", "1,3"),
        ("forms:Zero", "--input-shape", "1,3"),
        ("digits-mlp", "--output", "layer:1"),
        (
            *("forms:linear", "--input-shape", "1,3", "--weights", "linear.safetensors"),
            *("--input-scale", "1,2,3", "--output-scale", "0.5"),
            *("--center", "0", "--radius", "1", "--ball-scale", "1,2,3"),
        ),
        ("forms:linear", "--input-shape", "1,3", "--weights", "linear.safetensors"),
        ("forms:Twice", "--input-shape", "1,3", "--outputs", "1"),
        (
            "digits-mlp",
            "--center",
            "example",
            "--radius",
            "0.1",
            "--norm",
            "linf:l2",
            "--ball",
            "linf",
        ),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "path", list(sys.path))
        for number, call in enumerate(calls):
            search = () if "--lower" in call else ("--lower", "random")
            assert main(
                ["estimate", *call, *search, "--method", "autolip", "-o", f"{number}.json"]
            ) in (0, 2)
        yield [
            json.loads((folder / f"{number}.json").read_text(encoding="utf-8"))
            for number in range(len(calls))
        ]
        sys.modules.pop("forms", None)


@pytest.mark.slow
def test_every_field_is_documented_with_its_type_and_every_documented_one_occurs(results) -> None:
    kinds, seen = documented(), set()
    for result in results:
        for path, value in fields(result):
            assert path in kinds, f"{path} is not documented"
            assert fits(value, kinds[path]), f"{path} is {value!r}, documented as {kinds[path]}"
            seen.add(path)
    assert kinds.keys() == seen


@pytest.mark.slow
def test_the_version_is_the_documented_one(results) -> None:
    from autolip.findings import SCHEMA

    assert {result["schema"] for result in results} == {SCHEMA}
    assert f"This page is version {SCHEMA} of it" in DOCUMENT.read_text(encoding="utf-8")


@pytest.mark.slow
def test_infinity_is_a_string(results) -> None:
    assert results[4]["upper"]["value"] == "inf"
    assert any("aten.sign" in note for row in results[4]["bounds"] for note in row["notes"])


def test_what_the_model_prints_is_no_part_of_the_answer(nets: Any, run: Any) -> None:
    nets(
        "print('imported')\n"
        "class Loud(nn.Module):\n"
        "    def forward(self, x):\n"
        "        print('running')\n"
        "        return 2 * x\n"
        "build = Loud"
    )
    ran = run(
        "estimate",
        "nets:build",
        "--input-shape",
        "1,2",
        "--method",
        "autolip",
        "--lower",
        "random",
        "--json",
    )
    assert ran.code == 0 and json.loads(ran.out)["upper"]["value"] == 2.0
    assert "imported" in ran.err and "running" in ran.err
