"""Two captures of one model agree, and any change shows."""

import pytest
import torch
from torch import nn

from autolip.capture.torch.export import capture_model
from autolip.graph.fingerprint import constants, fingerprint, size_of
from autolip.graph.graph import Graph


def captured(seed: int = 0, activation: nn.Module | None = None, width: int = 4) -> Graph:
    torch.manual_seed(seed)
    first = nn.Linear(3, width)
    second = nn.Linear(width, 2)
    model = nn.Sequential(first, activation or nn.LeakyReLU(0.1), second).eval()
    return capture_model(model, (torch.zeros(1, 3),), 0, None).graph


def test_two_captures_of_one_model_agree() -> None:
    assert fingerprint(captured()) == fingerprint(captured())
    assert (
        size_of(captured()) == 3 * 4 + 4 + 4 * 2 + 2 == sum(map(torch.numel, constants(captured())))
    )


@pytest.mark.parametrize(
    "other",
    [{"seed": 1}, {"activation": nn.LeakyReLU(0.2)}, {"activation": nn.ReLU()}, {"width": 5}],
)
def test_any_change_shows(other) -> None:
    assert fingerprint(captured()) != fingerprint(captured(**other))
