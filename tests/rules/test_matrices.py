"""Matrix products."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from autolip.errors import UnsupportedOperation
from autolip.intervals import Interval
from autolip.norms import Norm
from autolip.operators.dense import Dense
from autolip.rules.matrices import along
from autolip.rules.rule import Action
from autolip.slopes import Exact, Gain

aten = torch.ops.aten
Act = Callable[..., Action]


def test_the_matrix_is_that_of_the_operation(
    affine_call: Any, check_affine: Callable[[Any], None]
) -> None:
    check_affine(affine_call)


def test_a_linear_layer_is_one_dense_operator(act: Act) -> None:
    ((_, slope),) = act(
        aten.linear.default, Interval.everywhere((2, 3)), torch.ones(4, 3).double(), None
    ).slopes
    assert isinstance(slope, Exact) and isinstance(slope.operator, Dense)
    assert act(
        aten.linear.default, Interval.everywhere((2, 3)), torch.ones(4, 3).double(), None
    ).image.is_everywhere


def test_a_varying_weight_is_refused(act: Act) -> None:
    x = Interval.uniform(0.0, 1.0, (3, 3))
    with pytest.raises(UnsupportedOperation, match="write it as a product"):
        act(aten.linear.default, x, x, None)


def test_a_factor_that_serves_several_batches_has_a_larger_gain(act: Act) -> None:
    """x -> (x A, x B) with A = B = I: the l2 gain is sqrt(2), the l1 gain 2."""
    eye = torch.eye(2, dtype=torch.float64).expand(2, 2, 2)
    action = act(aten.matmul.default, Interval.uniform(-1.0, 1.0, (2, 2)), Interval(eye, eye))
    (_, gain), _ = action.slopes
    assert isinstance(gain, Gain)
    assert gain.norms[Norm.L2].value >= 2**0.5 and gain.norms[Norm.L1].value >= 2.0
    assert gain.norms[Norm.L2].value == pytest.approx(2**0.5) and gain.norms[
        Norm.LINF
    ].value == pytest.approx(1.0)


def test_along_applies_the_matrix_to_one_axis() -> None:
    matrix, x = torch.randn(5, 3, dtype=torch.float64), torch.randn(2, 3, 4, dtype=torch.float64)
    expected = torch.einsum("ij,bjk->bik", matrix, x)
    torch.testing.assert_close(along(matrix, (2, 3, 4), 1).mv(x[None])[0], expected)
