"""Products and quotients of two operands: slopes are the other factor's range."""

import itertools
import operator
from collections.abc import Callable
from typing import Any

import pytest
import torch

from autolip.intervals import Interval
from autolip.norms import Norm
from autolip.rules.products import matrix_product
from autolip.rules.rule import Action, Operand
from autolip.slopes import Between, Gain

aten = torch.ops.aten
Act = Callable[..., Action]


def box(lo: list[float], hi: list[float]) -> Interval:
    return Interval(torch.tensor(lo, dtype=torch.float64), torch.tensor(hi, dtype=torch.float64))


@pytest.mark.parametrize(
    ("target", "function"), [(aten.mul.Tensor, operator.mul), (aten.div.Tensor, operator.truediv)]
)
def test_the_image_is_that_of_the_corners(act: Act, target: Any, function: Any) -> None:
    x, y = box([-1.0, 2.0], [3.0, 2.5]), box([0.5, -4.0], [2.0, -0.25])
    corners = torch.stack([function(*pair) for pair in itertools.product(x.ends(), y.ends())])
    image = act(target, x, y).image
    assert bool((image.lo <= corners.amin(0)).all() and (corners.amax(0) <= image.hi).all())
    torch.testing.assert_close(image.lo, corners.amin(0), rtol=1e-12, atol=0)
    torch.testing.assert_close(image.hi, corners.amax(0), rtol=1e-12, atol=0)


def test_towards_each_factor_the_slope_is_the_range_of_the_other(act: Act) -> None:
    x, y = box([-1.0], [3.0]), box([0.5], [2.0])
    (_, by_x), (_, by_y) = act(aten.mul.Tensor, x, y).slopes
    assert isinstance(by_x, Between) and (by_x.lo.item(), by_x.hi.item()) == (0.5, 2.0)
    assert isinstance(by_y, Between) and (by_y.lo.item(), by_y.hi.item()) == (-1.0, 3.0)


def test_a_product_with_itself_is_a_square(act: Act) -> None:
    x = Operand("x", torch.Size([]), Interval.uniform(-1.0, 3.0, ()))
    ((_, slope),) = act(aten.mul.Tensor, x, x).slopes
    assert isinstance(slope, Between) and (slope.lo.item(), slope.hi.item()) == (-2.0, 6.0)


def test_a_divisor_that_may_be_zero_leaves_infinite_slopes(act: Act) -> None:
    x, y = box([1.0], [2.0]), box([-1.0], [1.0])
    for _, slope in act(aten.div.Tensor, x, y).slopes:
        assert isinstance(slope, Between) and not bool(slope.lo.isfinite().any())


def test_the_gain_of_a_matrix_product_is_the_norm_of_the_other_factor() -> None:
    """||dL R||_F <= ||dL||_F ||R||_2, attained where dL is a leading left singular vector of R."""
    r = torch.tensor([[3.0, 0.0], [4.0, 5.0]], dtype=torch.float64)
    left = Operand("l", torch.Size([1, 2]), Interval.uniform(-1.0, 1.0, (1, 2)))
    right = Operand("r", torch.Size([2, 2]), Interval(r, r))
    action = matrix_product(left, right, torch.Size([1, 2]))
    slope = {operand.name: slope for operand, slope in action.slopes}["l"]
    assert isinstance(slope, Gain)
    exact = torch.linalg.matrix_norm(r, 2).item()
    assert exact <= slope.norms[Norm.L2].value <= exact * (1 + 1e-3)


def test_a_matrix_product_with_an_unbounded_factor_may_be_anything() -> None:
    """Also where zeros meet what is not bounded."""
    known, unknown = (
        Interval.uniform(0.0, 0.0, (2, 2)),
        Interval.uniform(-1.0, float("inf"), (2, 2)),
    )
    for ranges in ((known, unknown), (unknown, known)):
        left, right = (Operand(n, x.shape, x) for n, x in zip("lr", ranges, strict=True))
        assert matrix_product(left, right, torch.Size([2, 2])).image.is_everywhere
