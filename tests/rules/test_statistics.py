"""The gains of a standard deviation are attained, exactly."""

import math
from fractions import Fraction

import pytest
import torch

from autolip.errors import InputError
from autolip.intervals import Interval
from autolip.norms import Norm
from autolip.rules import RULES
from autolip.rules.derive import action_of
from autolip.rules.rule import Action, Operand
from autolip.slopes import Gain

STD = torch.ops.aten.std.correction


def action(size: int, correction: float, lo: float = -math.inf, hi: float = math.inf) -> Action:
    x = Operand("x", torch.Size([size]), Interval.uniform(lo, hi, (size,)))
    return action_of(RULES[STD](x, [0], correction=correction)[0], torch.Size([]))


def spread(x: list[int], correction: Fraction) -> Fraction:
    mean = Fraction(sum(x), len(x))
    return sum((value - mean) ** 2 for value in x) / (len(x) - correction)


@pytest.mark.parametrize("size", [2, 5, 6])
@pytest.mark.parametrize("correction", [0.0, 1.0, 1.5])
def test_the_gains_are_attained(size: int, correction: float) -> None:
    """By a difference of two entries, by one entry, and by signs; never passed, and to 1e-15."""
    slope = action(size, correction).slopes[0][1]
    assert isinstance(slope, Gain)
    pair = [1, -1] + [0] * (size - 2)
    signs = [1, -1] * (size // 2) + [1] * (size % 2)
    attained = {Norm.L1: pair[:1] + [0] * (size - 1), Norm.L2: pair, Norm.LINF: signs}
    for norm, x in attained.items():
        length = Fraction(2 if norm is Norm.L2 else 1)
        square = spread(x, Fraction(correction)) / length
        bound = Fraction(slope.norms[norm].value) ** 2
        assert square <= bound <= square * (1 + Fraction(1, 10**14))


def test_a_range_holds_the_deviations_of_a_box() -> None:
    image = action(4, 1.0, -1.0, 3.0).image
    assert image.lo.item() == 0.0
    assert image.hi.item() >= math.sqrt(16 / 3)


def test_too_few_entries_are_refused() -> None:
    with pytest.raises(InputError, match="more entries than its correction"):
        action(2, 2.0)
