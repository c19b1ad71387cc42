"""Secants from one point: exact for relu, nearly so for curved functions, sound whatever is known
of the point."""

from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from autolip import Ball, lipschitz
from autolip.intervals import Interval
from autolip.rules import RULES
from autolip.rules.curves import slope_range
from autolip.rules.derive import action_of
from autolip.rules.rule import Operand, Pointwise
from autolip.rules.secants import secant_range
from autolip.slopes import Between

aten = torch.ops.aten

CURVED = (
    aten.gelu.default,
    aten.tanh.default,
    aten.silu.default,
    aten.exp.default,
    aten.softplus.default,
    aten.mish.default,
    aten.elu.default,
    aten.hardswish.default,
    aten.sigmoid.default,
    aten.erf.default,
)


def doubles(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def on(lo: Tensor, hi: Tensor, c: Tensor, width: float = 0.0) -> Operand:
    centre = Interval(c - width, c + width).meet(Interval(lo, hi))
    return Operand("x", lo.shape, Interval(lo, hi), centre)


def curve_of(target: Any, x: Operand) -> Pointwise:
    (record,) = RULES[target](x)
    assert isinstance(record, Pointwise)
    return record


def drawn(count: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Ranges of many widths, and a point of each: inside, or at an end."""
    generator = torch.Generator().manual_seed(seed)
    a, b, share = (torch.rand(count, generator=generator, dtype=torch.float64) for _ in range(3))
    width = 10 ** (5 * b - 4)
    lo = 8 * a - 4 - width / 2
    share[::7] = 0.0
    share[1::7] = 1.0
    return lo, lo + width, (lo + share * width).clamp(lo, lo + width)


def test_relu_has_the_slopes_of_its_two_chords() -> None:
    """v > 0 > l: [v / (v - l), 1]; v < 0 < h: [0, h / (h - v)]; v and range on one side: one."""
    lo = doubles(-1.0, -3.0, -1.0, 0.5, -4.0, -2.0, 0.0)
    hi = doubles(3.0, 1.0, 2.0, 3.0, -1.0, 2.0, 2.0)
    v = doubles(1.0, -1.0, 0.0, 1.0, -2.0, 0.5, 1.0)
    found = secant_range(curve_of(aten.relu.default, on(lo, hi, v)))
    assert found.lo.tolist() == pytest.approx([0.5, 0.0, 0.0, 1.0, 0.0, 0.2, 1.0], abs=1e-14)
    assert found.hi.tolist() == pytest.approx([1.0, 0.5, 1.0, 1.0, 0.0, 1.0, 1.0], abs=1e-14)
    assert found.lo[0] <= 0.5 and found.hi[1] >= 0.5


def test_the_chords_of_relu_are_rounded_outward() -> None:
    """Compared in rational arithmetic, with what is known of v as wide as a rounding."""
    generator = torch.Generator().manual_seed(0)
    low, high, inner = (torch.rand(500, generator=generator, dtype=torch.float64) for _ in range(3))
    lo, hi = -low, high
    v = torch.where(inner < 0.5, lo * inner, hi * inner)
    for width in (0.0, 2.0**-50):
        found = secant_range(curve_of(aten.relu.default, on(lo, hi, v, width)))
        for least, most, a, b, c in zip(found.lo, found.hi, lo, hi, v, strict=True):
            t, there = Fraction(a.item() if c > 0 else b.item()), Fraction(c.item())
            chord = (max(t, Fraction(0)) - max(there, Fraction(0))) / (t - there)
            assert Fraction(least.item()) <= chord <= Fraction(most.item())


@pytest.mark.parametrize("target", CURVED)
@pytest.mark.parametrize("width", [0.0, 1e-13, 1e-3])
def test_secants_are_held_and_reached(target: Any, width: float) -> None:
    lo, hi, c = drawn(300, 1)
    x = on(lo, hi, c, width)
    curve = curve_of(target, x)
    found, known = secant_range(curve), slope_range(curve)
    assert (found.lo >= known.lo).all() and (found.hi <= known.hi).all()
    assert x.centre is not None
    share = torch.linspace(0, 1, 1001, dtype=torch.float64)[:, None]
    t = lo + share * (hi - lo)
    for there in (x.centre.lo, c, x.centre.hi):
        apart = (t - there).abs() > 1e-7 * (1 + there.abs())
        secants = (target(t) - target(there)) / (t - there)
        least = secants.where(apart, torch.inf).amin(0)
        most = secants.where(apart, -torch.inf).amax(0)
        assert (found.lo <= least + 1e-7).all() and (found.hi >= most - 1e-7).all()
    if not width:
        wide = hi - lo > 1e-2
        assert ((least - found.lo)[wide] < 0.02 * (1 + known.hi.abs())[wide]).all()
        assert ((found.hi - most)[wide] < 0.02 * (1 + known.hi.abs())[wide]).all()


def test_a_curve_is_straighter_from_a_point() -> None:
    lo, hi, c = drawn(500, 2)
    for target in CURVED:
        curve = curve_of(target, on(lo, hi, c))
        found, known = secant_range(curve), slope_range(curve)
        gained = (found.hi - found.lo) / (known.hi - known.lo).clamp(min=1e-300)
        assert gained.median() < 0.75, target


def test_where_nothing_is_known_slopes_are_those_of_any_two_points() -> None:
    everywhere = Interval.everywhere((2,))
    zero = torch.zeros(2, dtype=torch.float64)
    x = Operand("x", torch.Size([2]), everywhere, Interval(zero, zero))
    assert secant_range(curve_of(aten.relu.default, x)).hi.item() == 1.0
    unknown = Operand("x", torch.Size([2]), Interval(-1 + zero, 1 + zero), everywhere)
    found = secant_range(curve_of(aten.relu.default, unknown))
    assert (found.lo.tolist(), found.hi.tolist()) == ([0.0, 0.0], [1.0, 1.0])
    at = Operand("x", torch.Size([2]), Interval(1 + zero, 1 + zero), Interval(1 + zero, 1 + zero))
    point = secant_range(curve_of(aten.relu.default, at))
    assert (point.lo.tolist(), point.hi.tolist()) == ([1.0, 1.0], [1.0, 1.0])


def test_a_turn_within_what_is_known_of_the_point() -> None:
    """|t| from a point within [-w, w]: nothing but [-1, 1] is known beside it."""
    lo, hi = doubles(-1.0, -1.0), doubles(1.0, 1e-3)
    found = secant_range(curve_of(aten.abs.default, on(lo, hi, doubles(0.0, 0.0), 1e-3)))
    for c in (-1e-3, 0.0, 1e-3):
        for t in (-1.0, 2e-4, -5e-4, 1e-3):
            if t != c:
                secant = (abs(t) - abs(c)) / (t - c)
                assert (found.lo <= secant).all() and (found.hi >= secant).all()


def test_products_move_one_mean_at_a_time() -> None:
    """x y - c d = m(y) (x - c) + m(x) (y - d), with means half of the way from the centre."""
    x = on(doubles(1.0), doubles(3.0), doubles(2.0))
    y = Operand(
        "y", x.shape, Interval(doubles(-1.0), doubles(5.0)), Interval(doubles(1), doubles(1))
    )
    (action,) = RULES[aten.mul.Tensor](x, y)
    (_, by_x), (_, by_y) = action_of(action, x.shape).slopes
    assert isinstance(by_x, Between) and isinstance(by_y, Between)
    assert (by_x.lo.item(), by_x.hi.item()) == pytest.approx((0.0, 3.0), abs=1e-14)
    assert (by_y.lo.item(), by_y.hi.item()) == pytest.approx((1.5, 2.5))


def test_maxima_of_what_is_off_cost_nothing() -> None:
    """Pools over neurons that stay off on the region have no slope there to choose."""
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.MaxPool1d(2), nn.Linear(4, 3)).eval()
    with torch.no_grad():
        layers[0].bias.copy_(torch.tensor([-9.0, -9.0, -9.0, -9.0, 9.0, 8.0, -9.0, 9.0]))
    x = torch.zeros(1, 4)
    result = lipschitz(layers, x, region=Ball(x.double(), 1e-3), method="lipsdp", seed=0)
    assert result.upper is not None
    jacobian = torch.func.jacrev(layers.double())(x.double()).detach().reshape(3, 4)
    exact = float(torch.linalg.matrix_norm(jacobian, 2))
    assert exact <= result.upper.value <= 1.02 * exact
