"""Discrete Fourier transforms along one axis, as matrices of cosines and of sines.

Every entry is one of cos(2 pi t), t = 0, 1/N, ..., reduced in rational arithmetic to an angle of at
most an eighth of a turn; those that are 0 are exactly 0.
"""

import math
from fractions import Fraction

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.graph.composites import Composite
from autolip.operators.operator import DTYPE
from autolip.roundoff import relative_error
from autolip.rules.matrices import along
from autolip.rules.rule import Affine, Example, Operand, Variable, rule

ROUNDINGS = 12
"""Proved: an angle is rounded three times, its sine or cosine is right to two units, as is the
root; the quotient rounds once more."""


def matrix(size: int, terms: int, period: int, sine: bool, norm: int) -> Float[Tensor, "m n"]:
    """cos (or sin) of 2 pi j k / N, j < m, k < n, over 1, sqrt(N) or N for `norm` 0, 1 or 2."""
    divisor = (1.0, math.sqrt(period), float(period))[norm]
    shift = Fraction(1, 4) if sine else Fraction(0)
    turns = (Fraction(number, period) - shift for number in range(period))
    table = torch.tensor([_cosine(turn) / divisor for turn in turns], dtype=DTYPE)
    rows, columns = torch.arange(size), torch.arange(terms)
    return table[torch.outer(rows, columns) % period]


def _cosine(turn: Fraction) -> float:
    """cos(2 pi t)."""
    turn = turn % 1
    turn = min(turn, 1 - turn)
    if turn > Fraction(1, 4):
        return -_cosine(Fraction(1, 2) - turn)
    if turn <= Fraction(1, 8):
        return math.cos(2 * math.pi * float(turn))
    return math.sin(2 * math.pi * float(Fraction(1, 4) - turn))


def _waves(
    self: Tensor, dim: int, period: int, size: int, sine: bool = False, norm: int = 0
) -> Tensor:
    weight = matrix(size, self.shape[dim], period, sine, norm).to(self.device)
    return (self.movedim(dim, -1) @ weight.mT).movedim(-1, dim)


waves = Composite(
    "waves", _waves, "(Tensor self, int dim, int period, int size, bool sine, int norm) -> Tensor"
)
"""y_j = sum_k cos(2 pi j k / period) x_k along an axis, for j < size; or of sines."""


@rule(
    waves,
    Example(Variable(2, 5, 3), 1, 5, 3, False, 0),
    Example(Variable(2, 6), 1, 6, 6, True, 1),
    Example(Variable(4, 2), 0, 6, 6, True, 2),
)
def waves_along(self: Operand, dim: int, period: int, size: int, sine: bool, norm: int) -> Affine:
    """Exact: cosines, or sines, along an axis."""
    weight = matrix(size, self.shape[dim], period, sine, norm)
    return Affine(((self, along(weight, self.shape, dim, relative_error(ROUNDINGS))),))
