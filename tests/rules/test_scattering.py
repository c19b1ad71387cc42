"""Entries gathered at constant places: the exact maps, and extrema that stay 1-Lipschitz."""

import pytest
import torch

from autolip.errors import UnsupportedOperation
from autolip.intervals import Interval
from autolip.norms import Norm
from autolip.rules import RULES
from autolip.rules.derive import action_of
from autolip.rules.rule import Action, Operand
from autolip.slopes import Exact, Gain

SCATTER = torch.ops.aten.scatter_reduce.two
INDEX = torch.tensor([0, 1, 0, 2, 0])


def outcome(reduce: str, include_self: bool = True) -> Action:
    ends = Interval.uniform(-2.0, 1.0, (5,))
    src = Operand("x", torch.Size([5]), ends)
    base = torch.tensor([0.5, 0.0, -0.5, 3.0], dtype=torch.float64)
    rule = RULES[SCATTER]
    return action_of(
        rule(base, 0, INDEX, src, reduce, include_self=include_self)[0], torch.Size([4])
    )


@pytest.mark.parametrize("include_self", [True, False])
def test_means_divide_by_all_that_arrive(include_self: bool) -> None:
    slope = outcome("mean", include_self).slopes[0][1]
    assert isinstance(slope, Exact)
    counts = torch.tensor([3.0, 1.0, 1.0, 0.0], dtype=torch.float64) + include_self
    wanted = torch.zeros(4, 5, dtype=torch.float64)
    wanted[INDEX, torch.arange(5)] = 1 / counts[INDEX]
    torch.testing.assert_close(slope.operator.matrix(), wanted)


def test_the_largest_of_a_place_has_gain_one() -> None:
    action = outcome("amax")
    slope = action.slopes[0][1]
    assert isinstance(slope, Gain)
    assert slope.norms[Norm.L2].value == 1
    assert action.image.hi.tolist() == [1.0, 1.0, 1.0, 3.0]
    assert action.image.lo.tolist() == [0.5, 0.0, -0.5, 3.0]


def test_products_are_refused_by_name() -> None:
    with pytest.raises(UnsupportedOperation, match="scatter_reduce by prod"):
        outcome("prod")
