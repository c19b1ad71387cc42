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


def test_entries_may_be_minus_infinity(act: Act) -> None:
    """What is masked counts nothing; what may be masked, or all of it, is between 0 and 1."""
    inf = float("inf")
    x = torch.tensor([1.0, -inf, 2.0], dtype=torch.float64)
    image = act(aten.softmax.int, Interval(x, x), -1).image
    assert image.hi[1] <= 1e-300 and image.lo[1] == 0
    torch.testing.assert_close(image.lo, x.softmax(-1), rtol=1e-9, atol=0)
    torch.testing.assert_close(image.hi, x.softmax(-1), rtol=1e-9, atol=1e-300)
    some = act(aten.softmax.int, Interval(torch.full_like(x, -inf), x.clamp(min=0.0)), -1).image
    assert some.lo.tolist() == [0, 0, 0] and some.hi.tolist() == [1, 1, 1]
    over = act(aten.softmax.int, Interval(x, torch.tensor([1.0, inf, 2.0]).double()), -1).image
    assert over.lo.tolist() == [0, 0, 0] and over.hi.tolist() == [1, 1, 1]
