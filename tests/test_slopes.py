"""Slope sets: what is unknown of their ends is infinite, and their norm is 0 only where every slope
is."""

import math

import pytest
import torch

from autolip.slopes import Between

NAN = math.nan


@pytest.mark.parametrize("lo", [[NAN, 0.0], [0.0, NAN], [NAN, NAN], [0.0, 0.0]])
@pytest.mark.parametrize("hi", [[NAN, 1.0], [1.0, NAN], [NAN, NAN]])
def test_an_end_that_is_no_number_is_infinite(lo: list[float], hi: list[float]) -> None:
    slope = Between(torch.tensor(lo, dtype=torch.float64), torch.tensor(hi, dtype=torch.float64))
    assert slope.norm().value == math.inf
    for end, given, unknown in ((slope.lo, lo, -math.inf), (slope.hi, hi, math.inf)):
        assert end.tolist() == [unknown if math.isnan(x) else x for x in given]


def test_the_norm_is_the_end_of_largest_modulus() -> None:
    smallest = Between(
        torch.tensor([0.0, -5e-324], dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    )
    assert smallest.norm().value == 5e-324
    assert (
        Between(torch.tensor([-3.0, 0.0]).double(), torch.tensor([1.0, 2.0]).double()).norm().value
        == 3
    )
    assert Between(torch.zeros(2).double(), torch.zeros(2).double()).norm().value == 0
    assert Between(torch.zeros(0).double(), torch.zeros(0).double()).norm().value == 0
