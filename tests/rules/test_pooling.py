"""Pools."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from autolip.intervals import Interval
from autolip.norms import Norm
from autolip.operators.norms import NormOptions, operator_norm
from autolip.rules.pooling import adaptive, sliding
from autolip.rules.rule import Action
from autolip.slopes import Exact, Gain
from autolip.values import Upper

aten = torch.ops.aten
Act = Callable[..., Action]


def test_the_matrix_is_that_of_the_operation(
    affine_call: Any, check_affine: Callable[[Any], None]
) -> None:
    check_affine(affine_call)


def gains(action: Action) -> dict[Norm, float]:
    ((_, gain),) = action.slopes
    assert isinstance(gain, Gain)
    return {norm: bound.value for norm, bound in gain.norms.items()}


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation", "ceil_mode"),
    [
        (3, 2, 0, 1, False),
        (3, 2, 1, 1, True),
        (2, 2, 0, 1, False),
        (3, 1, 1, 2, False),
        (3, 4, 1, 1, True),
        (5, 1, 2, 1, False),
    ],
)
def test_windows_are_those_of_the_operation(
    kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool
) -> None:
    """A window holds an input exactly if raising this input alone raises the window's maximum."""
    size = 11
    peaks = torch.eye(size, dtype=torch.float64)[:, None]
    raised = F.max_pool1d(peaks, kernel, stride, padding, dilation, ceil_mode)[:, 0]
    assert torch.equal(
        sliding(size, kernel, stride, padding, dilation, ceil_mode).members, raised.T
    )


@pytest.mark.parametrize(("size", "count"), [(7, 3), (6, 3), (5, 8), (4, 1)])
def test_adaptive_windows_are_those_of_the_operation(size: int, count: int) -> None:
    raised = F.adaptive_max_pool1d(torch.eye(size, dtype=torch.float64)[:, None], count)[:, 0]
    assert torch.equal(adaptive(size, count).members, raised.T)


def test_overlapping_max_pool_has_l2_gain_two_and_attains_it(act: Act) -> None:
    """3 x 3 windows with stride 2: the pixel where four windows meet moves four outputs."""
    found = gains(act(aten.max_pool2d.default, Interval.everywhere((1, 1, 7, 7)), [3, 3], [2, 2]))
    assert found == {Norm.L1: 4.0, Norm.L2: 2.0, Norm.LINF: 1.0}
    x = torch.zeros(1, 1, 7, 7)
    x[0, 0, 2, 2] = 1.0
    assert F.max_pool2d(x, 3, 2).norm() == 2.0


def test_disjoint_windows_have_gain_one(act: Act) -> None:
    assert set(
        gains(act(aten.max_pool2d.default, Interval.everywhere((1, 2, 6, 6)), [2, 2])).values()
    ) == {1.0}
    assert set(
        gains(
            act(aten.adaptive_max_pool2d.default, Interval.everywhere((1, 2, 6, 6)), [3, 2])
        ).values()
    ) == {1.0}


def test_adaptive_windows_that_overlap_have_a_larger_gain(act: Act) -> None:
    found = gains(act(aten.adaptive_max_pool1d.default, Interval.everywhere((1, 1, 7)), [3]))
    assert found[Norm.L1] == 2.0


def test_the_place_of_a_maximum_jumps(act: Act) -> None:
    x = Interval.uniform(0.0, 1.0, (1, 1, 4, 4))
    action = act(aten.max_pool2d_with_indices.default, x, [2, 2], pick=1)
    assert set(gains(action).values()) == {float("inf")}
    assert action.image.lo.min() == 0 and action.image.hi.max() == 15


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_the_image_of_a_max_pool_is_that_of_the_ends(act: Act, dims: int) -> None:
    pool = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[dims - 1]
    target = (aten.max_pool1d, aten.max_pool2d, aten.max_pool3d)[dims - 1].default
    lo = torch.randn(1, 2, *[5] * dims, dtype=torch.float64)
    lo.view(-1)[::3] = -torch.inf
    image = act(target, Interval(lo, lo + 1), [3] * dims, [2] * dims, [1] * dims).image
    assert torch.equal(image.lo, pool(lo, 3, 2, 1)) and torch.equal(image.hi, pool(lo + 1, 3, 2, 1))


def test_a_mean_pool_of_disjoint_windows_has_norm_one_over_the_root(act: Act) -> None:
    ((_, slope),) = act(aten.avg_pool2d.default, Interval.everywhere((1, 3, 6, 6)), [2, 2]).slopes
    assert isinstance(slope, Exact)
    bound = operator_norm(slope.operator, Norm.L2, Norm.L2, NormOptions())
    assert isinstance(bound, Upper) and 0.5 <= bound.value <= 0.5 * (1 + 1e-6)


def test_a_mean_pool_keeps_a_half_line(act: Act) -> None:
    image = act(
        aten.avg_pool2d.default,
        Interval.uniform(0.0, torch.inf, (1, 1, 4, 4)),
        [3, 3],
        [1, 1],
        [1, 1],
    ).image
    assert (image.lo >= -1e-300).all() and (image.hi == torch.inf).all()
