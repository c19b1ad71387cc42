"""Norms that are read off, against the matrix."""

from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F

from autolip.errors import Refusal
from autolip.norms import Norm
from autolip.operators import Diagonal, Incidence, Operator, Zero
from autolip.operators.norms import NormOptions
from autolip.operators.norms.closed_form import diagonal, wiring, zero

SHAPE = torch.Size([5])


def exact(operator: Operator, norm: Norm = Norm.L2) -> float:
    return torch.linalg.matrix_norm(operator.matrix(), 2).item()


def test_nothing_has_norm_zero() -> None:
    found = zero(Zero(SHAPE, SHAPE), NormOptions())
    assert not isinstance(found, Refusal) and found.value == 0.0


def test_a_scaling_has_its_largest_modulus() -> None:
    scale = torch.tensor([0.5, -3.0, 2.0, 0.0, 1.0], dtype=torch.float64)
    found = diagonal(Diagonal(scale, SHAPE), NormOptions())
    assert not isinstance(found, Refusal) and found.value == 3.0


@pytest.mark.parametrize("error", [2.0**-53, 1e-10, 0.5])
def test_a_scaling_that_is_known_up_to_an_error(error: float) -> None:
    for value in (0.1, 1 / 3, 5e-324, 3.0):
        scale = torch.tensor([-value], dtype=torch.float64)
        found = diagonal(Diagonal(scale, (1,), error), NormOptions())
        assert not isinstance(found, Refusal)
        assert Fraction(found.value) >= Fraction(value) * (1 + Fraction(error))


@pytest.mark.parametrize(
    "map",
    [
        Incidence(lambda x: x.flip(-1), SHAPE),
        Incidence(lambda x: torch.cat([x, x, x], -1), SHAPE),
        Incidence(lambda x: x.sum(-1, keepdim=True), SHAPE),
        Incidence(lambda x: x[..., 1:3], SHAPE),
        Incidence(lambda x: F.pad(x, (2, 1)), SHAPE),
    ],
    ids=["flip", "copies", "sum", "slice", "pad"],
)
@pytest.mark.parametrize("turned", [False, True])
def test_wiring_without_overlap_on_one_side(map: Operator, turned: bool) -> None:
    operator = map.T if turned else map
    found = wiring(operator, NormOptions())
    assert not isinstance(found, Refusal)
    assert exact(operator) <= found.value * (1 + 1e-12)
    assert found.value <= exact(operator) * (1 + 1e-12)


def test_overlapping_rows_and_columns_are_refused() -> None:
    overlapping = Incidence(lambda x: x[..., :-1] + x[..., 1:], SHAPE)
    assert isinstance(wiring(overlapping, NormOptions()), Refusal)
