"""What a result keeps when it is pickled, and how it is seen."""

import pickle

import pytest
import torch
from torch import nn

from autolip import InputError, lipschitz


def test_a_pickled_result_keeps_its_numbers_and_its_witness() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).eval()
    result = lipschitz(model, torch.zeros(1, 3), method="autolip", lower="random", output="pairs")
    again = pickle.loads(pickle.dumps(result))
    assert repr(again) == repr(result) and again.to_dict() == result.to_dict()
    assert torch.equal(again.lower.witness.x, result.lower.witness.x)
    with pytest.raises(InputError, match="without a certificate"):
        again.certificate()
