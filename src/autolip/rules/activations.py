"""Pointwise activations: value, derivative, and the turning points and limits of both."""

import torch

from autolip.rules.rule import Example, Operand, Pointwise, Turn, Variable, rule

aten = torch.ops.aten
INF = float("inf")


@rule(aten.relu.default, Example(Variable(2, 5)))
def relu(self: Operand) -> Pointwise:
    """Between(0, 1)."""
    return Pointwise(
        self,
        value=lambda x: x.clamp(min=0),
        derivative=lambda x: (x > 0).double(),
        value_limits=(0.0, INF),
        slope_limits=(0.0, 1.0),
        value_turns=(0.0,),
        slope_turns=(Turn(0.0, 0.0, 1.0),),
        error=0.0,
    )


@rule(aten.tanh.default, Example(Variable(2, 5)))
def tanh(self: Operand) -> Pointwise:
    """Between(0, 1)."""
    return Pointwise(
        self,
        value=torch.tanh,
        derivative=lambda x: 1 - torch.tanh(x) ** 2,
        value_limits=(-1.0, 1.0),
        slope_limits=(0.0, 0.0),
        slope_turns=(Turn(0.0),),
    )
