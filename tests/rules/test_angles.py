"""Slopes of the angle and of sizes with a sign, where they are known exactly."""

import math

import pytest
import torch

from autolip.intervals import Interval
from autolip.rules import RULES
from autolip.rules.derive import action_of
from autolip.rules.rule import Action, Operand
from autolip.slopes import Between

aten = torch.ops.aten


def operand(lo: float, hi: float) -> Operand:
    return Operand(f"[{lo}, {hi}]", torch.Size([1]), Interval.uniform(lo, hi, (1,)))


def outcome(target: object, *args: object) -> Action:
    return action_of(RULES[target](*args)[0], torch.Size([1]))  # type: ignore[index]


def test_the_angle_has_the_slopes_of_its_gradient() -> None:
    """On y in [3, 4], x in [-1, 2]: x / r^2 is greatest at (2, 3), least at (-1, 3); y / r^2 is
    greatest at (0, 3), least at (2, 4)."""
    by_y, by_x = (s for _, s in outcome(aten.atan2.default, operand(3, 4), operand(-1, 2)).slopes)
    assert isinstance(by_y, Between)
    assert isinstance(by_x, Between)
    found = [by_y.lo.item(), by_y.hi.item(), by_x.lo.item(), by_x.hi.item()]
    assert found == pytest.approx([-1 / 10, 2 / 13, -1 / 3, -1 / 5])
    assert found[0] <= -1 / 10
    assert found[1] >= 2 / 13


@pytest.mark.parametrize(("y", "x"), [((-1, 1), (-1, 1)), ((0, 1), (-2, -1)), ((-1, 0), (0, 1))])
def test_on_the_cut_nothing_is_known(y: tuple[float, float], x: tuple[float, float]) -> None:
    action = outcome(aten.atan2.default, operand(*y), operand(*x))
    for _, slope in action.slopes:
        assert isinstance(slope, Between)
        assert slope.hi.item() == math.inf
    assert action.image.hi.item() >= math.pi


def test_a_sign_at_zero_is_open() -> None:
    """0.0 and -0.0 are one number of two signs."""
    action = outcome(aten.copysign.Tensor, operand(-2, 3), operand(0, 1))
    (_, towards_size), (_, towards_sign) = action.slopes
    assert isinstance(towards_size, Between)
    assert isinstance(towards_sign, Between)
    assert (towards_size.lo.item(), towards_size.hi.item()) == (-1, 1)
    assert towards_sign.hi.item() == math.inf
    assert (action.image.lo.item(), action.image.hi.item()) == (-3, 3)
