"""Slope sets: what is unknown of their ends is infinite, their norm is 0 only where every slope is,
and each kind answers for all maps of the set."""

import math

import pytest
import torch

from autolip.errors import Refusal
from autolip.intervals import Interval
from autolip.norms import Norm
from autolip.operators.dense import Dense
from autolip.operators.operator import Operator
from autolip.slopes import Between, Exact, Gain
from autolip.values import INFINITE, Upper

NAN = math.nan


@pytest.mark.parametrize("lo", [[NAN, 0.0], [0.0, NAN], [NAN, NAN], [0.0, 0.0]])
@pytest.mark.parametrize("hi", [[NAN, 1.0], [1.0, NAN], [NAN, NAN]])
def test_an_end_that_is_no_number_is_infinite(lo: list[float], hi: list[float]) -> None:
    slope = Between(torch.tensor(lo, dtype=torch.float64), torch.tensor(hi, dtype=torch.float64))
    assert slope.largest_modulus().value == math.inf
    for end, given, unknown in ((slope.lo, lo, -math.inf), (slope.hi, hi, math.inf)):
        assert end.tolist() == [unknown if math.isnan(x) else x for x in given]


def test_the_largest_modulus_is_the_end_of_largest_modulus() -> None:
    smallest = Between(
        torch.tensor([0.0, -5e-324], dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    )
    assert smallest.largest_modulus().value == 5e-324
    assert (
        Between(torch.tensor([-3.0, 0.0]).double(), torch.tensor([1.0, 2.0]).double())
        .largest_modulus()
        .value
        == 3
    )
    assert Between(torch.zeros(2).double(), torch.zeros(2).double()).largest_modulus().value == 0
    assert Between(torch.zeros(0).double(), torch.zeros(0).double()).largest_modulus().value == 0


def seven(operator: Operator, p: Norm, q: Norm) -> Upper | Refusal:
    """An engine that knows one norm."""
    return Upper(7.0) if (p, q) == (Norm.L2, Norm.LINF) else Refusal("not asked for")


def test_the_gain_of_an_operator_is_what_the_engine_says() -> None:
    slope = Exact(Dense(torch.ones(2, 3).double()))
    assert slope.gain(Norm.L2, Norm.LINF, seven) == Upper(7.0)
    assert isinstance(slope.gain(Norm.L1, Norm.LINF, seven), Refusal)


@pytest.mark.parametrize("p", Norm)
@pytest.mark.parametrize("q", Norm)
def test_the_gain_of_diagonal_maps_is_attained(p: Norm, q: Norm) -> None:
    slope = Between(torch.full((4,), -3.0).double(), torch.ones(4).double())
    gain = slope.gain(p, q, seven)
    step = torch.ones(1, 4).double() if p.p > q.p else torch.eye(4)[:1].double()
    attained = (q.of_rows(-3 * step) / p.of_rows(step)).item()
    assert isinstance(gain, Upper) and gain.value == pytest.approx(attained, rel=1e-15)


def test_a_gain_is_known_in_its_own_norms_only() -> None:
    shape = torch.Size([4])
    slope = Gain(shape, shape, {Norm.LINF: Upper(3.0)})
    gain = slope.gain(Norm.LINF, Norm.L2, seven)
    assert isinstance(gain, Upper) and 6 <= gain.value <= 6 * (1 + 1e-15)
    assert isinstance(slope.gain(Norm.L2, Norm.L2, seven), Refusal)


def test_which_slopes_are_finite() -> None:
    shape, ends = torch.Size([2]), torch.tensor([1.0, math.inf]).double()
    assert Between(torch.zeros(2).double(), torch.ones(2).double()).is_finite
    assert not Between(torch.zeros(2).double(), ends).is_finite
    assert not Between(-ends, torch.ones(2).double()).is_finite
    assert Gain(shape, shape, {Norm.L1: INFINITE, Norm.L2: Upper(1.0)}).is_finite
    assert not Gain(shape, shape, dict.fromkeys(Norm, INFINITE)).is_finite
    assert Exact(Dense(torch.ones(2, 2).double())).is_finite


def test_an_entry_that_cannot_move_has_the_least_of_its_slopes() -> None:
    """Any number is the slope between no two points; what is unknown or overflowed may move."""
    lo = torch.tensor([0.0, 1.0, -1.0, 0.0, math.inf, NAN], dtype=torch.float64)
    hi = torch.tensor([0.0, 1.0, -1.0, 1.0, math.inf, NAN], dtype=torch.float64)
    least = torch.tensor([-1.0, 2.0, -4.0, -1.0, -1.0, -1.0], dtype=torch.float64)
    most = torch.tensor([1.0, 3.0, -2.0, 1.0, 1.0, 1.0], dtype=torch.float64)
    found = Between(least, most).where_moving(Interval(lo, hi))
    assert found.lo.tolist() == [0.0, 2.0, -2.0, -1.0, -1.0, -1.0]
    assert found.hi.tolist() == [0.0, 2.0, -2.0, 1.0, 1.0, 1.0]
    everywhere = Interval.everywhere((6,))
    between = Between(least, most)
    assert between.where_moving(everywhere) is between
