"""Questions on the command line: several inputs that vary together, lengths in units.

Covers autolip.cli.arrays, and autolip.cli.network and autolip.cli.recapture, where they read and
compare them.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from autolip.cli.arrays import scale_of
from autolip.errors import InputError

TWO = """
class Two(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = nn.Linear(3, 6), nn.Linear(2, 6)

    def forward(self, x, state, scale=1.0):
        return torch.relu(self.a(x) + self.b(state)) * scale

def build():
    return Two().eval()
"""
SHAPES = ("--input-shape", "x=1,3", "--input-shape", "state=1,2")
TOGETHER = ("--varying", "x", "--varying", "state")


def test_inputs_vary_together_in_a_region_each(run, nets, tmp_path: Path) -> None:
    nets(TWO)
    asked = ("estimate", "nets:build", *SHAPES, *TOGETHER, "--lower", "random")
    found = run(*asked)
    assert found.code == 0, found.err
    assert "vary together: x (1, 3), state (1, 2); their l2 norm is that of all 5" in found.out
    parts = [
        {"input": "x", "shape": [1, 3], "region": {"kind": "box", "lo": 0.0, "hi": 1.0}},
        {
            "input": "state",
            "shape": [1, 2],
            "region": {"kind": "ball", "norm": "l1", "radius": 0.5, "center": [0.0, 0.0]},
        },
    ]
    file = tmp_path / "region.json"
    file.write_text(json.dumps({"kind": "product", "parts": parts}))
    inside = run(*asked, "--region", file, "--json")
    assert inside.code == 0, inside.err
    result = json.loads(inside.out)
    assert [part["input"] for part in result["region"]["parts"]] == ["x", "state"]
    inputs = result["assumptions"]["inputs"]
    assert inputs == [{"name": "x", "shape": [1, 3]}, {"name": "state", "shape": [1, 2]}]
    parts[0]["input"] = "y"
    file.write_text(json.dumps({"kind": "product", "parts": parts}))
    odd = run(*asked, "--region", file)
    assert odd.code == 2 and "there is a region for the input 'y'" in odd.err


@pytest.mark.parametrize("region", [(), ("--box", "0:1"), ("--center", "0", "--radius", "0.1")])
def test_a_certificate_names_the_inputs(run, nets, tmp_path: Path, region: tuple) -> None:
    nets(TWO)
    file = tmp_path / "two.cert"
    asked = ("estimate", "nets:build", *SHAPES, *TOGETHER, *region, "--method", "lipsdp")
    assert run(*asked, "--lower", "random", "-o", file).code == 0
    found = run("check", file, "--model", "nets:build")
    assert found.code == 0, found.err
    assert "captured again" in found.out
    other = run("check", file, "--model", "nets:build", *SHAPES, "--varying", "x")
    assert other.code == 1 and "the input has shape [5]" in other.err


ONE = """
def build():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 2)).eval()
"""
ASKED = ("nets:build", "--input-shape", "1,3", "--method", "autolip", "--lower", "random")


def test_units_are_numbers_or_files(run, nets, tmp_path: Path) -> None:
    nets(ONE)
    np.save(tmp_path / "units.npy", np.array([0.5, 2.0, 4.0]))
    np.savez(tmp_path / "units.npz", np.array([0.5, 2.0, 4.0]))
    (tmp_path / "units.csv").write_text("0.5, 2.0\n4\n")
    given = ["0.5,2,4", *(str(tmp_path / f"units.{end}") for end in ("npy", "npz", "csv"))]
    found = [run("estimate", *ASKED, "--input-scale", one, "--json") for one in given]
    values = [json.loads(one.out)["upper"]["value"] for one in found]
    assert len(set(values)) == 1
    assert json.loads(found[0].out)["norm"]["input_scale"] == [0.5, 2.0, 4.0]
    plain = json.loads(run("estimate", *ASKED, "--json").out)["upper"]["value"]
    halved = run("estimate", *ASKED, "--output-scale", "2", "--json").out
    assert json.loads(halved)["upper"]["value"] == pytest.approx(plain / 2)


def test_a_ball_has_units_of_its_own(run, nets) -> None:
    nets(ONE)
    ball = ("--center", "0", "--radius", "0.1", "--ball-scale", "1,2,3")
    found = run("estimate", *ASKED, *ball, "--json")
    assert found.code == 0, found.err
    region = json.loads(found.out)["region"]
    assert region["kind"] == "scaled ball" and region["scale"] == [1.0, 2.0, 3.0]
    alone = run("estimate", *ASKED, "--ball-scale", "1,2,3")
    assert alone.code == 2 and "a ball needs both --center and --radius" in alone.err


def test_units_of_each_of_several_inputs(run, nets, tmp_path: Path) -> None:
    nets(TWO)
    np.savez(tmp_path / "units.npz", x=np.array([1.0, 2.0, 3.0]), state=np.array(0.5))
    asked = ("estimate", "nets:build", *SHAPES, *TOGETHER, "--lower", "random")
    found = run(*asked, "--input-scale", tmp_path / "units.npz", "--json")
    assert found.code == 0, found.err
    assert json.loads(found.out)["norm"]["input_scale"] == [1.0, 2.0, 3.0, 0.5, 0.5]


def test_a_certificate_in_units_is_that_of_its_model(run, nets, tmp_path: Path) -> None:
    nets(ONE)
    file = tmp_path / "units.cert"
    scales = ("--input-scale", "0.5,2,4", "--output-scale", "0.3,7")
    for output in ((), ("--output", "0-1")):
        assert run("estimate", *ASKED, *scales, *output, "-o", file).code == 0
        found = run("check", file, "--model", "nets:build")
        assert found.code == 0, found.err
        assert "||(x - y) / [0.5, 2.0, 4.0]||_l2" in found.out


def test_units_are_asked_for_by_every_command_that_brackets(run, nets, tmp_path: Path) -> None:
    nets(ONE)
    table = tmp_path / "questions.csv"
    table.write_text("name,method,lower,input_scale\na,autolip,random,0.5 2 4\n")
    assert "of x / input_scale" in run("sweep", "nets:build", table, "--input-shape", "1,3").out
    assert "of x / input_scale" in run("layers", *ASKED[:3], "--input-scale", "0.5").out
    each = ("compare", *ASKED[:3], "--input-scale", "0.5", "--each", "2s")
    assert "of x / input_scale" in run(*each).out


@pytest.mark.parametrize(
    ("scale", "sentence"),
    [("0", "give numbers between"), ("1,2", "does not fit"), ("none.npy", "none.npy")],
)
def test_what_are_no_units_is_a_sentence(run, nets, scale: str, sentence: str) -> None:
    nets(ONE)
    found = run("estimate", *ASKED, "--input-scale", scale)
    assert found.code == 2 and sentence in found.err


def test_files_without_numbers_are_refused(tmp_path: Path) -> None:
    for name, content in (("a.csv", b"one,two"), ("a.npz", b"PK"), ("b.csv", b"")):
        file = tmp_path / name
        file.write_bytes(content)
        with pytest.raises(InputError, match=name):
            scale_of(file)


def test_outputs_are_matrices_and_layers_too(run, nets, tmp_path: Path) -> None:
    nets(ONE)
    np.save(tmp_path / "map.npy", np.array([[1.0, -1.0]]))
    found = [
        json.loads(run("estimate", *ASKED, "--output", one, "--json").out)["upper"]["value"]
        for one in (str(tmp_path / "map.npy"), "[1,-1]", "0-1")
    ]
    assert found[0] == found[1] == found[2]
    layer = run("estimate", *ASKED, "--output", "layer:0")
    assert "Lipschitz constant of layer 0" in layer.out
    part = run("estimate", *ASKED, "--layer", "0", "--output", "4")
    assert part.code == 0 and "what layer 0 returns" in part.out
    assert "of layer 0" in run("layers", *ASKED[:3], "--output", "layer:0").out
    odd = run("estimate", *ASKED, "--output", "layer:9")
    assert odd.code == 2 and "the model has no layer '9'" in odd.err


@pytest.mark.parametrize(
    "asked", [("--output", "layer:0"), ("--layer", "0", "--output", "3"), ("--output", "[1,2]")]
)
def test_a_certificate_says_which_output(run, nets, tmp_path: Path, asked: tuple) -> None:
    nets(ONE)
    file = tmp_path / "output.cert"
    assert run("estimate", *ASKED, *asked, "-o", file).code == 0
    found = run("check", file, "--model", "nets:build")
    assert found.code == 0, found.err
