"""The norms, their duals and the constants of equivalence."""

from fractions import Fraction

import pytest
import torch

from autolip.errors import InputError
from autolip.norms import Norm, parse_norms


@pytest.mark.parametrize("p", Norm)
@pytest.mark.parametrize("q", Norm)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000003])
def test_equivalence_holds_and_is_attained(p: Norm, q: Norm, size: int) -> None:
    constant = p.equivalence(q, size).value
    exact = size ** max(0.0, 1 / q.p - 1 / p.p)
    assert constant <= exact * (1 + 1e-15)
    doubled = round(2 * max(0.0, 1 / q.p - 1 / p.p))
    assert Fraction(constant) ** 2 >= size**doubled


@pytest.mark.parametrize("p", Norm)
def test_duality(p: Norm) -> None:
    x, y = torch.randn(2, 50, 7, dtype=torch.float64)
    assert ((x * y).sum(1).abs() <= p.of_rows(x) * p.dual.of_rows(y) * (1 + 1e-12)).all()
    assert p.dual.dual is p


def test_parsing() -> None:
    assert parse_norms("l2") == (Norm.L2, Norm.L2)
    assert parse_norms("LINF:l1") == (Norm.LINF, Norm.L1)
    for bad in ("l3", "", "l2:l2:l2", "l2:", True):
        with pytest.raises(InputError, match="not known"):
            parse_norms(bad)
