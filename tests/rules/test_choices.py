"""Choices by masks."""

from collections.abc import Callable
from typing import Any

import torch

from autolip.intervals import Interval
from autolip.rules.rule import Action
from autolip.slopes import Exact, Gain

aten = torch.ops.aten
Act = Callable[..., Action]


def test_the_matrix_is_that_of_the_operation(
    affine_call: Any, check_affine: Callable[[Any], None]
) -> None:
    check_affine(affine_call)


def test_a_mask_that_the_region_decides_is_wiring(act: Act) -> None:
    ends = torch.tensor([1.0, 0.0], dtype=torch.float64)
    action = act(
        aten.where.self,
        Interval(ends, ends),
        Interval.uniform(1.0, 2.0, (2,)),
        torch.zeros(2).double(),
    )
    ((_, slope),) = action.slopes
    assert isinstance(slope, Exact) and slope.operator.matrix().tolist() == [[1.0, 0.0], [0.0, 0.0]]
    assert action.image.lo.tolist() == [1.0, 0.0] and action.image.hi.tolist() == [2.0, 0.0]


def test_an_open_mask_is_infinite_and_either_value_is_in_the_image(act: Act) -> None:
    action = act(
        aten.where.self,
        Interval.uniform(0.0, 1.0, (2,)),
        Interval.uniform(1.0, 2.0, (2,)),
        torch.zeros(2),
    )
    assert len(action.slopes) == 2
    for _, slope in action.slopes:
        assert isinstance(slope, Gain) and {bound.value for bound in slope.norms.values()} == {
            float("inf")
        }
    assert action.image.lo.tolist() == [0.0, 0.0] and action.image.hi.tolist() == [2.0, 2.0]


def test_a_masked_entry_is_minus_infinity_even_of_an_unknown_range(act: Act) -> None:
    mask = torch.tensor([True, False])
    image = act(aten.masked_fill.Scalar, Interval.everywhere((2,)), mask, -float("inf")).image
    assert image.lo.tolist() == [-float("inf")] * 2 and image.hi.tolist() == [
        -float("inf"),
        float("inf"),
    ]
