"""Affine operations with weights: matrix products, convolutions, batch norm, sums and scalings."""

from collections.abc import Sequence

import torch
from torch import Tensor

from autolip.operators.algebra import compose
from autolip.operators.convolution import Convolution, Geometry
from autolip.operators.dense import Dense
from autolip.operators.diagonal import Diagonal, Identity
from autolip.operators.index import Incidence
from autolip.operators.operator import Operator
from autolip.rules.rule import Affine, Constant, Example, Operand, Variable, rule

aten = torch.ops.aten


@rule(aten.linear.default, Example(Variable(2, 3, 4), Constant(5, 4), Constant(5)))
def linear(input: Operand, weight: Tensor, bias: Tensor | None) -> Affine:
    """Exact: the weight matrix along the last axis."""
    return Affine(((input, Dense(weight, input.shape)),), 0.0 if bias is None else bias)
