"""Multipliers graded where the worst vectors flow: never a larger norm, and less to repair."""

import itertools
import time
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from autolip.budget import Budget
from autolip.methods.lipsdp.proof import depth_grading as module
from autolip.methods.lipsdp.proof.depth_grading import graded
from autolip.methods.lipsdp.proof.lifted_map import Lifted, Repaired, lifted, norm_bound
from autolip.methods.lipsdp.proof.prove import by_factorisation, by_norm
from autolip.methods.lipsdp.statement import Proved, Statement
from autolip.operators import Operator
from autolip.operators.norms import NormOptions
from autolip.operators.norms.lanczos import worst_vectors
from tests.methods.lipsdp.proof.test_lifted_map import MARGIN, statement

OPTIONS = NormOptions()


def largest(made: Statement) -> float:
    map_ = lifted(made, MARGIN)
    assert isinstance(map_, Lifted)
    return torch.linalg.matrix_norm(map_.operator.matrix(), 2).item()


def uneven(norm: str, factor: float) -> Statement:
    """The first layer's multipliers too small for the second's."""
    made = statement(norm)
    first = next(iter(made.multipliers))
    return replace(made, multipliers=made.multipliers | {first: made.multipliers[first] * factor})


@pytest.mark.parametrize("norm", ["l2", "linf:l2"])
@pytest.mark.parametrize("factor", [0.8, 1.3])
def test_a_layer_out_of_scale_is_put_right_at_less_than_the_repair(
    norm: str, factor: float
) -> None:
    made = uneven(norm, factor)
    better = graded(made, MARGIN, OPTIONS)
    assert largest(better) < largest(made)
    plain, found = norm_bound(made, MARGIN, OPTIONS), by_norm(made, MARGIN, OPTIONS)
    assert isinstance(plain, Repaired) and plain.growth > 1 and isinstance(found, Proved)
    assert found.bound.value < plain.bound.value
    again = by_factorisation(found.statement)
    assert isinstance(again, Proved) and again.bound.value <= found.bound.value * (1 + 1e-9)


def test_what_is_within_its_limit_is_left_alone() -> None:
    made = statement()
    assert graded(made, MARGIN, OPTIONS) is made


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the looks that are made."""
    numbers = list[int]()

    def counted(operator: Operator, steps: int, seed: int, look: int, above: float) -> Tensor:
        numbers.append(look)
        return worst_vectors(operator, steps, seed, look, above)

    monkeypatch.setattr(module, "worst_vectors", counted)
    return numbers


def test_a_look_that_sees_nothing_above_the_limit_is_the_last(looks: list[int]) -> None:
    """Its cut makes room for the proof."""
    made = uneven("l2", 0.97)
    map_ = lifted(made, MARGIN)
    assert isinstance(map_, Lifted) and map_.limit * (1 - MARGIN / 4) < largest(made) < map_.limit
    better = graded(made, MARGIN, OPTIONS)
    assert (
        looks == [0]
        and largest(better) < largest(made)
        and made.value < better.value < 1.01 * made.value
    )


def test_looks_leave_time_for_the_proof(looks: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that goes on whenever it is read; without a deadline all looks are made that are
    of use."""
    made = uneven("l2", 0.2)
    graded(made, MARGIN, OPTIONS)
    assert len(looks) > 2
    looks.clear()
    ticks = itertools.count(1)
    monkeypatch.setattr(time, "monotonic", lambda: float(next(ticks)))
    graded(made, MARGIN, replace(OPTIONS, budget=Budget(8.0)))
    assert looks == [0]
