"""Boxes: exact ends, in any form that a person may write."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from autolip.norms import Norm
from autolip.regions import Ball, Box

SHAPE = torch.Size((1, 3, 2))


def doubles(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_boxes_are_exact() -> None:
    box = Box([0, 0], [1, 1])
    assert box.contains(doubles(0.0, 1.0))
    assert not box.contains(doubles(0.0, 1.0 + 2**-52))
    assert not box.contains(doubles(-5e-324, 1.0))
    assert not box.contains(doubles(float("nan"), 0.0))


def test_flat_boxes_take_the_shape_of_the_input() -> None:
    box = Box(torch.zeros(6), torch.ones(6))
    assert box.interval(SHAPE).shape == SHAPE


@pytest.mark.parametrize(
    "ends", [(0, 1), (0.0, np.ones(6)), ([0.0] * 6, 1), (torch.zeros(SHAPE), np.float32(1))]
)
def test_one_number_holds_for_every_entry(ends: tuple[Any, Any]) -> None:
    box = Box(*ends).shaped(SHAPE)
    assert torch.equal(box.lo, torch.zeros(SHAPE, dtype=torch.float64))
    assert torch.equal(box.hi, torch.ones(SHAPE, dtype=torch.float64))
    assert len(box.describe()["lo"]) == 6  # type: ignore[arg-type]
    assert torch.equal(Ball(ends[0], 1).shaped(SHAPE).center, box.lo)


def test_a_region_is_a_copy() -> None:
    ends = np.zeros(2), np.ones(2)
    box, center = Box(*ends), torch.zeros(2, dtype=torch.float64)
    ball = Ball(center, 1)
    ends[1][:] = 7.0
    center += 7.0
    assert box.hi.tolist() == [1.0, 1.0] and ball.center.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("scale", [1.0, 1e-150, 1e150])
def test_the_support_is_the_sum_of_the_reaches(scale: float) -> None:
    generator = torch.Generator().manual_seed(0)
    lo, width, form = torch.randn(3, 40, generator=generator, dtype=torch.float64)
    box = Box(lo, lo + width.abs() * torch.logspace(-20, 3, 40, dtype=torch.float64))
    centre = box.centre(lo.shape)
    assert centre is not None and box.contains(centre)
    for rows in (form, -form, torch.eye(40).double()[3], torch.zeros(40).double()):
        found = box.support(rows[None] * scale).item()
        corner = torch.where(rows > 0, box.hi, box.lo)
        numbers = zip((rows * scale).tolist(), corner.tolist(), centre.tolist(), strict=True)
        exact = sum(Fraction(a) * (Fraction(b) - Fraction(c)) for a, b, c in numbers)
        assert exact <= Fraction(found) <= exact * (1 + Fraction(1, 10**14)) + Fraction(5e-324) * 99
        assert (exact == 0) == (found == 0)


def test_what_cannot_move_is_settled() -> None:
    box = Box([0.0, 1.0, 2.0, 5e-324], [0.0, 1.5, 2.0, 0.0 + 1e-323])
    assert box.settled(torch.Size([4])).tolist() == [True, False, True, False]
    assert box.reach(torch.Size([4]))[0] == 0 and box.stride(torch.Size([4]))[0] == 0


def test_the_spread_is_that_of_the_corners() -> None:
    box = Box([-3.0, 0.0], [3.0, 8.0])
    spread = [box.spread(norm, torch.Size([2])).value for norm in (Norm.L1, Norm.L2, Norm.LINF)]
    assert spread == pytest.approx([7.0, 5.0, 4.0], rel=1e-14) and spread[1] >= 5
