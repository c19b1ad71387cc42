"""Membership in a region, against rational arithmetic."""

from fractions import Fraction

import pytest
import torch
from torch import Tensor

from autolip.lower.membership import inside, settled
from autolip.norms import Norm
from autolip.regions import Ball, Box, Everywhere


def gauss(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def truly_inside(ball: Ball, x: Tensor) -> bool:
    offsets = [Fraction(a) - Fraction(b) for a, b in zip(x.tolist(), ball.center.tolist(), strict=True)]
    if ball.norm is Norm.LINF:
        return max(map(abs, offsets)) <= Fraction(ball.radius)
    return sum(offset**2 for offset in offsets) <= Fraction(ball.radius) ** 2


@pytest.mark.parametrize("norm", [Norm.L2, Norm.LINF])
@pytest.mark.parametrize("radius", [1.0, 1e-3, 1e-10, 0.1])
def test_never_says_inside_of_a_point_outside(norm: Norm, radius: float) -> None:
    ball = Ball(gauss(7), radius, norm)
    for seed in range(200):
        x = ball.project(ball.center + 3 * radius * gauss(1, 7, seed=seed))[0]
        assert truly_inside(ball, x) or not inside(ball, x)


@pytest.mark.parametrize("norm", [Norm.L2, Norm.LINF])
@pytest.mark.parametrize("radius", [1.0, 1e-3, 1e-10, 0.1, 0.0])
def test_settled_points_are_inside_and_seen_to_be(norm: Norm, radius: float) -> None:
    ball = Ball(gauss(7), radius, norm)
    for x in settled(ball, ball.center + 3 * radius * gauss(200, 7, seed=1)):
        assert truly_inside(ball, x) and inside(ball, x)


def test_projection_alone_may_leave_an_linf_ball() -> None:
    """What `settled` is for: centre + radius is rounded, outwards about every other time."""
    ball = Ball(gauss(50), 0.1, Norm.LINF)
    corner = ball.project(ball.center[None] + 1)[0]
    assert not inside(ball, corner) and not truly_inside(ball, corner)


def test_boxes_are_exact() -> None:
    box = Box(torch.zeros(2), torch.ones(2))
    assert inside(box, torch.tensor([0.0, 1.0], dtype=torch.float64))
    assert not inside(box, torch.tensor([0.0, 1.0 + 2**-52], dtype=torch.float64))
    assert not inside(box, torch.tensor([-5e-324, 1.0], dtype=torch.float64))


def test_only_finite_points_are_inside_everywhere() -> None:
    assert inside(Everywhere(), torch.tensor([1e308], dtype=torch.float64))
    assert not inside(Everywhere(), torch.tensor([float("inf")], dtype=torch.float64))
