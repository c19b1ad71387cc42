"""A ball in units: decided exactly, and bounded as the differences in their units are."""

import itertools
from fractions import Fraction

import pytest
import torch

from autolip import Ball, ScaledBall
from autolip.errors import InputError
from autolip.norms import Norm
from autolip.regions import read
from autolip.testing import check_region

SHAPE = torch.Size([1, 3])
UNITS = torch.tensor([[0.1, 3.0, 255.0]]).double()


@pytest.mark.parametrize("norm", list(Norm))
def test_entries_of_many_sizes_keep_the_law(norm: Norm) -> None:
    check_region(ScaledBall([1, -2, 0.3], 0.7, norm, UNITS), SHAPE)
    check_region(ScaledBall(0.1, 1e-3, norm, UNITS.flatten().tolist()), SHAPE)
    check_region(ScaledBall(1e6, 1e-9, norm, UNITS), SHAPE)  # few doubles are in it
    check_region(ScaledBall([0.1, -3, 1e9], 1e-16, norm, [1, 1e3, 1e12]), SHAPE)


def test_its_reach_is_rounded_up() -> None:
    for radius, scale in ((0.1, 0.3), (0.7, 1 / 3), (3.3, 255.0), (1e-5, 0.1)):
        reach = ScaledBall(0, radius, "linf", scale).reach(SHAPE)[0, 0].item()
        assert Fraction(reach) >= Fraction(radius) * Fraction(scale)
        assert reach <= radius * scale * (1 + 1e-15)


def test_its_interval_holds_all_of_it() -> None:
    """Sums and differences that round inwards are stepped outwards."""
    generator = torch.Generator().manual_seed(0)
    for seed in range(40):
        centre = torch.randn(SHAPE, generator=generator, dtype=torch.float64)
        radius, units = 0.1 * (seed + 1), UNITS / (seed + 3)
        found = ScaledBall(centre, radius, "linf", units).interval(SHAPE)
        for lo, c, s, hi in zip(
            *(x.flatten().tolist() for x in (found.lo, centre, units, found.hi)), strict=True
        ):
            reach = Fraction(radius) * Fraction(s)
            assert Fraction(lo) <= Fraction(c) - reach and Fraction(c) + reach <= Fraction(hi)


@pytest.mark.parametrize("norm", list(Norm))
def test_in_equal_units_it_is_a_ball_of_another_radius(norm: Norm) -> None:
    scaled, plain = ScaledBall(0.5, 3, norm, 0.25), Ball(0.5, 0.75, norm)
    forms = torch.randn(5, *SHAPE).double()
    assert torch.allclose(scaled.support(forms), plain.support(forms))
    assert torch.allclose(scaled.interval(SHAPE).hi, plain.interval(SHAPE).hi)
    for other in Norm:
        assert scaled.spread(other, SHAPE).value == pytest.approx(plain.spread(other, SHAPE).value)
    for x in 0.5 + 0.7 * torch.randn(100, *SHAPE).double():
        assert scaled.contains(x) == plain.contains(x)


@pytest.mark.parametrize(("own", "norm"), list(itertools.product(Norm, Norm)))
def test_its_spread_is_attained(own: Norm, norm: Norm) -> None:
    """By corners, by units, or along the units where the constant of Hoelder's inequality is."""
    ball = ScaledBall(0, 2, own, UNITS)
    directions = torch.cat(
        [torch.eye(3).reshape(3, 1, 3).double(), torch.ones(1, 1, 3), UNITS[None]]
    )
    power = 2 if (own, norm) == (Norm.LINF, Norm.L2) else 1
    directions = torch.cat([directions, directions**power]).double()
    points = directions / own.of_rows(directions).reshape(-1, 1, 1) * 2 * UNITS
    farthest = norm.of_rows(points).max().item()
    assert farthest <= ball.spread(norm, SHAPE).value <= farthest * (1 + 1e-9)


def test_a_point_on_the_border_is_decided_exactly() -> None:
    ball = ScaledBall(0, 1, "l1", [0.1, 0.1, 0.1])
    share = torch.tensor([[0.05, 0.05, 0.0]], dtype=torch.float64)  # halves of 0.1, exactly
    assert ball.contains(share)
    assert not ball.contains(share.nextafter(torch.ones_like(share)))
    line = ScaledBall(0, 1, "linf", 0.3)
    end = torch.full(SHAPE, 0.3, dtype=torch.float64)
    assert line.contains(end)
    assert not line.contains(end.nextafter(torch.ones_like(end)))


def test_it_is_read_as_it_is_written() -> None:
    ball = ScaledBall(0.5, 0.1, "linf", UNITS).shaped(SHAPE)
    assert read(ball.describe()).describe() == ball.describe()


@pytest.mark.parametrize("scale", [0, -1, [1, 2, 0], float("nan"), [1e40], "metre"])
def test_what_are_no_units_is_refused(scale: object) -> None:
    with pytest.raises(InputError, match="the ball's scale"):
        ScaledBall(0, 1, "l2", scale)


def test_units_for_another_input_are_refused() -> None:
    with pytest.raises(InputError, match="the ball's scale has 2 entries"):
        ScaledBall(0, 1, "l2", [1, 2]).interval(SHAPE)
