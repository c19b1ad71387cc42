"""Copies and sums of entries."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from autolip.errors import UnsupportedOperation
from autolip.intervals import Interval
from autolip.norms import Norm
from autolip.operators.incidence import Incidence
from autolip.operators.norms import NormOptions, operator_norm
from autolip.rules.rule import Action
from autolip.slopes import Exact
from autolip.values import Upper

aten = torch.ops.aten
Act = Callable[..., Action]


def test_the_matrix_is_that_of_the_operation(
    affine_call: Any, check_affine: Callable[[Any], None]
) -> None:
    check_affine(affine_call)


def operator(action: Action) -> Incidence:
    ((_, slope),) = action.slopes
    assert isinstance(slope, Exact) and isinstance(slope.operator, Incidence)
    return slope.operator


def test_permutations_are_isometries_and_selections_select(act: Act) -> None:
    x = Interval.everywhere((2, 4, 3, 3))
    assert operator(act(aten.permute.default, x, [3, 1, 0, 2])).is_isometry
    assert operator(act(aten.pixel_shuffle.default, x, 2)).is_isometry
    assert operator(act(aten.slice.Tensor, x, 1, 1)).is_selection
    assert not operator(
        act(aten.col2im.default, Interval.everywhere((1, 8, 6)), *COL2IM)
    ).is_selection


COL2IM = ([3, 4], [2, 2], [1, 1], [0, 0], [1, 1])


def test_an_operand_used_twice_is_one_operator(act: Act) -> None:
    """[x, x] has l2 norm sqrt(2), not 1 + 1."""
    x = Interval.uniform(-1.0, 1.0, (3,))
    joined = act(aten.tile.default, x, [2])
    bound = operator_norm(operator(joined), Norm.L2, Norm.L2, NormOptions())
    assert isinstance(bound, Upper) and bound.value == pytest.approx(2**0.5)


def test_an_unknown_range_stays_one_number(act: Act) -> None:
    x = Interval.everywhere((2, 6))
    for action in (
        act(aten.view.default, x, [3, 4]),
        act(aten.t.default, x),
        act(aten.select.int, x, 0, 1),
    ):
        assert action.image.is_uniform and action.image.is_everywhere


def test_the_image_of_a_copy_is_exact(act: Act) -> None:
    lo = torch.tensor([0.1, 0.2], dtype=torch.float64)
    image = act(aten.cat.default, [Interval(lo, lo), torch.tensor([0.3]).double()]).image
    assert image.lo.tolist() == image.hi.tolist() == [0.1, 0.2, float(torch.tensor(0.3))]


def test_the_image_of_a_sum_contains_its_rounding(act: Act) -> None:
    x = torch.tensor([0.1, 0.2], dtype=torch.float64).diag()
    image = act(aten.trace.default, Interval(x, x)).image
    assert image.lo.item() < 0.1 + 0.2 < image.hi.item()


def test_every_part_of_a_split_has_its_own_map(act: Act) -> None:
    x = torch.arange(10.0, dtype=torch.float64).reshape(2, 5)
    for pick, part in enumerate(x.unbind(1)):
        action = act(aten.unbind.int, Interval(x, x), 1, pick=pick)
        assert torch.equal(action.image.lo, part)
        assert torch.equal(operator(action).mv(x[None])[0], part)


@pytest.mark.parametrize("target", [aten.gather.default, aten.index_select.default])
def test_a_varying_index_is_a_jump(act: Act, target: Any) -> None:
    x = Interval.uniform(0.0, 1.0, (3,))
    action = act(target, x, 0, x)
    assert not any(slope.is_finite for _, slope in action.slopes)
    assert action.image.contains(torch.full((3,), 1e300, dtype=torch.float64))


def test_indices_that_may_be_masks_are_refused(act: Act) -> None:
    x = Interval.uniform(0.0, 1.0, (3,))
    with pytest.raises(UnsupportedOperation, match="indices"):
        act(aten.index_put.default, x, [x], torch.zeros(3, dtype=torch.float64))
