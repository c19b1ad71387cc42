"""Comparisons, logic and positions: no dependence where the ranges decide them, else infinite."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from autolip.intervals import Interval
from autolip.rules.rule import Action
from autolip.slopes import Between, Exact, Gain

aten = torch.ops.aten
Act = Callable[..., Action]
LOW, HIGH = Interval.uniform(0.0, 1.0, (2,)), Interval.uniform(1.5, 2.0, (2,))


def is_infinite(action: Action) -> bool:
    def infinite(slope: Any) -> bool:
        if isinstance(slope, Between):
            return bool((slope.hi == math.inf).all())
        return isinstance(slope, Gain) and all(
            bound.value == math.inf for bound in slope.norms.values()
        )

    return all(infinite(slope) for _, slope in action.slopes)


def is_decided(action: Action, value: float) -> bool:
    """Whether nothing depends on the operands, and the result is one number."""
    for _, slope in action.slopes:
        assert isinstance(slope, Exact) and not slope.operator.matrix().any()
    return bool((action.image.lo == value).all() and (action.image.hi == value).all())


@pytest.mark.parametrize(
    ("target", "value"),
    [(aten.lt.Tensor, 1.0), (aten.le.Tensor, 1.0), (aten.gt.Tensor, 0.0), (aten.eq.Tensor, 0.0)],
)
def test_ranges_apart_decide_a_comparison(act: Act, target: Any, value: float) -> None:
    assert is_decided(act(target, LOW, HIGH), value)


def test_ranges_that_touch_decide_only_the_weak_inequality(act: Act) -> None:
    touching = Interval.uniform(1.0, 2.0, (2,))
    assert is_decided(act(aten.le.Tensor, LOW, touching), 1.0)
    open_one = act(aten.lt.Tensor, LOW, touching)
    assert is_infinite(open_one)
    assert open_one.image.lo.tolist() == [0, 0] and open_one.image.hi.tolist() == [1, 1]


def test_a_number_is_a_double(act: Act) -> None:
    """In single precision 0.001 is larger, and the end of a range below it."""
    level = torch.full((2,), 0.001, dtype=torch.float64)
    below, above = Interval(level - 1, level), Interval(level, level + 1)
    assert is_infinite(act(aten.lt.Scalar, below, 0.001))
    assert is_infinite(act(aten.gt.Scalar, above, 0.001))
    assert is_infinite(act(aten.eq.Scalar, below, 0.001))


def test_an_entry_that_is_decided_does_not_hide_one_that_is_not(act: Act) -> None:
    mixed = Interval(torch.tensor([0.0, 0.0]).double(), torch.tensor([0.5, 2.0]).double())
    action = act(aten.lt.Scalar, mixed, 1.0)
    assert action.image.lo.tolist() == [1, 0] and action.image.hi.tolist() == [1, 1]
    assert not all(isinstance(slope, Exact) for _, slope in action.slopes)


def test_logic_is_decided_by_one_operand_where_that_is_enough(act: Act) -> None:
    no = Interval.uniform(0.0, 0.0, (2,))
    yes = Interval.uniform(1.0, 3.0, (2,))
    unknown = Interval.uniform(-1.0, 1.0, (2,))
    assert is_decided(act(aten.logical_and.default, no, unknown), 0.0)
    assert is_decided(act(aten.logical_or.default, yes, unknown), 1.0)
    assert is_infinite(act(aten.logical_and.default, yes, unknown))
    assert is_decided(act(aten.logical_not.default, yes), 0.0)


def test_the_position_of_an_extreme_has_no_finite_gain(act: Act) -> None:
    action = act(aten.argmax.default, Interval.uniform(0.0, 1.0, (3,)), None)
    assert is_infinite(action)
    assert (action.image.lo.item(), action.image.hi.item()) == (0.0, 2.0)


def test_finite_ranges_are_finite(act: Act) -> None:
    assert is_decided(act(aten.isfinite.default, LOW), 1.0)
    assert is_decided(act(aten.isnan.default, LOW), 0.0)
