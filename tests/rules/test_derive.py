"""What an outcome stands for: slopes and image of affine maps and of pointwise functions."""

import math

import pytest
import torch

from autolip.intervals import Interval
from autolip.norms import Norm
from autolip.operators.dense import Dense
from autolip.operators.diagonal import Identity
from autolip.rules.derive import action_of
from autolip.rules.rule import Action, Affine, Operand
from autolip.slopes import Between, Exact, Gain
from tests.rules.records import cubic, on, record


def test_a_uniform_range_stays_one_number() -> None:
    x = Operand("x", torch.Size([4, 5]), Interval.everywhere((4, 5)))
    slope = action_of(cubic(x), x.shape).slopes[0][1]
    assert isinstance(slope, Between)
    assert slope.lo.shape == (4, 5)
    assert slope.lo.untyped_storage().nbytes() <= 16


def test_an_empty_tensor_has_empty_slopes() -> None:
    x = Operand("x", torch.Size([0, 3]), Interval.everywhere((0, 3)))
    slope = action_of(cubic(x), x.shape).slopes[0][1]
    assert isinstance(slope, Between)
    assert slope.largest_modulus().value == 0.0


def test_broadcasting_parameters_multiply_the_gain_by_copies() -> None:
    scale = torch.tensor([[1.0], [-4.0]], dtype=torch.float64)
    x = on([0.0, 0.0, 0.0], [1.0, 1.0, 1.0])
    curve = record(
        x, lambda x: scale * x, lambda x: scale.expand(torch.broadcast_shapes(scale.shape, x.shape))
    )
    action = action_of(curve, torch.Size([2, 3]))
    slope = action.slopes[0][1]
    assert isinstance(slope, Gain)
    assert [slope.norms[norm].value for norm in Norm] == pytest.approx([8.0, 4 * math.sqrt(2), 4.0])
    assert slope.norms[Norm.L2].value >= 4 * math.sqrt(2)
    assert action.image.lo.tolist() == [[0.0] * 3, [-4.0] * 3]


def test_an_affine_map_is_its_operators_and_the_image_contains_the_offset() -> None:
    x = on([-1.0, 0.0], [1.0, 2.0])
    weight = torch.tensor([[1.0, 2.0], [0.0, -3.0]], dtype=torch.float64)
    action = action_of(Affine(((x, Dense(weight)), (x, Identity((2,)))), 10.0), torch.Size([2]))
    assert all(isinstance(slope, Exact) for _, slope in action.slopes)
    assert action.image.lo.tolist() == pytest.approx([8.0, 4.0])
    assert action.image.hi.tolist() == pytest.approx([16.0, 12.0])
    assert (action.image.lo <= torch.tensor([8.0, 4.0])).all()


def test_a_constant_has_no_slopes() -> None:
    action = action_of(Affine((), torch.tensor([1.0, 2.0])), torch.Size([2]))
    assert action.slopes == ()
    assert action.image.lo.tolist() == [1.0, 2.0]


def test_an_action_is_what_it_is() -> None:
    x = on(0.0, 1.0)
    action = Action(((x, Between(torch.zeros(()), torch.ones(()))),), x.range)
    assert action_of(action, x.shape) is action
