"""Polished multipliers are better, and proved like any others."""

import math

import pytest
import torch

from autolip.errors import Refusal
from autolip.methods.lipsdp.chain_dual_ascent import polished
from autolip.methods.lipsdp.method import constraints_of
from autolip.methods.lipsdp.proof import chain_of, prove_chain
from autolip.methods.lipsdp.vector_power_method import Ascent
from tests.methods.lipsdp.conftest import mlp, pose, stated

pytestmark = pytest.mark.slow


def test_few_steps_of_ascent_are_made_up_for() -> None:
    """From an ascent that was stopped early the polished value makes up for half of what is
    missing, and is no less than what the relaxation attains."""
    problem = pose(mlp(*[6] * 7, seed=4, scale=0.8), (1, 6))
    graph = stated(problem)
    constraints = constraints_of(graph)
    assert isinstance(constraints, dict)
    rough, long = (
        Ascent(graph, constraints, problem.p, problem.q, 8, torch.float64) for _ in range(2)
    )
    for _ in range(12):
        rough.step()
    for _ in range(150):
        long.step()
    statement = rough.statement()
    chain = chain_of(statement)
    assert chain is not None
    before, after = (
        prove_chain(statement, chain),
        prove_chain(polished(statement, chain, 0.0 + 1e-300, math.inf), chain),
    )
    assert not isinstance(before, Refusal) and not isinstance(after, Refusal)
    assert long.primal * (1 - 1e-6) <= after.bound.value <= (before.bound.value + long.primal) / 2
