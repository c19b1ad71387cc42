"""Directed scalars, norms of vectors and intervals against rational arithmetic: each rounding has
its input."""

import math
import random
from fractions import Fraction

import pytest
import torch

from autolip.intervals import Interval, centre_and_radius
from autolip.lower.certify import _gain, length_above
from autolip.norms import Norm
from autolip.operators.norms.engine import upper
from autolip.operators.norms.rounding import upper_sum
from autolip.regions import Ball
from autolip.roundoff import gamma, scale_float, upper_norm
from autolip.values import Upper, round_down, round_up

RANDOM = random.Random(0)
NUMBERS = [RANDOM.uniform(0.1, 10.0) for _ in range(200)]
PAIRS = list(zip(NUMBERS, NUMBERS[::-1], strict=True))


def doubles(*numbers: float) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def test_sums_products_and_roots_of_bounds() -> None:
    for a, b in PAIRS:
        x, y = Upper(a), Upper(b)
        assert Fraction((x + y).value) >= Fraction(a) + Fraction(b)
        assert Fraction((x * y).value) >= Fraction(a) * Fraction(b)
        assert Fraction(x.sqrt().value) ** 2 >= Fraction(a)


@pytest.mark.parametrize("square", [math.nextafter(1.0, 2.0), float((2**28 + 3) ** 2), 0.25, 2.0])
def test_a_root_is_exact_only_where_its_square_is(square: float) -> None:
    """(2^28 + 3)^2 is rounded up, to a number whose root is rounded down to 2^28 + 3 and squared to
    itself again."""
    assert Fraction(Upper(square).sqrt().value) ** 2 >= Fraction(square)


def test_one_step_up_and_one_step_down() -> None:
    for a, b in PAIRS:
        assert (
            Fraction(round_up(a / b)) * Fraction(b)
            >= Fraction(a)
            >= Fraction(round_down(a / b)) * Fraction(b)
        )
    assert upper(1.0, ulps=2).value == 1 + 2.0**-51


def test_equivalence_of_norms() -> None:
    for size in range(1, 200):
        assert Fraction(Norm.LINF.equivalence(Norm.L2, size).value) ** 2 >= size


def test_gamma_is_rounded_up() -> None:
    for terms in range(1, 2000):
        share = Fraction(terms, 2**53)
        assert Fraction(gamma(terms)) >= share / (1 - share)


def test_intervals_are_rounded_outward() -> None:
    for a, b in PAIRS:
        x, y = Interval(doubles(-a), doubles(a)), Interval(doubles(b), doubles(b))
        product, total = x * y, x + y
        assert min(Fraction(product.hi.item()), -Fraction(product.lo.item())) >= Fraction(
            a
        ) * Fraction(b)
        assert Fraction(total.hi.item()) >= Fraction(a) + Fraction(b)
        assert Fraction(total.lo.item()) <= Fraction(b) - Fraction(a)
        wide = y.widen(relative=2.0**-30, absolute=a)
        reach = Fraction(b) * Fraction(2.0**-30) + Fraction(a)
        assert (
            Fraction(wide.lo.item()) <= Fraction(b) - reach
            and Fraction(wide.hi.item()) >= Fraction(b) + reach
        )


def test_the_box_around_a_ball() -> None:
    for a, b in PAIRS:
        box = Ball(doubles(a), b).interval(torch.Size([1]))
        assert Fraction(box.lo.item()) <= Fraction(a) - Fraction(b) and Fraction(
            box.hi.item()
        ) >= Fraction(a) + Fraction(b)


def test_the_norm_of_a_vector() -> None:
    for seed in range(20):
        x = torch.rand(1000, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        square = sum(Fraction(v) ** 2 for v in x.tolist())
        assert Fraction(upper_norm(x)) ** 2 >= square
        assert Fraction(upper_norm(x[:3])) ** 2 >= sum(Fraction(v) ** 2 for v in x[:3].tolist())
    one = doubles(2.0**-1074, 2.0**-1074)
    assert Fraction(upper_norm(one)) ** 2 >= 2 * Fraction(2) ** -2148


def test_scaling_into_the_subnormal_numbers() -> None:
    for value in NUMBERS:
        assert Fraction(scale_float(value, -1073)) >= Fraction(value) * Fraction(2) ** -1073


def test_sums_of_tensors() -> None:
    generator = torch.Generator().manual_seed(0)
    parts = [torch.rand(200, generator=generator, dtype=torch.float64) for _ in range(9)]
    exact = [
        sum(map(Fraction, column))
        for column in zip(*(part.tolist() for part in parts), strict=True)
    ]
    assert all(Fraction(v) >= e for v, e in zip(upper_sum(parts).tolist(), exact, strict=True))


def test_the_run_of_a_secant_and_its_rise() -> None:
    """x - y is rounded before its length is taken, and u (f(x) - f(y)) twice before it is
    summed."""
    for seed in range(50):
        x, y, u = torch.rand(
            3, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
        )
        exact = [Fraction(a) - Fraction(b) for a, b in zip(x.tolist(), y.tolist(), strict=True)]
        assert Fraction(length_above(x - y, Norm.L1)) >= sum(map(abs, exact))
        assert Fraction(length_above(x - y, Norm.L2)) ** 2 >= sum(d * d for d in exact)
        assert Fraction(length_above(x - y, Norm.LINF)) >= max(map(abs, exact))
        rise = sum(Fraction(a) * d for a, d in zip(u.tolist(), exact, strict=True))
        assert Fraction(_gain(u, torch.stack([x, y]), 0.0)) <= rise


def test_centre_and_radius() -> None:
    """Intervals of all sizes and places: from one double to the next, across zero, subnormal."""
    generator = torch.Generator().manual_seed(0)
    lo, span = torch.randn(2, 4000, generator=generator, dtype=torch.float64)
    scale = 2.0 ** torch.randint(-60, 3, (2, 4000), generator=generator).double()
    lo = torch.cat([lo * scale[0], doubles(0.0, 0.7, -5e-324, 5e-324, -1e308, 1e-30, -math.inf)])
    hi = torch.cat(
        [lo[:4000] + span.abs() * scale[1], doubles(1.0, 0.7, 0.0, 5e-324, 1.7e308, 1.0)]
    )
    hi = torch.cat([hi, doubles(3.0)])
    centre, radius = centre_and_radius(lo, hi)
    assert (centre[-1].item(), radius[-1].item()) == (0.0, math.inf)
    assert radius[:4000].gt(0).any() and torch.equal(radius == 0, lo == hi)
    for a, b, c, r in zip(*(x[:-1].tolist() for x in (lo, hi, centre, radius)), strict=True):
        reach = max(Fraction(b) - Fraction(c), Fraction(c) - Fraction(a))
        assert Fraction(math.nextafter(r, -1.0)) < reach <= Fraction(r)
