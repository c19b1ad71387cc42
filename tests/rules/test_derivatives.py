"""Slopes of activations as operations: their ranges, and those of the second derivatives."""

import math
from typing import Any

import mpmath
import pytest
import torch

from autolip.intervals import Interval
from autolip.rules import RULES
from autolip.rules.derive import action_of
from autolip.rules.rule import Action, Operand
from autolip.slopes import Between

aten = torch.ops.aten
ONE = torch.ones(1, dtype=torch.float64)


def silu(x: mpmath.mpf) -> mpmath.mpf:
    return x / (1 + mpmath.exp(-x))


def gelu(x: mpmath.mpf) -> mpmath.mpf:
    return x * mpmath.ncdf(x)


def gelu_tanh(x: mpmath.mpf) -> mpmath.mpf:
    inner = mpmath.sqrt(2 / mpmath.pi) * (x + mpmath.mpf(0.044715) * x**3)
    return x * (1 + mpmath.tanh(inner)) / 2


FUNCTIONS: dict[str, tuple[Any, dict[str, str], Any]] = {
    "silu": (aten.silu_backward.default, {}, silu),
    "gelu": (aten.gelu_backward.default, {}, gelu),
    "gelu by tanh": (aten.gelu_backward.default, {"approximate": "tanh"}, gelu_tanh),
}


def action(name: str, lo: float, hi: float) -> Action:
    target, rest, _ = FUNCTIONS[name]
    x = Operand("x", torch.Size([1]), Interval.uniform(lo, hi, (1,)))
    return action_of(RULES[target](ONE, x, **rest)[0], torch.Size([1]))


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(
    ("lo", "hi"),
    [(-math.inf, math.inf), (-math.inf, -2.5), (-3.0, -1.0), (-0.5, 0.25), (1.0, 2.2), (2.0, 9.0)],
)
def test_values_and_slopes_are_those_of_the_derivatives(name: str, lo: float, hi: float) -> None:
    function = FUNCTIONS[name][2]
    found = action(name, lo, hi)
    ((_, slope),) = found.slopes
    assert isinstance(slope, Between)
    start, stop = max(lo, -12.0), min(hi, 12.0)
    points = [start + (stop - start) * k / 400 for k in range(401)]
    with mpmath.workdps(30):
        for order, (least, most) in (
            (1, (found.image.lo.item(), found.image.hi.item())),
            (2, (slope.lo.item(), slope.hi.item())),
        ):
            values = [mpmath.diff(function, mpmath.mpf(x), order) for x in points]
            assert least <= min(values)
            assert max(values) <= most
            assert min(values) - least < 2e-3
            assert most - max(values) < 2e-3
