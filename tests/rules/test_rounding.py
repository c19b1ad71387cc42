"""Rounding and remainders: constant, or of slope 1, between two jumps; infinite across one."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from autolip.intervals import Interval
from autolip.rules.rule import Action
from autolip.slopes import Between

aten = torch.ops.aten
Act = Callable[..., Action]
INF = float("inf")


def box(lo: float, hi: float) -> Interval:
    return Interval.uniform(lo, hi, (1,))


def said(action: Action) -> tuple[tuple[float, float], tuple[float, float]]:
    """The interval of slopes, and the image."""
    ((_, slope),) = action.slopes
    assert isinstance(slope, Between)
    image = action.image
    return (slope.lo.item(), slope.hi.item()), (image.lo.item(), image.hi.item())


@pytest.mark.parametrize(
    ("target", "value"),
    [
        (aten.floor.default, 1.0),
        (aten.ceil.default, 2.0),
        (aten.trunc.default, 1.0),
        (aten.round.default, 1.0),
        (aten.sign.default, 1.0),
    ],
)
def test_between_two_jumps_the_result_is_one_number(act: Act, target: Any, value: float) -> None:
    assert said(act(target, box(1.25, 1.4))) == ((0.0, 0.0), (value, value))


def test_across_a_jump_slopes_are_infinite_upwards_and_the_image_is_that_of_the_ends(
    act: Act,
) -> None:
    slopes, image = said(act(aten.floor.default, box(0.5, 2.5)))
    assert slopes == (0.0, INF) and image == (0.0, 2.0)


def test_a_negative_divisor_turns_the_jumps_downwards(act: Act) -> None:
    slopes, image = said(act(aten.floor_divide.Scalar, box(0.5, 2.5), -1.0))
    assert slopes == (-INF, 0.0) and image == (-3.0, -1.0)


@pytest.mark.parametrize("target", [aten.remainder.Scalar, aten.fmod.Scalar])
def test_a_remainder_has_slope_one_within_a_period(act: Act, target: Any) -> None:
    slopes, image = said(act(target, box(2.25, 2.75), 1.0))
    assert slopes == (1.0, 1.0)
    assert image == pytest.approx((0.25, 0.75), abs=1e-12)


def test_across_the_end_of_a_period_a_remainder_takes_every_value(act: Act) -> None:
    slopes, image = said(act(aten.remainder.Scalar, box(0.75, 1.25), 1.0))
    assert slopes == (-INF, INF)
    assert image[0] <= 0.0 and image[1] >= 1.0


def test_around_zero_only_the_truncated_remainder_is_continuous(act: Act) -> None:
    """fmod(x, 1) is x on (-1, 1), x mod 1 jumps at 0."""
    assert said(act(aten.fmod.Scalar, box(-0.5, 0.5), 1.0))[0] == (1.0, 1.0)
    assert said(act(aten.remainder.Scalar, box(-0.5, 0.5), 1.0))[0] == (-INF, INF)


def test_a_period_of_zero_leaves_nothing_known(act: Act) -> None:
    slopes, image = said(act(aten.remainder.Scalar, box(0.25, 0.5), 0.0))
    assert slopes == (-INF, INF) and image == (-INF, INF)
