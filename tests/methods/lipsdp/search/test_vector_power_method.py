"""The iterate of the vector power method: what a step gains."""

import pytest
import torch

from autolip.methods.lipsdp.search.vector_power_method import Ascent
from tests.methods.lipsdp.conftest import mlp, pose, relaxed


def climbed(steps: int, plain: bool) -> float:
    """|y| after so many steps, with or without extrapolation."""
    relaxation = relaxed(pose(mlp(8, 40, 40, 40, 5, seed=2), (1, 8)))
    ascent = Ascent(relaxation, 16, torch.float64)
    for _ in range(steps):
        ascent.pace = -1 if plain else ascent.pace
        ascent.step()
    return ascent.primal


@pytest.mark.slow
def test_extrapolation_saves_two_steps_of_three() -> None:
    assert climbed(50, plain=False) > climbed(150, plain=True)
