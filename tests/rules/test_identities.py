"""Copies, casts, dropout, constants."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from autolip.errors import InputError, UnsupportedOperation
from autolip.intervals import Interval
from autolip.rules.rule import Action
from autolip.slopes import Between, Exact

aten = torch.ops.aten
Act = Callable[..., Action]


def test_the_matrix_is_that_of_the_operation(
    affine_call: Any, check_affine: Callable[[Any], None]
) -> None:
    check_affine(affine_call)


def test_detach_is_the_identity_of_the_function(act: Act) -> None:
    ((_, slope),) = act(aten.detach.default, Interval.uniform(-1.0, 2.0, (3,))).slopes
    assert isinstance(slope, Exact) and slope.operator.is_isometry


@pytest.mark.parametrize(
    "target", [aten.dropout.default, aten.native_dropout.default, aten.alpha_dropout.default]
)
def test_dropout_in_training_mode_is_refused(act: Act, target: Any) -> None:
    with pytest.raises(InputError, match=r"model\.eval\(\)"):
        act(target, Interval.uniform(0.0, 1.0, (3,)), 0.3, True)


def test_a_cast_to_integers_jumps_unless_the_range_decides_it(act: Act) -> None:
    x = Interval(torch.tensor([0.2, 0.8]).double(), torch.tensor([0.9, 1.1]).double())
    action = act(aten._to_copy.default, x, dtype=torch.int64)
    ((_, slope),) = action.slopes
    assert isinstance(slope, Between)
    assert slope.hi.tolist() == [0.0, float("inf")] and slope.lo.tolist() == [0.0, -float("inf")]
    assert action.image.lo.tolist() == [0.0, 0.0] and action.image.hi.tolist() == [0.0, 1.0]


def test_a_cast_to_a_mask_asks_for_non_zeros(act: Act) -> None:
    x = Interval(torch.tensor([-1.0, 0.1, 0.0]).double(), torch.tensor([1.0, 2.0, 0.0]).double())
    image = act(aten.to.dtype, x, torch.bool).image
    assert image.lo.tolist() == [0.0, 1.0, 0.0] and image.hi.tolist() == [1.0, 1.0, 0.0]


def test_a_cast_to_complex_numbers_is_refused(act: Act) -> None:
    with pytest.raises(UnsupportedOperation, match="complex"):
        act(aten._to_copy.default, Interval.uniform(0.0, 1.0, (3,)), dtype=torch.complex128)


def test_a_constant_has_no_slope(act: Act) -> None:
    action = act(aten.new_full.default, Interval.everywhere((2,)), [3, 2], 0.7)
    assert action.slopes == () and action.image.lo.tolist() == [[0.7] * 2] * 3


def test_what_is_overwritten_has_no_slope(act: Act) -> None:
    old, new = Interval.uniform(0.0, 1.0, (2,)), Interval.uniform(5.0, 6.0, (2,))
    action = act(aten.copy.default, old, new)
    assert [operand.range for operand, _ in action.slopes] == [
        new
    ] and action.image.lo.tolist() == [5.0, 5.0]
