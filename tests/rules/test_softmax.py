"""Softmax: the norm of diag(p) - p p^T, which is 2 p (1 - p) for two entries, 1/2 at most."""

from collections.abc import Callable

import pytest
import torch

from autolip.intervals import Interval
from autolip.norms import Norm
from autolip.rules.rule import Action
from autolip.slopes import Gain

aten = torch.ops.aten
Act = Callable[..., Action]


def gain(action: Action, norm: Norm) -> float:
    ((_, slope),) = action.slopes
    assert isinstance(slope, Gain)
    return slope.norms[norm].value


@pytest.mark.parametrize("norm", Norm)
def test_everywhere_it_is_one_half(act: Act, norm: Norm) -> None:
    assert gain(act(aten.softmax.int, Interval.everywhere((4,)), -1), norm) == 0.5


@pytest.mark.parametrize("norm", Norm)
def test_for_two_entries_it_is_the_norm_of_the_jacobian(act: Act, norm: Norm) -> None:
    """At x = (t, 0) with t = log 4: p = 0.8, and diag(p) - p p^T = 0.16 [[1, -1], [-1, 1]]."""
    x = torch.tensor([4.0, 1.0], dtype=torch.float64).log()
    action = act(aten.softmax.int, Interval(x, x), -1)
    assert gain(action, norm) == pytest.approx(0.32, rel=1e-9)
    assert gain(action, norm) >= 0.32


def test_the_image_is_attained_at_corners(act: Act) -> None:
    generator = torch.Generator().manual_seed(0)
    lo = torch.randn(3, generator=generator, dtype=torch.float64)
    hi = lo + torch.rand(3, generator=generator, dtype=torch.float64)
    image = act(aten.softmax.int, Interval(lo, hi), -1).image
    corners = torch.stack([torch.where(signs, hi, lo) for signs in _signs(3)]).softmax(-1)
    assert bool((image.lo <= corners.amin(0)).all() and (corners.amax(0) <= image.hi).all())
    torch.testing.assert_close(image.lo, corners.amin(0), rtol=1e-9, atol=0)
    torch.testing.assert_close(image.hi, corners.amax(0), rtol=1e-9, atol=0)


def test_blocks_along_an_axis_act_apart(act: Act) -> None:
    ((_, slope),) = act(aten.softmax.int, Interval.everywhere((2, 3)), 0).slopes
    assert isinstance(slope, Gain) and slope.dims == (0,)


def _signs(count: int) -> torch.Tensor:
    return torch.cartesian_prod(*[torch.tensor([False, True])] * count)
