"""Sums, scalings and means."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from autolip.errors import InputError, UnsupportedOperation
from autolip.intervals import Interval
from autolip.norms import Norm
from autolip.rules.linear import reciprocal, scaled
from autolip.rules.rule import Action, Operand
from autolip.slopes import Between, Exact, Gain
from autolip.values import Upper

aten = torch.ops.aten
Act = Callable[..., Action]


def test_the_matrix_is_that_of_the_operation(
    affine_call: Any, check_affine: Callable[[Any], None]
) -> None:
    check_affine(affine_call)


def test_an_unknown_range_stays_unknown_and_is_not_nan(act: Act) -> None:
    x = Interval.everywhere((3,))
    for action in (
        act(aten.add.Tensor, x, torch.ones(3)),
        act(aten.add.Tensor, x, x),
        act(aten.mul.Tensor, x, 0.5),
    ):
        assert action.image.is_everywhere
    half = act(aten.add.Tensor, Interval.uniform(0.0, math.inf, (3,)), x)
    assert half.image.is_everywhere


def test_an_infinite_offset_masks(act: Act) -> None:
    mask = torch.tensor([0.0, -math.inf], dtype=torch.float64)
    image = act(aten.add.Tensor, Interval.everywhere((2,)), mask).image
    assert image.lo.tolist() == [-math.inf, -math.inf] and image.hi.tolist() == [
        math.inf,
        -math.inf,
    ]


def test_a_mean_keeps_a_half_line(act: Act) -> None:
    image = act(aten.mean.dim, Interval.uniform(0.0, math.inf, (2, 3)), [1]).image
    assert (image.lo >= -1e-300).all() and (image.hi == math.inf).all()


def test_every_rounding_is_inside_the_image(act: Act) -> None:
    """0.1 * 3 is not a double: the image of a point contains both neighbours."""
    point = torch.tensor([0.1], dtype=torch.float64)
    image = act(aten.mul.Tensor, Interval(point, point), 3.0).image
    assert (
        image.lo.item() < 0.3 < image.hi.item() and image.lo.item() <= 0.1 * 3.0 <= image.hi.item()
    )


def test_division_by_zero_is_refused(act: Act) -> None:
    with pytest.raises(InputError, match="divisor is zero"):
        act(aten.div.Tensor, Interval.uniform(0.0, 1.0, (2,)), torch.tensor([1.0, 0.0]))


def test_division_of_a_constant_is_infinite_where_the_divisor_meets_zero(act: Act) -> None:
    x = Interval(torch.tensor([-1.0, 1.0]).double(), torch.tensor([1.0, 2.0]).double())
    ((_, slope),) = act(aten.div.Tensor, torch.tensor(3.0), x).slopes
    assert isinstance(slope, Between)
    assert (
        slope.lo[0] == -math.inf
        and slope.lo[1].item() == pytest.approx(-3.0)
        and slope.hi[1] >= -0.75
    )


def test_powers_of_two_have_exact_reciprocals() -> None:
    assert reciprocal(8.0) == (torch.tensor(0.125), 0.0)
    assert reciprocal(3.0)[1] > 0


def test_lerp_between_varying_ends_by_a_varying_weight_is_refused(act: Act) -> None:
    x = Interval.uniform(0.0, 1.0, (2,))
    with pytest.raises(UnsupportedOperation, match="lerp"):
        act(aten.lerp.Tensor, x, torch.ones(2), x)


def test_a_sum_in_integers_is_refused(act: Act) -> None:
    with pytest.raises(UnsupportedOperation, match="int64"):
        act(aten.sum.default, Interval.uniform(0.0, 1.0, (2,)), dtype=torch.int64)


def test_an_action_scales_with_its_slopes() -> None:
    x = Operand("x", torch.Size((2,)), Interval.uniform(-1.0, 2.0, (2,)))
    ends = torch.tensor([-1.0, -1.0]).double(), torch.tensor([2.0, 2.0]).double()
    twice = scaled(Action(((x, Between(*ends)),), Interval(*ends)), -2.0)
    ((_, slope),) = twice.slopes
    assert isinstance(slope, Between) and slope.lo[0] <= -4 and slope.hi[0] >= 2
    assert twice.image.lo[0] <= -4 and twice.image.hi[0] >= 2
    assert not isinstance(slope, Exact | Gain)


@pytest.mark.parametrize("alpha", [2.5, -3.0])
def test_a_gain_is_scaled_by_the_modulus(alpha: float) -> None:
    x = Operand("x", torch.Size([2]), Interval.everywhere((2,)))
    gain = Gain(x.shape, x.shape, {Norm.L2: Upper(2.0)}, (0,))
    ((_, found),) = scaled(Action(((x, gain),), x.range), alpha).slopes
    assert isinstance(found, Gain) and found.dims == (0,)
    assert 2 * abs(alpha) <= found.norms[Norm.L2].value <= 2 * abs(alpha) * (1 + 1e-12)
