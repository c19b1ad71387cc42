"""A rule that nothing else of the package knows of: the distribution function of the normal law."""

import math

import torch

from autolip.rules.rule import Example, Operand, Pointwise, Turn, Variable, rule

HEIGHT = 1 / math.sqrt(2 * math.pi)
"""Defined: the normal density at 0."""


@rule(torch.ops.aten.special_ndtr.default, Example(Variable(2, 5)))
def toy_distribution(self: Operand) -> Pointwise:
    """Between(0, 1/sqrt(2 pi))."""
    return Pointwise(
        self,
        value=torch.special.ndtr,
        derivative=lambda x: HEIGHT * torch.exp(-x * x / 2),
        value_limits=(0.0, 1.0),
        slope_limits=(0.0, 0.0),
        slope_turns=(Turn(0.0),),
        values_within=(0.0, 1.0),
        slopes_within=(0.0, 1.0),
    )
