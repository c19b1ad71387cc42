"""Lines around pointwise functions: where they touch, and that rounding never lets them cross."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor

from autolip.errors import AutolipError
from autolip.intervals import Interval
from autolip.rules import RULES, Rule
from autolip.rules import lines as lines_module
from autolip.rules.lines import Lines, lines, offsets
from autolip.rules.rule import Constant, Example, Operand, Pointwise, Variable

aten = torch.ops.aten
INF = math.inf


def around(target: Any, lo: Any, hi: Any, *args: Any) -> Lines:
    return lines(curve(target, lo, hi, *args))


def curve(target: Any, lo: Any, hi: Any, *args: Any) -> Pointwise:
    low, high = torch.as_tensor(lo, dtype=torch.float64), torch.as_tensor(hi, dtype=torch.float64)
    record = RULES[target](Operand("x", low.shape, Interval(low, high)), *args)[0]
    assert isinstance(record, Pointwise)
    return record


def draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_relu_has_the_chord_above_and_one_of_its_slopes_below() -> None:
    found = around(aten.relu.default, [-1.0, -2.0, 1.0, -3.0], [2.0, 1.0, 2.0, -1.0])
    assert found.lo_slope.tolist() == [1.0, 0.0, 1.0, 0.0]
    assert torch.allclose(found.hi_slope, torch.tensor([2 / 3, 1 / 3, 1, 0]).double())
    assert torch.allclose(found.hi_offset, torch.tensor([2 / 3, 2 / 3, 0, 0]).double())
    assert found.lo_offset.abs().max() < 1e-14


def test_tanh_is_touched_by_tangents() -> None:
    """On [0, 2] the function is concave: the chord below, above the tangent at the middle."""
    found = around(aten.tanh.default, 0.0, 2.0)
    assert math.isclose(found.lo_slope.item(), math.tanh(2) / 2, rel_tol=1e-12)
    assert abs(found.lo_offset.item()) < 1e-13
    assert math.isclose(found.hi_slope.item(), math.cosh(1) ** -2, rel_tol=0.02)
    t = torch.linspace(0, 2, 2001, dtype=torch.float64)
    above = found.hi_slope * t + found.hi_offset - torch.tanh(t)
    assert 0 <= above.min() < 1e-6


@pytest.mark.parametrize(("lo", "hi"), [(-INF, 1.0), (-1.0, INF), (-INF, INF)])
def test_on_an_unbounded_range_they_are_horizontal(lo: float, hi: float) -> None:
    found = around(aten.tanh.default, lo, hi)
    assert found.lo_slope.item() == found.hi_slope.item() == 0.0
    assert found.lo_offset.item() <= math.tanh(lo) and found.hi_offset.item() >= math.tanh(hi)


def test_at_a_jump_they_are_horizontal() -> None:
    found = around(aten.hardshrink.default, -1.0, 1.0, 0.5)
    assert found.lo_slope.item() == found.hi_slope.item() == 0.0
    assert found.lo_offset.item() <= -1.0 and found.hi_offset.item() >= 1.0


def pointwise(rule: Rule, example: Example, lo: Tensor, hi: Tensor) -> Pointwise | None:
    """The rule's record where it is a function of one variable."""

    def fill(leaf: object) -> object:
        if isinstance(leaf, Variable):
            width = leaf.hi - leaf.lo
            ends = leaf.lo + width * lo, leaf.lo + width * hi
            return Operand("x", lo.shape, Interval(*ends))
        if isinstance(leaf, Constant):
            return draw(3, *leaf.shape).abs() if leaf.positive else draw(3, *leaf.shape)
        return leaf

    try:
        outcome = rule(*map(fill, example.args), **{k: fill(v) for k, v in example.kwargs.items()})
    except AutolipError:
        return None
    found = outcome[example.pick or 0]
    return found if isinstance(found, Pointwise) else None


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
@pytest.mark.filterwarnings("ignore")
def test_no_function_crosses_its_lines(rule: Rule) -> None:
    for number, example in enumerate(rule.examples):
        variables = [leaf for leaf in example.args if isinstance(leaf, Variable)]
        if len(variables) != 1:
            continue
        shape = (9, *variables[0].shape)
        ends = torch.rand(2, *shape, generator=torch.Generator().manual_seed(number)).double()
        lo, hi = ends.amin(0), ends.amax(0)
        for record in (pointwise(rule, example, *span) for span in zip(lo, hi, strict=True)):
            if record is not None:
                within(record, lines(record))


