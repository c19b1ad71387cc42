"""What a result keeps when it is pickled, and how it is seen."""

import doctest
import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

import autolip.result
from autolip import Ball, InputError, Result, lipschitz


def test_a_pickled_result_keeps_its_numbers_and_its_witness() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).eval()
    result = lipschitz(model, torch.zeros(1, 3), method="autolip", lower="random", output="pairs")
    again = pickle.loads(pickle.dumps(result))
    assert repr(again) == repr(result) and again.to_dict() == result.to_dict()
    assert torch.equal(again.lower.witness.x, result.lower.witness.x)
    with pytest.raises(InputError, match="without a certificate"):
        again.certificate()


@pytest.mark.parametrize("output", ["all", "pairs", "0-1"])
def test_a_result_comes_back_from_its_file(output: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).eval()
    asked = {"region": Ball(torch.zeros(1, 3), 0.5), "norm": "linf:l2", "output": output}
    result = lipschitz(model, torch.zeros(1, 3), method=["autolip", "frobenius"], **asked)
    result.save(tmp_path / "result.json")
    again = Result.load(tmp_path / "result.json")
    assert repr(again) == repr(result) and again.to_dict() == result.to_dict()
    assert torch.equal(again.lower.witness.y, result.lower.witness.y)
    again.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text() == (tmp_path / "result.json").read_text()
    with pytest.raises(InputError, match="without a certificate"):
        again.certificate()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is no JSON"),
        ("[" * 10**5, "is no JSON"),
        ("[]", "holds no result"),
        ("{}", "no result of schema 1"),
        ('{"schema": 1}', "damaged: KeyError"),
        ('{"schema": 1, "bounds": [], "norm": {"input": "l7", "output": "l2"}}', "damaged"),
    ],
)
def test_what_is_no_result_is_refused(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(InputError, match=said):
        Result.load(tmp_path / "r.json")


def test_without_an_upper_bound_layers_are_those_of_a_product() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).eval()
    asked = {"lower": "random", "seed": 0}
    bounded = lipschitz(model, torch.zeros(1, 3), method="autolip", **asked)
    found = lipschitz(model, torch.zeros(1, 3), method=[], **asked)
    assert found.upper is None and len(found.layer_list) == 3
    assert found.layer_list[-1].bound == pytest.approx(bounded.upper.value)
    assert found.layer_list[-1].attained == pytest.approx(found.lower.value, rel=1e-6)


def test_the_name_says_the_format(tmp_path: Path) -> None:
    result = lipschitz(nn.Linear(2, 2).eval(), torch.zeros(1, 2), method="autolip", lower="random")
    result.save(tmp_path / "bound.cert")
    result.save(tmp_path / "table.TEX")
    assert (tmp_path / "table.TEX").read_text() == result.to_latex()
    with pytest.raises(InputError, match="does not say its format"):
        result.save(tmp_path / "table.xlsx")


def test_the_examples_of_the_docstrings_run() -> None:
    assert doctest.testmod(autolip.result).failed == 0
