"""`autolip norm`: the table is the answer, so it goes to the standard output."""

import re
import sys

import pytest

NET = """
def build():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)).eval()
"""


def test_blocks_are_on_the_standard_output(run, nets) -> None:
    nets(NET)
    ran = run("norm", "nets:build", "--input-shape", "1,4")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.count("power method, 100 iterations") == 2 and "* dense" in ran.out


def test_the_last_block_is_read_at_the_output_asked_for(run, nets) -> None:
    """The norm of a row is its length."""
    nets(NET)
    ran = run("norm", "nets:build", "--input-shape", "1,4", "--output", "1")
    row = sys.modules["nets"].build()[2].weight[1].double().norm().item()
    last = ran.out.split("\n\n")[1]
    assert last.startswith("the chosen output: 1 x 3 -> 1")
    (value,) = re.findall(r"^\* \w+ +proved +(\S+)", last, re.MULTILINE)
    assert float(value) == pytest.approx(row, rel=1e-4)


def test_all_differences_have_no_one_norm(run, nets) -> None:
    nets(NET)
    ran = run("norm", "nets:build", "--input-shape", "1,4", "--output", "pairs")
    assert ran.code == 2 and "not of pairs" in ran.err
