"""All differences of outputs: from one proof, and from proofs of their own."""

import itertools
from functools import cache
from pathlib import Path

import pytest
from torch import nn

from autolip.budget import SPENT
from autolip.certificates import Certificate, Proof
from autolip.errors import Refusal
from autolip.methods import LipSDP
from autolip.methods.lipsdp import differences
from autolip.methods.lipsdp.differences import of_differences
from autolip.methods.method import Bound, Problem
from autolip.outputs import Difference
from autolip.values import Upper
from autolip_check.check import check
from tests.methods.lipsdp.conftest import mlp, patterns, pose


@cache
def posed(norm: str = "l2", outputs: int = 4) -> Problem:
    return pose(mlp(3, 5, 4, outputs, seed=1), (1, 3), norm)


def pairs(outputs: int = 4) -> list[Difference]:
    return [Difference(i, j) for i, j in itertools.combinations(range(outputs), 2)]


def bounds(problem: Problem, outputs: int = 4) -> dict[Difference, Bound]:
    found = of_differences(problem, pairs(outputs))
    assert not isinstance(found, Refusal), found
    return dict(found)


def value(bound: Bound) -> float:
    assert isinstance(bound.value, Upper) and not bound.value.events
    return bound.value.value


@pytest.mark.parametrize("norm", ["l2", "l2:linf", "linf:l2", "linf"])
def test_every_difference_has_the_bound_of_a_run_of_its_own(norm: str) -> None:
    problem = posed(norm)
    for pair, bound in bounds(problem).items():
        readout = pair.readout(problem.slopes.output_shape)
        alone = LipSDP(tolerance=1e-4).answer(problem.reading(readout))
        assert isinstance(alone, Bound)
        assert value(bound) == pytest.approx(value(alone), rel=1e-3)


def test_none_is_below_what_is_attained() -> None:
    net = mlp(3, 5, 4, 4, seed=1)
    weights = [part.weight.detach() for part in net if isinstance(part, nn.Linear)]
    for pair, bound in bounds(posed()).items():
        row = weights[-1][pair.plus] - weights[-1][pair.minus]
        assert value(bound) >= patterns([*weights[:-1], row.unsqueeze(0)])


def test_of_many_the_largest_are_solved_until_one_is_the_largest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The others keep what one proof says of all, which is larger."""
    close = bounds(posed())
    monkeypatch.setattr(differences, "TOGETHER", 2)
    found = bounds(posed())
    shared = [pair for pair, bound in found.items() if "for all" in bound.notes[0]]
    assert shared and len(shared) <= 4
    assert max(found, key=lambda pair: value(found[pair])) not in shared
    assert all(value(found[pair]) >= value(close[pair]) * (1 - 1e-3) for pair in close)


def certificate(problem: Problem, bound: Bound) -> Certificate:
    proof = bound.proof()
    assert isinstance(proof, Proof)
    return Certificate.of(
        proof,
        (value(bound), 1e-9),
        problem.p,
        problem.q,
        problem.region.describe(),
        problem.graph,
        {"producer": "autolip", "version": "0", "model": "net", "output": "0-1", "method": "x"},
    )


@pytest.mark.parametrize("norm", ["l2", "linf:l2"])
@pytest.mark.parametrize("together", [45, 2])
def test_certificates_are_accepted(
    norm: str, together: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of proofs of their own, and those of the one proof for all."""
    monkeypatch.setattr(differences, "TOGETHER", together)
    problem = posed(norm)
    for bound in bounds(problem).values():
        written = certificate(problem, bound)
        written.save(tmp_path / "bound")
        assert value(bound) <= written.value <= value(bound) * (1 + 1e-6)
        assert check(tmp_path / "bound").claim


def test_a_large_network_is_left_to_single_runs() -> None:
    problem = pose(mlp(3, 300, 300, 2), (1, 3))
    refused = of_differences(problem, pairs(2))
    assert isinstance(refused, Refusal) and "too many" in str(refused)


def test_another_solver_or_other_norms_are_refused() -> None:
    for method, norm in ((LipSDP(solver="cvxpy"), "l2"), (LipSDP(), "l1")):
        found = method.of_differences(posed(norm), pairs())
        assert isinstance(found, Refusal) and "one by one" in str(found)


def test_without_time_there_are_none() -> None:
    assert not bounds(posed().with_budget(SPENT))
