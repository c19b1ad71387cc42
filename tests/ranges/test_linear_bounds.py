"""Linear bounds of single operations, against rational arithmetic at the ends of what may vary."""

import itertools
from fractions import Fraction

import torch
from torch import Tensor

from autolip.intervals import Interval
from autolip.operators.dense import Dense
from autolip.ranges.linear_bounds import (
    LinearBounds,
    Slanted,
    Surroundings,
    _chords,
    linear_bounds,
)
from autolip.rules.derive import action_of
from autolip.rules.rule import RULES, Action, Operand
from autolip.slopes import Between, Exact

aten = torch.ops.aten


def draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def around(action: Action, values: dict[str, Tensor], there: Interval) -> LinearBounds:
    spans = {operand.name: operand.range for operand, _ in action.slopes}
    moved = {name: span + Interval(-values[name], -values[name]) for name, span in spans.items()}
    middle = there.lo / 2 + there.hi / 2
    return linear_bounds(action, action, action.image, middle, Surroundings(values, moved, there))


def span(seed: int, size: int) -> tuple[Operand, Tensor]:
    """A range and a point of it."""
    value = draw(seed, size)
    lo, hi = value - draw(seed + 1, size).abs(), value + draw(seed + 2, size).abs()
    return Operand(f"x{seed}", value.shape, Interval(lo, hi)), value


def test_roundings_of_a_product_of_two_values() -> None:
    """x y is between its bounds at every corner of the ranges and at the point of reference."""
    (x, at_x), (y, at_y) = span(0, 300), span(10, 300)
    outcome = RULES[aten.mul.Tensor](x, y)[0]
    there = Interval(at_x, at_x) * Interval(at_y, at_y)
    values = {x.name: at_x, y.name: at_y}
    bounds = around(action_of(outcome, x.shape), values, there)
    middle = there.lo / 2 + there.hi / 2
    (to_x, to_y) = bounds.edges
    assert isinstance(to_x, Slanted) and isinstance(to_y, Slanted)
    columns = [x.range.lo, x.range.hi, y.range.lo, y.range.hi, at_x, at_y, middle]
    columns += [to_x.lo, to_x.hi, to_y.lo, to_y.hi, bounds.lo, bounds.hi]
    for row in zip(*(column.tolist() for column in columns), strict=True):
        a, b, c, d, p, q, m, xl, xh, yl, yh, least, most = map(Fraction, row)
        for u, v in itertools.product((a, b, p), (c, d, q)):
            moved = u * v - m
            assert xl * (u - p) + yl * (v - q) + least <= moved
            assert moved <= xh * (u - p) + yh * (v - q) + most


def test_roundings_of_chords() -> None:
    """s d between its lines for the least and the largest s and d: offsets are off where slopes
    round."""
    a = draw(0, 3000)
    b = a + draw(1, 3000).abs()
    d = Interval(-draw(2, 3000).abs(), draw(3, 3000).abs())
    edge, rest = _chords("x", Between(a, b), d)
    assert isinstance(edge, Slanted)
    columns = (a, b, d.lo, d.hi, edge.lo, edge.hi, rest.lo, rest.hi)
    for row in zip(*(column.tolist() for column in columns), strict=True):
        least, most, left, right, low, high, below, above = map(Fraction, row)
        for s, at in itertools.product((least, most), (left, right)):
            assert low * at + below <= s * at <= high * at + above


def test_where_no_slope_is_finite_only_the_image_is_left() -> None:
    x, value = span(0, 2)
    slopes = Between(torch.tensor([0.0, -torch.inf]).double(), torch.tensor([1.0, 1.0]).double())
    there = Interval(value, value)
    bounds = around(Action(((x, slopes),), x.range), {x.name: value}, there)
    (edge,) = bounds.edges
    assert isinstance(edge, Slanted) and edge.lo[1] == edge.hi[1] == 0.0 != edge.hi[0]
    assert bounds.lo[1] <= x.range.lo[1] - value[1] and bounds.hi[1] >= x.range.hi[1] - value[1]
    identity = Exact(Dense(torch.eye(2).double()))
    both = around(Action(((x, slopes), (x, identity)), x.range), {x.name: value}, there)
    assert both.edges == ()


def test_a_point_of_reference_outside_of_the_range_gives_no_slopes() -> None:
    x, value = span(0, 2)
    slopes = Between(torch.zeros(2).double(), torch.ones(2).double())
    bounds = around(Action(((x, slopes),), x.range), {x.name: value + 100}, x.range)
    assert bounds.edges == ()


def test_inexact_weights_are_part_of_what_is_lost() -> None:
    x, value = span(0, 3)
    weight = draw(5, 3, 3)
    lost = [
        around(Action(((x, Exact(Dense(weight, (3,), error))),), x.range), {x.name: value}, x.range)
        for error in (0.0, 1e-3)
    ]
    far = torch.maximum(x.range.hi - value, value - x.range.lo)
    assert bool((lost[1].weight - lost[0].weight >= 1e-3 * (weight.abs() @ far)).all())
