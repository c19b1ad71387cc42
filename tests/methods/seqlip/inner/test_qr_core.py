"""The core of a pair has at most as many rows and columns as neurons, and its bounds are the
pair's."""

import pytest
import torch

from autolip.methods.seqlip.inner.problem import balanced
from autolip.methods.seqlip.inner.qr_core import condensed

from ..conftest import gaussian


@pytest.mark.parametrize("shape", [(9, 4, 7), (9, 4, 2), (3, 4, 8)])
def test_its_norms_are_those_of_the_pair(shape: tuple[int, int, int]) -> None:
    pair, _ = balanced(*gaussian(*shape).parts())
    core = condensed(pair)
    assert core.a.shape[0] <= pair.width and core.b.shape[1] <= pair.width
    for number in range(2**pair.width):
        s = torch.tensor([float(number >> i & 1) for i in range(pair.width)]).double()
        s = pair.lo + s * (pair.hi - pair.lo)
        exact = torch.linalg.matrix_norm((pair.a * s) @ pair.b, 2).item()
        small = torch.linalg.matrix_norm((core.a * s) @ core.b, 2).item()
        assert small == pytest.approx(exact, rel=1e-12, abs=1e-14)
        assert exact <= core.upward(small * (1 + 1e-14)) <= exact * (1 + 1e-9) + 1e-12


def test_a_small_pair_is_its_own_core() -> None:
    pair, _ = balanced(*gaussian(3, 5, 4).parts())
    core = condensed(pair)
    assert torch.equal(core.a, pair.a) and torch.equal(core.b, pair.b)
    assert core.factor.value == 1.0 and core.addend.value == 0.0
