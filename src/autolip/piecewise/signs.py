"""Norms of small matrices by all combinations of signs.

A length is convex, so that on a cube it is largest at a corner (Rockafellar, Convex Analysis, 1970,
theorem 32.2); with the dual norms p' of p and l1' = linf

    ||A||_{p -> l1}  =  max ||s A||_{p'}  over s in {-1, 1}^m,
    ||A||_{linf -> q}  =  max ||A s||_q  over s in {-1, 1}^n,

and s and -s give the same.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.norms import Norm
from autolip.operators.operator import DTYPE

MOST = 16
"""Chosen: signs of which all combinations are tried, at most: 2^15 of them."""

AT_ONCE = 2**21
"""Chosen: numbers that are made of combinations at a time, 16 MiB."""

ROWS, COLUMNS = -2, -1
"""Defined: which axis of a matrix, outputs x inputs, the signs are of."""


def axis_of(p: Norm, q: Norm, outputs: int, inputs: int) -> int | None:
    """Where signs decide ||A||_{p -> q}, the axis that they are of; None where they decide nothing:
    a row, a column or a singular value does."""
    if p is Norm.L1 or q is Norm.LINF or outputs == 1 or p is q is Norm.L2:
        return None
    if q is Norm.L1 and (p is not Norm.LINF or outputs <= inputs):
        return ROWS
    return COLUMNS


def count_of(p: Norm, q: Norm, outputs: int, inputs: int) -> int:
    """How many combinations there are; 0 where signs decide nothing."""
    axis = axis_of(p, q, outputs, inputs)
    return 0 if axis is None else 2 ** ((outputs if axis == ROWS else inputs) - 1)


def combinations(count: int, width: int) -> Iterator[Float[Tensor, "c count"]]:
    """All of so many signs, the first one being 1, in parts for matrices of this width."""
    numbers = torch.arange(2 ** (count - 1)).unsqueeze(1)
    places = torch.arange(count)
    for part in numbers.split(max(1, AT_ONCE // width)):
        bits = (2 * part) >> places & 1
        yield (1 - 2 * bits).to(DTYPE)
