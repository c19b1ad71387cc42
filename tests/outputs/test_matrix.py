"""A linear map of the user's: the constant is that of the network with the map behind it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from autolip import InputError, Result, lipschitz
from autolip.outputs import Matrix, parse_output

ROWS = ((1.0, -1.0, 0.25), (0.0, 2.0, -1.0))
EXAMPLE = torch.zeros(1, 4)


def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)).eval()


def linear() -> nn.Linear:
    layer = nn.Linear(3, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(ROWS))
    return layer


@pytest.mark.parametrize(
    "given",
    [ROWS, [list(row) for row in ROWS], np.array(ROWS), torch.tensor(ROWS), linear(),
     "[1,-1,.25;0,2,-1]", "[1, -1, 0.25; 0, 2, -1]"],
    ids=["tuples", "lists", "array", "tensor", "linear", "text", "blanks"],
)  # fmt: skip
def test_a_matrix_in_every_form(given: Any) -> None:
    assert parse_output(given) == Matrix(ROWS)
    assert parse_output(str(Matrix(ROWS))) == Matrix(ROWS)


def test_its_constant_is_that_of_the_network_with_the_map_behind_it(tmp_path: Path) -> None:
    whole = nn.Sequential(model(), linear()).eval()
    for norm in ("l2", "linf:l2"):
        asked: dict[str, Any] = {"norm": norm, "method": ["autolip", "lipsdp"], "lower": "random"}
        found = lipschitz(model(), EXAMPLE, output=ROWS, **asked)
        other = lipschitz(whole, EXAMPLE, **asked)
        values = [row.value for row in other.bounds]
        assert [row.value for row in found.bounds] == pytest.approx(values, rel=1e-4)
    assert "Lipschitz constant of 2 combinations of the outputs" in repr(found)
    found.save(tmp_path / "result.json")
    assert Result.load(tmp_path / "result.json").to_dict() == found.to_dict()
    assert found.certificate().document["provenance"]["output"] == str(Matrix(ROWS))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ([[1, 2]], "the output's matrix has 2 columns: the network has 3 outputs"),
        ("[1,2;3]", "rows of several lengths"),
        ([[]], "rows of several lengths, or none"),
        ([[1, 2], [3]], "no array of numbers"),
        ([[1, float("nan"), 2]], "entries that are no numbers"),
        ([[1, 1e200, 2]], "entries that are no numbers up to 1e"),
        ("[1,--,2]", "is no matrix"),
        ([["a", "b", "c"]], "holds values of type"),
        (torch.zeros(1, 2, 3), "is not known"),
    ],
)
def test_what_is_no_map_of_the_outputs_is_refused(given: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        lipschitz(model(), EXAMPLE, output=given, method="autolip", lower=None)
