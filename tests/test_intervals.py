"""Intervals contain the exact image of every operation."""

import math
from fractions import Fraction

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autolip.intervals import Interval, mean

ends = st.floats(-1e6, 1e6, allow_nan=False)


def interval(a: float, b: float) -> Interval:
    lo, hi = (torch.tensor([end], dtype=torch.float64) for end in (min(a, b), max(a, b)))
    return Interval(lo, hi)


@settings(max_examples=200)
@given(ends, ends, ends, ends, st.floats(0, 1), st.floats(0, 1))
def test_products_sums_and_differences_contain_every_value(
    a: float, b: float, c: float, d: float, s: float, t: float
) -> None:
    x, y = interval(a, b), interval(c, d)
    u = min(max(x.lo.item() + s * (x.hi.item() - x.lo.item()), x.lo.item()), x.hi.item())
    v = min(max(y.lo.item() + t * (y.hi.item() - y.lo.item()), y.lo.item()), y.hi.item())
    for found, meant in (
        (x * y, Fraction(u) * Fraction(v)),
        (x + y, Fraction(u) + Fraction(v)),
        (x - y, Fraction(u) - Fraction(v)),
    ):
        assert Fraction(found.lo.item()) <= meant <= Fraction(found.hi.item())


def test_ends_are_rounded_outward() -> None:
    """1 + 2^-60 and 1 - 2^-60 are none; products of (1 + 2^-30) are not either."""
    one, little, near = (interval(x, x) for x in (1.0, 2.0**-60, 1 + 2.0**-30))
    for found, meant in (
        (one + little, 1 + Fraction(2) ** -60),
        (one + interval(-(2.0**-60), -(2.0**-60)), 1 - Fraction(2) ** -60),
        (near * near, (1 + Fraction(2) ** -30) ** 2),
    ):
        assert Fraction(found.lo.item()) < meant < Fraction(found.hi.item())


def test_zero_times_infinity_is_zero() -> None:
    everything, nothing = Interval.everywhere((2,)), Interval.uniform(0.0, 0.0, (2,))
    product = everything * nothing
    assert product.magnitude().max() <= 1e-300


def test_uniform_intervals_are_one_number() -> None:
    box = Interval.uniform(-1.0, 2.0, (3, 4))
    assert box.is_uniform and box.ends()[0].shape == () and not box.is_everywhere
    assert Interval.everywhere((5,)).is_everywhere
    assert Interval.uniform(-math.inf, 1.0, (2,)).is_bounded is False


def test_what_lies_in_both_intervals_lies_in_their_meet() -> None:
    a, b = interval(-1.0, 2.0), interval(0.5, 3.0)
    assert (a.meet(b).lo.item(), a.meet(b).hi.item()) == (0.5, 2.0)
    assert a.magnitude().item() == 2.0 and interval(-5.0, 1.0).magnitude().item() == 5.0


def test_a_point_is_inside_where_every_entry_is() -> None:
    box = Interval(torch.zeros(2).double(), torch.ones(2).double())
    assert box.contains(torch.tensor([0.0, 1.0]).double()) and not box.contains(
        torch.tensor([0.5, 2.0]).double()
    )


def test_the_mean_with_a_part_is_rounded_outward_and_stays_inside() -> None:
    generator = torch.Generator().manual_seed(0)
    for scale in (1.0, 1e-323, 1e300):
        x = torch.randn(300, generator=generator, dtype=torch.float64) * scale
        y = torch.randn(300, generator=generator, dtype=torch.float64) * scale
        found = mean(Interval(x.minimum(y), x.maximum(y)), Interval(x, x))
        for lo, hi, a, b in zip(found.lo, found.hi, x, y, strict=True):
            ends = Fraction(a.item()), (Fraction(a.item()) + Fraction(b.item())) / 2
            assert Fraction(lo.item()) <= min(ends) and max(ends) <= Fraction(hi.item())
            assert min(a, b) <= lo and hi <= max(a, b)
