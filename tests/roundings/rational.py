"""Random doubles, and functions of doubles in rational arithmetic: what rounding is measured
against."""

from collections.abc import Sequence
from decimal import Decimal, localcontext
from fractions import Fraction

import torch
from torch import Tensor

from autolip.intervals import Interval

Matrix = Sequence[Sequence[Fraction]]

DIGITS = 60
"""Of functions whose values are not rational."""

PI = Fraction("3.14159265358979323846264338327950288419716939937510582097494459")


def rand(seed: int, *shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def randn(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def point(x: Tensor) -> Interval:
    return Interval(x, x)


def inside(box: Interval, meant: Sequence[Fraction]) -> bool:
    """Whether each entry's interval contains its number."""
    ends = zip(box.lo.flatten().tolist(), meant, box.hi.flatten().tolist(), strict=True)
    return all(Fraction(lo) <= m <= Fraction(hi) for lo, m, hi in ends)


def product(a: Matrix, b: Matrix) -> list[list[Fraction]]:
    columns = list(zip(*b, strict=True))
    return [
        [sum((x * y for x, y in zip(row, c, strict=True)), Fraction(0)) for c in columns]
        for row in a
    ]


def minus(a: Matrix, b: Matrix) -> list[list[Fraction]]:
    return [[x - y for x, y in zip(r, s, strict=True)] for r, s in zip(a, b, strict=True)]


def scaled(factors: Sequence[Fraction], a: Matrix) -> list[list[Fraction]]:
    """diag(factors) A."""
    return [[f * x for x in row] for f, row in zip(factors, a, strict=True)]


def turned(a: Matrix) -> list[list[Fraction]]:
    return [list(column) for column in zip(*a, strict=True)]


def exponential(x: Fraction) -> Fraction:
    with localcontext(prec=DIGITS):
        return Fraction((Decimal(x.numerator) / Decimal(x.denominator)).exp())


def root(x: Fraction) -> Fraction:
    with localcontext(prec=DIGITS):
        return Fraction((Decimal(x.numerator) / Decimal(x.denominator)).sqrt())


def cosine(x: Fraction) -> Fraction:
    """By its series, for |x| < 7."""
    term, total = Fraction(1), Fraction(0)
    for k in range(1, 60):
        total += term
        term *= -x * x / ((2 * k - 1) * 2 * k)
    return total
