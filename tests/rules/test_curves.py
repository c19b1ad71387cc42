"""Slope interval and image from one record: turns, kinks, jumps, domains, limits, overflow."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from autolip.rules.curves import slope_range, value_range
from autolip.rules.rule import Jump, Pointwise, Turn
from tests.rules.records import cubic, ends, on, record

INF = math.inf


@pytest.mark.parametrize(
    ("box", "values", "slopes"),
    [
        ((-2.0, 2.0), (-2.0, 2.0), (-3.0, 9.0)),
        ((0.5, 1.5), (-2.0, -1.125), (-2.25, 3.75)),
        ((0.0, 0.5), (-1.375, 0.0), (-3.0, -2.25)),
        ((-INF, 0.0), (-INF, 2.0), (-3.0, INF)),
        ((2.0, 2.0), (2.0, 2.0), (9.0, 9.0)),
    ],
)
def test_extremes_are_at_ends_and_turns(box: Any, values: Any, slopes: Any) -> None:
    curve = cubic(on(*box))
    assert ends(value_range(curve)) == values
    assert ends(slope_range(curve)) == slopes


def test_entries_are_treated_apart() -> None:
    slopes = slope_range(cubic(on([-2.0, 1.0], [-1.0, 3.0])))
    assert slopes.lo.tolist() == [0.0, 0.0]
    assert slopes.hi.tolist() == [9.0, 24.0]


def test_turns_may_differ_between_entries() -> None:
    at = torch.tensor([0.0, 2.0], dtype=torch.float64)
    curve = record(
        on([1.0, 1.0], [3.0, 3.0]),
        lambda x: (x - at).abs(),
        lambda x: torch.sign(x - at),
        slope_limits=(-1.0, 1.0),
        value_turns=(at,),
        slope_turns=(Turn(at, -1.0, 1.0),),
    )
    assert slope_range(curve).lo.tolist() == [1.0, -1.0]
    assert value_range(curve).lo.tolist() == [1.0, 0.0]


def test_at_the_end_of_a_range_only_the_inner_side_of_a_kink_counts() -> None:
    kink = {
        "slope_turns": (Turn(0.0, -1.0, 1.0),),
        "slope_limits": (-1.0, 1.0),
        "value_turns": (0.0,),
    }
    for box, slopes in (
        ((0.0, 1.0), (1.0, 1.0)),
        ((-1.0, 0.0), (-1.0, -1.0)),
        ((-1.0, 1.0), (-1.0, 1.0)),
    ):
        assert ends(slope_range(record(on(*box), torch.abs, torch.sign, **kink))) == slopes


def step(box: tuple[float, float]) -> Pointwise:
    """0 up to 0 inclusive, 1 after it."""
    return record(
        on(*box),
        lambda x: (x > 0).double(),
        torch.zeros_like,
        value_limits=(0.0, 1.0),
        slope_limits=(0.0, 0.0),
        jumps=(Jump(0.0, 0.0, 1.0),),
    )


@pytest.mark.parametrize(
    ("box", "values", "slopes"),
    [
        ((-1.0, 1.0), (0.0, 1.0), (-INF, INF)),
        ((-1.0, 0.0), (0.0, 0.0), (0.0, 0.0)),
        ((0.0, 1.0), (0.0, 1.0), (-INF, INF)),
        ((0.5, 1.0), (1.0, 1.0), (0.0, 0.0)),
        ((0.0, 0.0), (0.0, 0.0), (0.0, 0.0)),
        ((-INF, INF), (0.0, 1.0), (-INF, INF)),
    ],
)
def test_a_jump_counts_where_the_range_reaches_its_broken_side(
    box: Any, values: Any, slopes: Any
) -> None:
    assert ends(value_range(step(box))) == values
    assert ends(slope_range(step(box))) == slopes


@pytest.mark.parametrize(
    ("box", "slopes"),
    [
        ((-1.0, 0.0), (-INF, INF)),
        ((0.0, 1.0), (0.0, 0.0)),
        ((-1.0, 1.0), (-INF, INF)),
        ((-1.0, -0.5), (0.0, 0.0)),
    ],
)
def test_a_jump_may_be_broken_on_its_left_side(box: Any, slopes: Any) -> None:
    """0 before 0, 1 from 0 on."""
    curve = record(
        on(*box),
        lambda x: (x >= 0).double(),
        torch.zeros_like,
        value_limits=(0.0, 1.0),
        slope_limits=(0.0, 0.0),
        jumps=(Jump(0.0, 0.0, 1.0),),
    )
    assert ends(slope_range(curve)) == slopes


def root(box: tuple[float, float]) -> Pointwise:
    return record(
        on(*box),
        torch.sqrt,
        lambda x: 0.5 / torch.sqrt(x),
        value_limits=(0.0, INF),
        slope_limits=(INF, 0.0),
        domain=(0.0, INF),
    )


def test_outside_of_the_domain_no_slope_is_finite() -> None:
    assert ends(slope_range(root((-1.0, 4.0)))) == (-INF, INF)
    assert ends(value_range(root((-1.0, 4.0)))) == (0.0, 2.0)
    assert ends(value_range(root((-2.0, -1.0)))) == (-INF, INF)
    assert ends(slope_range(root((0.0, 4.0)))) == (0.25, INF)
    assert ends(slope_range(root((1.0, INF)))) == (0.0, 0.5)


def test_a_nan_makes_the_interval_infinite() -> None:
    curve = record(on(0.0, 1.0), torch.log, lambda x: x * float("nan"))
    assert ends(slope_range(curve)) == (-INF, INF)


def test_an_overflow_is_no_lower_end() -> None:
    curve = record(on(800.0, 900.0), torch.exp, torch.exp)
    assert ends(value_range(curve))[0] < INF
    curve = record(on(800.0, 900.0), lambda x: -torch.exp(x), torch.exp)
    assert ends(value_range(curve))[1] > -INF


def test_the_error_widens_and_known_bounds_cut() -> None:
    curve = cubic(on(0.5, 1.5), error=2.0**-20)
    low, high = ends(slope_range(curve))
    assert low == pytest.approx(-2.25 - 3.25 * 2**-20)
    assert high == pytest.approx(3.75 + 4.75 * 2**-20)
    assert ends(slope_range(replace(curve, slopes_within=(-2.25, 3.75)))) == (-2.25, 3.75)
    assert ends(value_range(replace(curve, values_within=(-2.0, -1.125)))) == (-2.0, -1.125)
    low, _ = ends(slope_range(replace(curve, absolute=0.0)))
    assert low == pytest.approx(-2.25 * (1 + 2**-20), rel=1e-12)
