"""A witness says what it is, and is plain data."""

import json

import torch

from autolip.lower.witness import Witness
from autolip.norms import Norm


def witness() -> Witness:
    x = torch.tensor([[1.0, 2.0]]).double()
    return Witness(x, x + 0.5, Norm.L2, Norm.LINF, 0.75, 0.71, 1e-9, "the original model")


def test_it_is_one_sentence() -> None:
    assert witness().describe() == (
        "two inputs 0.71 apart (l2) with outputs at least 0.75 apart (linf), by the original "
        "model; allowed for rounding: 1e-09 of the slope"
    )
    assert repr(witness()) == f"<{witness().describe()}>"


def test_its_points_can_be_read_again_exactly() -> None:
    kept = json.loads(json.dumps(witness().to_dict()))
    x = torch.tensor(kept["x"], dtype=torch.float64).reshape(kept["shape"])
    assert torch.equal(x, witness().x)
    assert kept["rise"] / kept["run"] == witness().rise / witness().run
