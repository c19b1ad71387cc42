"""Questions on the command line: several inputs that vary together.

Covers autolip.cli.network and autolip.cli.recapture, where they read and compare them.
"""

import json
from pathlib import Path

import pytest

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
