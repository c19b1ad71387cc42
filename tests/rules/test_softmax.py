"""Softmax."""

from collections.abc import Callable

import pytest
import torch

from autolip.intervals import Interval
from autolip.rules.rule import Action
from autolip.slopes import Gain


@pytest.mark.parametrize("first", [-9.0, -1.0, 0.1, 1.0, 9.0])
def test_the_gain_at_a_point_is_that_of_the_derivative(
    act: Callable[..., Action], first: float
) -> None:
    x = torch.tensor([first, 0.0, -20.0], dtype=torch.float64)
    ((_, gain),) = act(torch.ops.aten.softmax.int, Interval(x, x), 0, None).slopes
    p = torch.softmax(x, 0)
    largest = (torch.diag(p) - torch.outer(p, p)).abs().sum(1).max().item()
    assert isinstance(gain, Gain)
    assert all(bound.value == pytest.approx(largest, rel=1e-9) for bound in gain.norms.values())
