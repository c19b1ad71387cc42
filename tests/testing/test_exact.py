"""Norms in rational arithmetic against their definitions."""

import itertools
from fractions import Fraction

import pytest
import torch

from autolip.norms import Norm
from autolip.testing.exact import Known, exact_norm, is_above_norm, rational

MATRIX = torch.tensor([[3.0, -4.0, 0.5], [0.25, 2.0, -1.0]], dtype=torch.float64)


@pytest.mark.parametrize(("p", "q"), itertools.product(Norm, Norm), ids=lambda norm: norm.value)
def test_no_vector_is_stretched_further_and_one_is_stretched_as_far(p: Norm, q: Norm) -> None:
    known = exact_norm(MATRIX, p, q)
    x = torch.randn(20_000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = torch.cat([x, x.sign(), torch.eye(3, dtype=torch.float64)])
    best = (q.of_rows(x @ MATRIX.T) / p.of_rows(x)).max().item()
    assert float(known) * (1 - 1e-3) <= best <= float(known) * (1 + 1e-14)
    assert known.high <= known.low * (1 + Fraction(1, 2**40))


def test_a_number_is_refuted_by_one_unit_in_the_last_place() -> None:
    five = exact_norm(torch.tensor([[3.0, -4.0], [4.0, 3.0]]), Norm.L1, Norm.L2)
    assert five == Known.of(5) and five.is_at_most(5.0) and five.is_at_least(5.0)
    assert not five.is_at_most(4.999999999999999) and not five.is_at_least(5.000000000000001)
    assert five.is_at_most(float("inf")) and not five.is_at_least(float("inf"))
    assert five.is_within(5.05, 1.02) and not five.is_within(5.2, 1.02)


def test_scales_beyond_floating_point() -> None:
    tiny, huge = rational([[Fraction(2) ** -3000]]), rational([[Fraction(2) ** 1000]])
    for p, q in itertools.product(Norm, Norm):
        assert exact_norm(tiny, p, q).low == Fraction(4) ** -3000
        assert float(exact_norm(huge, p, q)) == 2.0**1000


def test_the_certificate_of_a_singular_value_can_fail() -> None:
    a = rational(MATRIX)
    known = exact_norm(MATRIX, Norm.L2, Norm.L2)
    assert is_above_norm(a, known.high) and not is_above_norm(
        a, known.low * (1 - Fraction(1, 10**9))
    )
