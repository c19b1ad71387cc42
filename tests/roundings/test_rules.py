"""What rules say of slopes and images, against rational arithmetic."""

from collections.abc import Callable
from fractions import Fraction

import torch
from torch import Tensor

from autolip.intervals import Interval
from autolip.rules.linear import reciprocal
from autolip.rules.ordering import _equivalence
from autolip.rules.products import _middle, _product_range, _reciprocal, _square
from autolip.rules.resampling import interpolation, linear
from autolip.rules.rule import Operand

SEEDS = range(12)


def rand(seed: int, *shape: int) -> Tensor:
    return (
        torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 0.1
    )


def inside(box: Interval, meant: list[Fraction]) -> bool:
    ends = zip(box.lo.flatten().tolist(), meant, box.hi.flatten().tolist(), strict=True)
    return all(Fraction(lo) <= m <= Fraction(hi) for lo, m, hi in ends)


def each(function: Callable[[Fraction], Fraction], x: Tensor) -> list[Fraction]:
    return [function(Fraction(v)) for v in x.flatten().tolist()]


def point(x: Tensor) -> Interval:
    return Interval(x, x)


def test_squares_and_reciprocals() -> None:
    x = rand(0, 200)
    assert inside(_square(Operand("x", x.shape, point(x))).image, each(lambda v: v * v, x))
    assert inside(_reciprocal(point(x)), each(lambda v: 1 / v, x))


def test_products_of_matrices() -> None:
    for seed in SEEDS:
        a, b = rand(seed, 5, 30), rand(seed + 50, 30, 5)
        meant = [
            sum(Fraction(x) * Fraction(y) for x, y in zip(row, column, strict=True))
            for row in a.tolist()
            for column in b.T.tolist()
        ]
        assert inside(_product_range(point(a), point(b), torch.Size([5, 5])), meant)
        one = rand(seed, 1, 1)
        assert inside(_product_range(point(one), point(one), one.shape), each(lambda v: v * v, one))


def test_products_of_matrices_that_underflow() -> None:
    tiny = torch.full((1, 8), 2.0**-538, dtype=torch.float64)
    meant = 8 * Fraction(2.0**-538) * Fraction(2.0**-538 * 0.9)
    assert inside(_product_range(point(tiny), point(tiny.T * 0.9), torch.Size([1, 1])), [meant])


def test_the_middle_of_an_interval() -> None:
    lo, hi = rand(0, 500) - 1, rand(1, 500) + 0.5
    middle, radius = _middle(Interval(lo, hi))
    for a, b, c, r in zip(lo.tolist(), hi.tolist(), middle.tolist(), radius.tolist(), strict=True):
        assert Fraction(c) - Fraction(r) <= Fraction(a) and Fraction(c) + Fraction(r) >= Fraction(b)


def test_divisors() -> None:
    for divisor in rand(0, 200).tolist():
        inverse, error = reciprocal(divisor)
        assert abs(Fraction(inverse.item()) * Fraction(divisor) - 1) <= Fraction(error)
    assert reciprocal(0.125)[1] == 0.0


def test_weights_of_resampling() -> None:
    matrix, error = interpolation(7, 3, linear, False, None)
    rows = [sum(map(Fraction, row)) for row in matrix.tolist()]
    assert any(total != 1 for total in rows), "weights of sevenths are rounded"
    assert all(abs(total - 1) <= Fraction(error) for total in rows)


def test_norms_of_blocks() -> None:
    assert Fraction(_equivalence(float("inf"), 1.125, 10**15).value) ** 9 >= Fraction(10**15) ** 8
    for size in range(2, 100):
        assert Fraction(_equivalence(float("inf"), 2.0, size).value) ** 2 >= size
        assert Fraction(_equivalence(2.0, 1.0, size).value) ** 2 >= size
        assert Fraction(_equivalence(float("inf"), 3.0, size).value) ** 3 >= size
