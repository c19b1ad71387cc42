"""Questions in l1 and linf through l2: the constants of norm equivalence times the least of all l2
bounds."""

import functools
import itertools
import math

import pytest
import torch
from torch import nn

from autolip.capture.torch.export import capture_model
from autolip.errors import Refusal
from autolip.methods import Bound, Problem, ThroughL2, method_named
from autolip.norms import Norm
from autolip.operators.norms import NormOptions
from autolip.regions import Everywhere
from autolip.values import Upper

CONSTANTS = {Norm.L1: (1.0, math.sqrt(3)), Norm.L2: (1.0, 1.0), Norm.LINF: (math.sqrt(5), 1.0)}
"""||I||_{p -> 2} for the five inputs, ||I||_{2 -> q} for the three outputs."""

PAIRS = [pair for pair in itertools.product(Norm, Norm) if pair != (Norm.L2, Norm.L2)]


def posed(p: Norm, q: Norm) -> Problem:
    torch.manual_seed(0)
    model = (
        nn.Sequential(nn.Linear(5, 9), nn.ReLU(), nn.Linear(9, 8), nn.ReLU(), nn.Linear(8, 3))
        .double()
        .eval()
    )
    graph = capture_model(model, (torch.zeros(1, 5).double(),)).graph
    return Problem.pose(graph, Everywhere(), p, q, NormOptions())


def value(bound: object) -> float:
    assert isinstance(bound, Bound) and isinstance(bound.value, Upper)
    return bound.value.value


@functools.cache
def in_l2(member: str) -> float:
    return value(method_named(member).bound(posed(Norm.L2, Norm.L2)))


@pytest.mark.slow
@pytest.mark.parametrize(("p", "q"), PAIRS)
def test_the_least_of_every_member_that_refuses_the_question_itself(p: Norm, q: Norm) -> None:
    """Layerwise in any case; LipSDP, which takes seconds, where it has no answer of its own."""
    problem = posed(p, q)
    members = ["autolip", "layerwise", "rescaled", "liplt"]
    members += ["lipsdp"] if method_named("lipsdp").accepts(problem) is not None else []
    least = min(in_l2(member) for member in members)
    wanted = CONSTANTS[p][0] * least * CONSTANTS[q][1]
    assert value(ThroughL2().bound(problem)) == pytest.approx(wanted, rel=1e-6)


def test_it_leads_nowhere_from_l2_to_l2() -> None:
    assert isinstance(ThroughL2().accepts(posed(Norm.L2, Norm.L2)), Refusal)
