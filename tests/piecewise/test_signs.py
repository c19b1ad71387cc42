"""Norms by all combinations of signs, against all corners of the cube."""

import itertools

import pytest
import torch
from torch import Tensor

from autolip.norms import Norm, Pair
from autolip.piecewise import signs

SIGNED = [(Norm.L2, Norm.L1), (Norm.LINF, Norm.L1), (Norm.LINF, Norm.L2)]


def largest(matrix: Tensor, p: Norm, q: Norm) -> float:
    """||A||_{p -> q} where a corner of one of both cubes shows it."""
    if q is Norm.L1:
        corners = itertools.product((-1.0, 1.0), repeat=len(matrix))
        rows = torch.tensor(list(corners), dtype=matrix.dtype) @ matrix
        return float(p.dual.of_rows(rows).max())
    corners = itertools.product((-1.0, 1.0), repeat=matrix.shape[1])
    return float(q.of_rows(torch.tensor(list(corners), dtype=matrix.dtype) @ matrix.T).max())


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("width", [1, signs.AT_ONCE // 3])
def test_every_combination_comes_once_up_to_its_sign(count: int, width: int) -> None:
    rows = torch.cat(list(signs.combinations(count, width))).tolist()
    both = {tuple(row) for row in rows} | {tuple(-x for x in row) for row in rows}
    assert len(rows) == 2 ** (count - 1)
    assert both == set(itertools.product((-1.0, 1.0), repeat=count))


@pytest.mark.parametrize("pair", list(itertools.product(Norm, Norm)), ids=str)
@pytest.mark.parametrize(("outputs", "inputs"), [(2, 5), (5, 2), (1, 4)])
def test_which_signs_decide(pair: Pair, outputs: int, inputs: int) -> None:
    axis = signs.axis_of(*pair, outputs, inputs)
    assert (axis is not None) == (pair in SIGNED and outputs > 1)
    if axis is not None:
        count = (outputs, inputs)[axis]
        assert signs.count_of(*pair, outputs, inputs) == 2 ** (count - 1)
        assert pair[1] is Norm.L1 if axis == signs.ROWS else pair[0] is Norm.LINF
        assert pair != (Norm.LINF, Norm.L1) or count == min(outputs, inputs)
    else:
        assert signs.count_of(*pair, outputs, inputs) == 0
