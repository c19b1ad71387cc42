"""Operators in another floating-point format, for searches whose results are checked afterwards."""

import copy

import torch
from torch import Tensor

from autolip.operators.algebra import Composition, Sum, Zero
from autolip.operators.block import Block, Link
from autolip.operators.convolution import Convolution
from autolip.operators.dense import Dense
from autolip.operators.diagonal import Diagonal
from autolip.operators.index import Incidence
from autolip.operators.operator import DTYPE, Adjoint, Operator


def in_precision(operator: Operator, dtype: torch.dtype) -> Operator:
    """The operator with its numbers rounded to `dtype`, for products with vectors of that type."""
    if dtype == DTYPE or isinstance(operator, Incidence | Zero):
        return operator
    if isinstance(operator, Adjoint):
        return Adjoint(in_precision(operator.operator, dtype))
    if isinstance(operator, Composition):
        return Composition(tuple(in_precision(factor, dtype) for factor in operator.factors))
    if isinstance(operator, Sum):
        return Sum(tuple(in_precision(part, dtype) for part in operator.parts))
    if isinstance(operator, Block):
        links = tuple(Link(x.source, x.target, in_precision(x.operator, dtype)) for x in operator.links)
        return Block(operator.source, operator.sink, links, operator.in_shape, operator.out_shape)
    if isinstance(operator, Dense | Convolution | Diagonal):
        return _rounded(operator, "scale" if isinstance(operator, Diagonal) else "weight", dtype)
    return _Converted(operator)


def _rounded(operator: Operator, attribute: str, dtype: torch.dtype) -> Operator:
    """A copy with one tensor in another format."""
    twin = copy.copy(operator)
    setattr(twin, attribute, getattr(operator, attribute).to(dtype))
    return twin


class _Converted(Operator):
    """Any other operator: its products in float64, converted."""

    def __init__(self, operator: Operator) -> None:
        super().__init__(operator.in_shape, operator.out_shape)
        self.operator = operator
        self.relative_error = operator.relative_error

    def _mv(self, x: Tensor) -> Tensor:
        return self.operator.mv(x.to(DTYPE)).to(x.dtype)

    def _rmv(self, y: Tensor) -> Tensor:
        return self.operator.rmv(y.to(DTYPE)).to(y.dtype)

    @property
    def terms(self) -> int:
        return self.operator.terms
