"""Multipliers graded where the worst vectors flow: never a larger norm, and less to repair."""

from dataclasses import replace

import pytest
import torch

from autolip.methods.lipsdp.graded import graded
from autolip.methods.lipsdp.lifted import Lifted, Repaired, lifted, norm_bound
from autolip.methods.lipsdp.proof import Proved, prove_form, prove_lifted
from autolip.methods.lipsdp.statement import Statement
from autolip.operators.norms import NormOptions
from tests.methods.lipsdp.test_lifted import MARGIN, statement

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
def test_a_layer_out_of_scale_is_put_right_at_less_than_the_repair(norm: str, factor: float) -> None:
    made = uneven(norm, factor)
    better = graded(made, MARGIN, OPTIONS)
    assert largest(better) < largest(made)
    plain, found = norm_bound(made, MARGIN, OPTIONS), prove_lifted(made, MARGIN, OPTIONS)
    assert isinstance(plain, Repaired) and plain.growth > 1 and isinstance(found, Proved)
    assert found.bound.value < plain.bound.value
    again = prove_form(found.statement)
    assert isinstance(again, Proved) and again.bound.value <= found.bound.value * (1 + 1e-9)


def test_what_is_within_its_limit_is_left_alone() -> None:
    made = statement()
    assert graded(made, MARGIN, OPTIONS) is made
