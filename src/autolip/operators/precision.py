"""Operators in another format or on another device, for searches whose results are checked
afterwards."""

import copy

import torch
from torch import Tensor

from autolip.operators.algebra import Composition, Sum, Zero
from autolip.operators.block import Block, Link
from autolip.operators.convolution import Convolution
from autolip.operators.dense import Dense
from autolip.operators.diagonal import Diagonal
from autolip.operators.incidence import Incidence
from autolip.operators.operator import DTYPE, Adjoint, Operator

CPU = torch.device("cpu")


def in_precision(operator: Operator, dtype: torch.dtype, device: torch.device = CPU) -> Operator:
    """The operator with its numbers rounded to `dtype`, for products with vectors of that type on
    that device."""
    if isinstance(operator, Zero) or (dtype == DTYPE and device == CPU):
        return operator
    if isinstance(operator, Incidence):
        return operator.on(device)
    if isinstance(operator, Adjoint):
        return Adjoint(in_precision(operator.operator, dtype, device))
    if isinstance(operator, Composition):
        return Composition(
            tuple(in_precision(factor, dtype, device) for factor in operator.factors)
        )
    if isinstance(operator, Sum):
        return Sum(tuple(in_precision(part, dtype, device) for part in operator.parts))
    if isinstance(operator, Block):
        links = tuple(
            Link(x.source, x.target, in_precision(x.operator, dtype, device))
            for x in operator.links
        )
        return Block(operator.source, operator.sink, links, operator.in_shape, operator.out_shape)
    if isinstance(operator, Dense | Convolution | Diagonal):
        return _rounded(
            operator, "scale" if isinstance(operator, Diagonal) else "weight", dtype, device
        )
    return _Converted(operator)


def _rounded(
    operator: Operator, attribute: str, dtype: torch.dtype, device: torch.device
) -> Operator:
    """A copy with one tensor in another format."""
    twin = copy.copy(operator)
    setattr(twin, attribute, getattr(operator, attribute).to(device, dtype))
    return twin


class _Converted(Operator):
    """Any other operator: its products in float64 where its numbers are, converted."""

    def __init__(self, operator: Operator) -> None:
        super().__init__(operator.in_shape, operator.out_shape)
        self.operator = operator
        self.relative_error = operator.relative_error

    def _mv(self, x: Tensor) -> Tensor:
        return self.operator.mv(x.to(CPU, DTYPE)).to(x)

    def _rmv(self, y: Tensor) -> Tensor:
        return self.operator.rmv(y.to(CPU, DTYPE)).to(y)

    @property
    def terms(self) -> int:
        return self.operator.terms
