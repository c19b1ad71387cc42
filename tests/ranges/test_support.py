"""Largest values of linear forms: never below the exact ones, and attained."""

from fractions import Fraction

import pytest
import torch
from torch import Tensor

from autolip.norms import Norm
from autolip.ranges.support import centre, support
from autolip.regions import Ball, Box


def draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("size", [1, 7, 40])
def test_roundings(size: int) -> None:
    forms, c = draw(0, 60, size), draw(1, size)
    box = Box(c - draw(2, size).abs(), c + draw(3, size).abs())
    rows = [[Fraction(a) for a in row] for row in forms.tolist()]
    for row, found in zip(rows, support(Ball(c, 0.7), forms).tolist(), strict=True):
        assert Fraction(found) ** 2 >= Fraction(0.7) ** 2 * sum(a * a for a in row)
    for row, found in zip(rows, support(Ball(c, 0.7, Norm.LINF), forms).tolist(), strict=True):
        assert Fraction(found) >= Fraction(0.7) * sum(map(abs, row))
    middle = [Fraction(m) for m in centre(box, c.shape).tolist()]
    for row, found in zip(rows, support(box, forms).tolist(), strict=True):
        ends = zip(row, box.lo.tolist(), box.hi.tolist(), middle, strict=True)
        meant = sum(max(a * (Fraction(lo) - m), a * (Fraction(hi) - m)) for a, lo, hi, m in ends)
        assert Fraction(found) >= meant


def test_they_are_attained() -> None:
    forms, c = draw(0, 5, 6), draw(1, 6)
    assert torch.allclose(support(Ball(c, 2.0), forms), 2 * forms.norm(dim=1), rtol=1e-13)
    assert torch.allclose(
        support(Box(c - 1, c + 1), forms), forms.abs().sum(1), rtol=1e-13, atol=1e-13
    )
    assert support(Ball(c, 0.0), forms).abs().max() < 1e-300
    assert support(Ball(c, 2.0), torch.zeros(1, 6).double()).item() == 0.0


def test_no_square_under_or_overflows() -> None:
    forms = torch.tensor([[3e-200, 4e-200], [3e200, 4e200]], dtype=torch.float64)
    found = support(Ball(torch.zeros(2), 1.0), forms)
    assert torch.allclose(
        found, torch.tensor([5e-200, 5e200], dtype=torch.float64), rtol=1e-13, atol=0
    )
