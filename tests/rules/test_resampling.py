"""Linear and cubic interpolation."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
import torch

from autolip.intervals import Interval
from autolip.rules.resampling import cubic, interpolation, linear
from autolip.rules.rule import Action

aten = torch.ops.aten
Act = Callable[..., Action]


def test_the_matrix_is_that_of_the_operation(
    affine_call: Any, check_affine: Callable[[Any], None]
) -> None:
    check_affine(affine_call)


@pytest.mark.parametrize("kernel", [linear, cubic])
@pytest.mark.parametrize("align", [True, False])
def test_weights_sum_to_one(kernel: Any, align: bool) -> None:
    for place in (Fraction(-1, 3), Fraction(0), Fraction(7, 5), Fraction(22, 5)):
        assert sum(weight for _, weight in kernel(place, 5)) == 1
    matrix, error = interpolation(5, 7, kernel, align, None)
    torch.testing.assert_close(matrix.sum(1), torch.ones(7).double())
    assert error > 0


def test_doubling_has_exact_weights() -> None:
    assert interpolation(4, 8, linear, False, 2.0)[1] == 0.0


def test_a_constant_image_stays_in_its_range(act: Act) -> None:
    image = act(
        aten.upsample_bilinear2d.vec, Interval.uniform(0.0, 1.0, (1, 1, 3, 3)), [7, 5], False, None
    ).image
    assert image.lo.min() >= -1e-12 and image.hi.max() <= 1 + 1e-12
