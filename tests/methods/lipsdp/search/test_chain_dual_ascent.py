"""Polished multipliers are better, and proved like any others."""

import pytest
import torch

from autolip.errors import Refusal
from autolip.methods.lipsdp.proof.prove import by_recursion
from autolip.methods.lipsdp.search.chain_dual_ascent import polished
from autolip.methods.lipsdp.search.vector_power_method import Ascent
from tests.methods.lipsdp.conftest import mlp, pose, relaxed

pytestmark = pytest.mark.slow


def test_few_steps_of_ascent_are_made_up_for() -> None:
    """From an ascent that was stopped early the polished value makes up for half of what is
    missing, and is no less than what the relaxation attains."""
    relaxation = relaxed(pose(mlp(*[6] * 7, seed=4, scale=0.8), (1, 6)))
    rough, long = (Ascent(relaxation, 8, torch.float64) for _ in range(2))
    for _ in range(12):
        rough.step()
    for _ in range(150):
        long.step()
    statement = rough.statement()
    before = by_recursion(statement)
    after = by_recursion(polished(statement, 1e-300))
    assert not isinstance(before, Refusal) and not isinstance(after, Refusal)
    assert long.primal * (1 - 1e-6) <= after.bound.value <= (before.bound.value + long.primal) / 2
