"""Balls in l1, l2 and linf: membership, projection, support and spread against rational
arithmetic."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from autolip.norms import Norm
from autolip.regions import Ball

SHAPE = torch.Size((1, 3, 2))


def gauss(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def doubles(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def truly_inside(ball: Ball, x: Tensor) -> bool:
    center = ball.center.expand(x.shape)
    offsets = [Fraction(a) - Fraction(b) for a, b in zip(x.tolist(), center.tolist(), strict=True)]
    radius = Fraction(ball.radius)
    if ball.norm is Norm.L2:
        return sum(offset**2 for offset in offsets) <= radius**2
    size = max(map(abs, offsets)) if ball.norm is Norm.LINF else sum(map(abs, offsets))
    return size <= radius


@pytest.mark.parametrize("norm", Norm)
@pytest.mark.parametrize("radius", [1.0, 1e-3, 1e-10, 0.1, 0.0])
def test_points_moved_inwards_are_inside_and_seen_to_be(norm: Norm, radius: float) -> None:
    ball = Ball(gauss(7), radius, norm)
    for x in ball.inward(ball.center + 3 * radius * gauss(200, 7, seed=1)):
        assert truly_inside(ball, x) and ball.contains(x)


@pytest.mark.parametrize("norm", Norm)
@pytest.mark.parametrize("scale", [1.0, 1e-3, 0.1, 1e-160, 5e-324, 1e-310, 1e160, 1e307])
def test_membership_in_a_ball_is_decided_exactly(norm: Norm, scale: float) -> None:
    """On the sphere and a unit in the last place beside it, also where squares underflow or
    overflow."""
    inside = 0
    for seed in range(40):
        center = gauss(2, seed=seed) * scale / 4
        ball = Ball(center, scale / 2, norm)
        step = {Norm.L1: (0.2, 0.3), Norm.L2: (0.3, 0.4), Norm.LINF: (0.5, 0.1)}[norm]
        x = center + doubles(*step) * scale * (-1) ** seed
        for one in (
            x,
            x.nextafter(doubles(1e308, 1e308)),
            x.nextafter(doubles(-1e308, -1e308)),
            center,
        ):
            assert ball.contains(one) == truly_inside(ball, one)
            inside += truly_inside(ball, one)
    assert 40 <= inside <= 160


def test_a_pythagorean_point_is_on_its_sphere() -> None:
    """3-4-5: exactly on the sphere, which a tolerance would leave in doubt."""
    ball = Ball(doubles(0.0, 0.0), 5.0)
    assert ball.contains(doubles(3.0, 4.0))
    assert not ball.contains(doubles(3.0, 4.0).nextafter(doubles(3.0, 9.0)))
    assert ball.contains(doubles(3.0, 4.0).nextafter(doubles(3.0, 0.0)))


def test_projection_alone_may_leave_an_linf_ball() -> None:
    """What `inward` is for: centre + radius is rounded, outwards about every other time."""
    ball = Ball(gauss(50), 0.1, Norm.LINF)
    corner = ball.project(ball.center[None] + 1)[0]
    assert not ball.contains(corner) and not truly_inside(ball, corner)


@pytest.mark.parametrize("norm", [Norm.LINF, "linf", "LINF", "inf", float("inf"), np.inf])
def test_a_ball_takes_a_norm_in_any_form(norm: Any) -> None:
    ball = Ball(np.zeros((1, 3), dtype=np.float32), np.float32(0.1), norm=norm)
    assert (ball.norm, ball.radius, ball.center.dtype) == (
        Norm.LINF,
        float(np.float32(0.1)),
        torch.float64,
    )


@pytest.mark.parametrize("radius", [0.3, 1.0, 4.0, 1e-9, 1e9])
def test_the_l1_projection_is_the_nearest_point(radius: float) -> None:
    """The optimality conditions: offsets shrink by one number theta >= 0, those below it to 0, and
    their moduli add up to the radius."""
    offsets = gauss(40, 6) * torch.logspace(-3, 3, 40, dtype=torch.float64).unsqueeze(1)
    nearest = Ball(0, radius, "l1").project(offsets)
    for x, y in zip(offsets, nearest, strict=True):
        if x.abs().sum() <= radius * (1 - 1e-12):
            assert torch.equal(x, y)
            continue
        assert y.abs().sum().item() == pytest.approx(radius, rel=1e-12)
        moved = x.abs() - y.abs()
        theta, scale = moved.max().item(), x.abs().max().item()
        stay = y != 0
        assert (x.sign() == y.sign())[stay].all() and theta >= 0
        assert moved[stay] == pytest.approx(torch.full_like(moved[stay], theta), abs=1e-13 * scale)
        assert (x.abs()[~stay] <= theta * (1 + 1e-12)).all()


def test_l1_projections_from_far_off_are_corners() -> None:
    """Where the radius is far below the offset, a threshold of the offset's size would cancel."""
    x = doubles(3.0, -7.0, 7.0 - 1e-9).unsqueeze(0)
    assert Ball(0, 1e-300, "l1").project(x)[0].tolist() == [0.0, pytest.approx(-1e-300), 0.0]
    assert Ball(0, 1e-300, "l1").project(1e308 * x.sign())[0].abs().sum() == pytest.approx(1e-300)
    assert (
        Ball(doubles(0.0, 1e308), 1, "l1")
        .project(doubles(-1.5e308, -1.5e308)[None])
        .isfinite()
        .all()
    )


