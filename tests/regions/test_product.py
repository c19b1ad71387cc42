"""A product of regions: it answers as its parts do, for the inputs that it names."""

import itertools

import pytest
import torch

from autolip.errors import InputError
from autolip.norms import Norm
from autolip.regions import Ball, Box, Everywhere, Part, Product, as_region, read
from autolip.regions.region import Region
from autolip.testing import check_region

INPUTS = {"x": torch.Size([1, 3]), "state": torch.Size([2, 2])}
SHAPE = torch.Size([7])
PARTS: list[Region] = [
    Box([0, -1, 2], [1, 3, 2]),
    Ball(1, 0.5),
    Ball([0, 0, 1], 2, "l1"),
    Everywhere(),
]
STATES: list[Region] = [Ball([[1, 2], [3, 4]], 0.3, "linf"), Box(0, 1), Ball(0, 0), Everywhere()]


@pytest.mark.parametrize(("x", "state"), list(itertools.product(PARTS, STATES)))
def test_a_product_over_named_inputs_keeps_the_law(x: Region, state: Region) -> None:
    region = as_region({"state": state, "x": x}).over(INPUTS).shaped(SHAPE)
    check_region(region, SHAPE)


def test_a_point_is_inside_where_each_part_is() -> None:
    region = as_region([Box(0, 1), Ball(0, 1)]).over(INPUTS)
    inside = torch.tensor([0, 1, 0.5, 0.5, 0.5, 0.5, 0.5]).double()
    assert region.contains(inside)
    for entry in range(7):
        outside = inside.clone()
        outside[entry] -= 2.0
        assert not region.contains(outside)


def test_forms_and_distances_are_those_of_the_parts_together() -> None:
    region = as_region({"x": Ball(0, 3), "state": Ball(0, 4)}).over(INPUTS)
    assert 5 <= region.spread(Norm.L2, SHAPE).value <= 5 + 1e-14
    assert region.spread(Norm.L1, SHAPE).value == pytest.approx(3 * 3**0.5 + 4 * 2)
    assert region.spread(Norm.LINF, SHAPE).value == 4
    form = torch.tensor([[1.0, 0, 0, 0, 0, 0, 2]]).double()
    assert 11 <= region.support(form).item() <= 11 + 1e-13  # 3 |1| + 4 |2|


def test_a_part_without_end_leaves_the_others_their_ranges() -> None:
    region = as_region({"x": Box(2, 3)}).over(INPUTS)
    box = region.interval(SHAPE)
    assert box.lo[:3].tolist() == [2, 2, 2] and bool(box.hi[3:].isinf().all())
    assert region.centre(SHAPE) is None
    form = torch.tensor([[1.0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 1.0]]).double()
    first, second = region.support(form).tolist()  # from 0, there being no centre
    assert 3 <= first <= 3 + 1e-13 and second == float("inf")


def test_it_is_read_as_it_is_written() -> None:
    region = as_region({"x": Box(0, 1), "state": Ball(0, 1)}).over(INPUTS)
    assert read(region.describe()).describe() == region.describe()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"y": Box(0, 1)}, "there is a region for the input 'y': those that vary are x, state"),
        ({"x": Box(0, 1), "0": Box(0, 1)}, "an input has two regions"),
        ([Box(0, 1)] * 3, "there is a region for the input '2'"),
        ({"x": Ball([1, 2], 1)}, "the ball has 2 entries"),
        ({"x": 3}, "region is 3"),
        ({"x": Product([Part("a", Box(0, 1))])}, "is none itself"),
    ],
)
def test_what_does_not_fit_the_inputs_is_refused(given: object, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        as_region(given).over(INPUTS)


@pytest.mark.parametrize(
    "damaged",
    [
        {"parts": 3},
        {"parts": []},
        {"parts": [{"input": "x"}]},
        {"parts": [{"input": "x", "shape": [-1], "region": {"kind": "everywhere"}}]},
        {"parts": [{"input": "x", "shape": None, "region": {"kind": "cone"}}]},
        {"parts": [{"input": 3, "shape": None, "region": {"kind": "everywhere"}}]},
    ],
)
def test_a_damaged_description_is_refused(damaged: dict[str, object]) -> None:
    with pytest.raises(InputError):
        read({"kind": "product", **damaged})


def test_parts_that_do_not_make_up_the_input_are_refused() -> None:
    region = Product([Part("x", Box(0, 1), torch.Size([3])), Part("y", Box(0, 1), torch.Size([2]))])
    with pytest.raises(InputError, match="do not make up the input of shape"):
        region.interval(torch.Size([7]))