def within(record: Pointwise, found: Lines) -> None:
    """The function is between its lines at many points, up to what it is evaluated wrongly by."""
    lo, hi = record.operand.range.lo, record.operand.range.hi
    for share in torch.linspace(0, 1, 41, dtype=torch.float64):
        t = (lo + share * (hi - lo)).clamp(lo, hi)
        value = record.value(t)
        slack = 2 * (record.error * value.abs() + record.slack) + 1e-14 * (1 + t.abs())
        below = found.lo_slope * t + found.lo_offset
        above = found.hi_slope * t + found.hi_offset
        assert not (value.isfinite() & ((below > value + slack) | (above < value - slack))).any()


def exactly(function: Callable[[Fraction], Fraction], record: Pointwise, found: Lines) -> None:
    """Both lines, in rational arithmetic, at the ends of the ranges and at 0."""
    rows = (*record.operand.range.ends(), *found)
    for lo, hi, a, b, c, d in zip(*(row.tolist() for row in rows), strict=True):
        for t in (Fraction(lo), Fraction(hi), *([Fraction(0)] if lo < 0 < hi else [])):
            value = function(t)
            assert Fraction(a) * t + Fraction(b) <= value <= Fraction(c) * t + Fraction(d)


def test_roundings_of_piecewise_linear_functions() -> None:
    lo, hi = draw(0, 2000) - 1, draw(1, 2000) + 1
    lo, hi = torch.minimum(lo, hi), torch.maximum(lo, hi)
    record = curve(aten.relu.default, lo, hi)
    exactly(lambda t: max(t, Fraction(0)), record, lines(record))
    record = curve(aten.leaky_relu.default, lo, hi, 0.3)
    exactly(lambda t: t if t > 0 else Fraction(0.3) * t, record, lines(record))


@pytest.mark.parametrize("halvings", [lines_module.HALVINGS, 1])
@pytest.mark.parametrize("width", [1.0, 2.0**-50, 2.0**-52])
def test_offsets_of_any_slope_in_rational_arithmetic(
    halvings: int, width: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of x^4 - s x, at exact points; wherever the tangent touches, and where f hardly bends."""
    monkeypatch.setattr(lines_module, "HALVINGS", halvings)
    lo = draw(0, 1000)
    hi = lo + draw(1, 1000).abs() * width
    slope = draw(2, 1000)
    record = curve(aten.pow.Tensor_Scalar, lo, hi, 4)
    found = offsets(record, slope)
    rows = (lo, hi, slope, found.lo, found.hi)
    for a, b, s, least, most in zip(*(row.tolist() for row in rows), strict=True):
        steps = [Fraction(a) + Fraction(k, 64) * (Fraction(b) - Fraction(a)) for k in range(65)]
        rests = [t**4 - Fraction(s) * t for t in steps]
        assert Fraction(least) <= min(rests) and max(rests) <= Fraction(most)


def test_offsets_are_close() -> None:
    """e^t - s t is least at t = log s."""
    record = curve(aten.exp.default, torch.full((50,), -1.0), torch.linspace(0, 2, 50))
    slope = torch.linspace(0.4, 1, 50, dtype=torch.float64)
    found = offsets(record, slope)
    assert torch.allclose(found.lo, slope - slope * slope.log(), rtol=0, atol=1e-12)


def test_the_point_of_contact_is_in_the_range() -> None:
    """Halves of subnormal ends round to 0, which is beside them."""
    ends = (torch.tensor([5e-324, -5e-324, 1.5e-323], dtype=torch.float64),) * 2
    record = curve(aten.square.default, *ends)
    for slope in (-1.0, 0.0, 1.0):
        for convex in (True, False):
            which = torch.full((3,), convex)
            at = lines_module._stationary(record, torch.full((3,), slope).double(), ends, which)
            assert at.tolist() == ends[0].tolist()