def test_an_l1_ball_of_many_entries_keeps_its_projections() -> None:
    ball = Ball(gauss(20000), 3.0, "l1")
    for x in ball.inward(ball.center + gauss(3, 20000, seed=1) * doubles(1e-4, 1.0, 1e3)[:, None]):
        assert ball.contains(x)


def test_l1_projections_about_0_lie_inside() -> None:
    """There no centre is added: the projection alone must account for its rounding."""
    ball = Ball(0, 7.1, "l1")
    assert all(truly_inside(ball, x) for x in ball.project(gauss(100, 30)))


def dual(form: list[float], norm: Norm) -> Fraction:
    """The largest value of a form on the unit ball; in l2 its square."""
    sizes = [abs(Fraction(a)) for a in form]
    values = {Norm.L1: max(sizes), Norm.L2: sum(s * s for s in sizes), Norm.LINF: sum(sizes)}
    return Fraction(values[norm])


@pytest.mark.parametrize("norm", Norm)
@pytest.mark.parametrize("radius", [0.0, 1.0, 0.1, 1e-170, 1e150, 5e-324])
@pytest.mark.parametrize("scale", [1.0, 1e-150, 1e150])
def test_the_support_is_the_dual_norm_rounded_up(norm: Norm, radius: float, scale: float) -> None:
    """Above the exact value, and within a few units in the last place; not that of the box."""
    forms = torch.cat([gauss(30, 9) * scale, torch.zeros(1, 9).double()])
    support = Ball(gauss(9, seed=1), radius, norm).support(forms)
    power = 2 if norm is Norm.L2 else 1
    for form, found in zip(forms.tolist(), support.tolist(), strict=True):
        exact = dual(form, norm) * Fraction(radius) ** power
        if math.isinf(found):
            assert exact > Fraction(1e307) ** power
            continue
        assert exact <= Fraction(found) ** power
        least = max(0.0, found * (1 - 1e-14) - 1e-322)
        assert Fraction(least) ** power <= exact
    assert support[-1] == 0


@pytest.mark.parametrize("norm", Norm)
def test_a_form_that_overflowed_has_no_support_of_0(norm: Norm) -> None:
    """inf - inf is some number that is not known."""
    forms = doubles(math.nan, math.inf, -math.inf).unsqueeze(1)
    assert not (Ball(0, 1e-250, norm).support(forms) < math.inf).any()


@pytest.mark.parametrize("norm", Norm)
@pytest.mark.parametrize("other", Norm)
def test_the_spread_is_attained(norm: Norm, other: Norm) -> None:
    ball = Ball(gauss(9), 0.7, norm)
    points = [torch.eye(9)[0].double(), torch.ones(9).double()]
    far = max(other.of_rows(x[None]).item() / norm.of_rows(x[None]).item() for x in points)
    assert ball.spread(other, torch.Size([9])).value == pytest.approx(0.7 * far, rel=1e-15)
    assert Ball(0, 0, norm).spread(other, torch.Size([9])).value == 0


@pytest.mark.parametrize("norm", Norm)
def test_the_stride_is_half_a_side_of_the_cube_inside(norm: Norm) -> None:
    stride = Ball(0, 3.0, norm).stride(SHAPE)
    assert norm.of_rows(stride[None]).item() == pytest.approx(3.0)


@pytest.mark.parametrize("norm", list(Norm))
def test_projections_are_about_the_centre(norm: Norm) -> None:
    """Points inside stay where they are; on a line through the centre the border is met."""
    ball = Ball(doubles(10.0, -20.0), 2.0, norm)
    inside = torch.stack([doubles(10.5, -20.5), doubles(9.0, -19.5)])
    assert torch.allclose(ball.project(inside), inside, rtol=1e-15)
    beyond = torch.stack([doubles(15.0, -20.0), doubles(10.0, -27.0)])
    met = torch.stack([doubles(12.0, -20.0), doubles(10.0, -22.0)])
    assert torch.allclose(ball.project(beyond), met, rtol=1e-15)


def test_its_interval_holds_all_of_it() -> None:
    """Sums and differences that round inwards are stepped outwards."""
    centre = torch.randn(50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for radius in (0.1, 1 / 3, 1e-9, 1e5):
        found = Ball(centre, radius).interval(centre.shape)
        for lo, c, hi in zip(*(x.tolist() for x in (found.lo, centre, found.hi)), strict=True):
            assert Fraction(lo) <= Fraction(c) - Fraction(radius)
            assert Fraction(c) + Fraction(radius) <= Fraction(hi)


def test_a_ball_of_radius_0_is_settled() -> None:
    assert Ball(0, 0).settled(SHAPE).all() and not Ball(0, 1e-300).settled(SHAPE).any()


@pytest.mark.parametrize("norm", Norm)
def test_forms_that_are_no_numbers_have_an_infinite_support(norm: Norm) -> None:
    rows = doubles(math.nan, 1.0, math.inf, -math.inf, 0.0, math.inf).reshape(3, 2)
    assert Ball(doubles(0.0, 0.0), 2.0, norm).support(rows).tolist() == [math.inf] * 3
