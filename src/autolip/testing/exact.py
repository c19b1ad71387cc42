"""||A||_{p -> q} of a small matrix in rational arithmetic, for all nine pairs of the norms l1, l2
and linf."""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from autolip.norms import Norm

Matrix = Sequence[Sequence[Fraction]]
Integers = Sequence[Sequence[int]]

NARROW = Fraction(1, 2**40)
"""Chosen: relative width of the interval around a squared singular value; everything else here is
exact."""

MOST_SIGNS = 14
"""Chosen: sign vectors are enumerated up to this length."""


@dataclass(frozen=True)
class Known:
    """A number >= 0, known by its square: low <= number^2 <= high."""

    low: Fraction
    high: Fraction

    @staticmethod
    def of(number: Fraction | float, error: Fraction = Fraction(0)) -> "Known":
        """A number that is known up to an absolute error."""
        value = Fraction(number)
        return Known(max(value - error, Fraction(0)) ** 2, (value + error) ** 2)

    @staticmethod
    def largest(numbers: Iterable["Known"]) -> "Known":
        """The maximum of several numbers."""
        known = list(numbers)
        return Known(max(n.low for n in known), max(n.high for n in known))

    def is_at_most(self, value: float) -> bool:
        """Whether an upper bound holds: False only where it is refuted."""
        return math.isinf(value) or Fraction(value) ** 2 >= self.low

    def is_at_least(self, value: float) -> bool:
        """Whether a lower bound holds: False only where it is refuted."""
        return math.isfinite(value) and Fraction(value) ** 2 <= self.high

    def is_within(self, value: float, ratio: float) -> bool:
        """Whether a value is at most `ratio` times the number."""
        return math.isfinite(value) and Fraction(value) ** 2 <= self.high * Fraction(ratio) ** 2

    def __float__(self) -> float:
        """About the number, for messages."""
        return _root(self.low)


def exact_norm(matrix: Tensor | Matrix, p: Norm, q: Norm) -> Known:
    """||A||_{p -> q}: by columns, rows or sign vectors, for l2 -> l2 by a Rayleigh quotient and a
    factorisation.

    The unit ball of l1 has the unit vectors for vertices and that of linf the sign vectors, and a
    convex function is largest at a vertex; ||A||_{p -> q} = ||A^T||_{q* -> p*} leaves l2 -> l2
    only.
    """
    fractions = rational(matrix)
    if not fractions or not fractions[0]:
        return Known.of(0)
    unit = math.lcm(*(entry.denominator for row in fractions for entry in row))
    a = [[int(entry * unit) for entry in row] for row in fractions]
    found = _integer_norm(a, p, q)
    return Known(found.low / unit**2, found.high / unit**2)


def _integer_norm(a: Integers, p: Norm, q: Norm) -> Known:
    columns = list(zip(*a, strict=True))
    if p is Norm.L1:
        return _largest(_square(column, q) for column in columns)
    if q is Norm.LINF:
        return _largest(_square(row, p.dual) for row in a)
    if p is Norm.LINF:
        return _largest(_square(image, q) for image in _images(a))
    if q is Norm.L1:
        return _largest(_square(image, Norm.L2) for image in _images(columns))
    return _singular(a)


def rational(matrix: Tensor | Matrix) -> list[list[Fraction]]:
    """The matrix, entry by entry, exactly."""
    rows = matrix.double().tolist() if isinstance(matrix, Tensor) else matrix
    return [[Fraction(entry) for entry in row] for row in rows]


def _largest(squares: Iterable[int]) -> Known:
    best = Fraction(max(squares))
    return Known(best, best)


def _square(vector: Iterable[int], norm: Norm) -> int:
    """||v||^2."""
    if norm is Norm.L2:
        return sum(x * x for x in vector)
    sizes = [abs(x) for x in vector]
    length = max(sizes) if norm is Norm.LINF else sum(sizes)
    return length * length


def _images(a: Integers) -> Iterable[list[int]]:
    """A s for all sign vectors s, up to the common sign."""
    width = len(a[0])
    if width > MOST_SIGNS:
        raise ValueError(
            f"{2 ** (width - 1)} sign vectors are too many to enumerate: take a smaller matrix"
        )
    for rest in itertools.product((1, -1), repeat=width - 1):
        signs = (1, *rest)
        yield [sum(s * x for s, x in zip(signs, row, strict=True)) for row in a]


def _singular(a: Integers) -> Known:
    """The largest singular value: a vector that attains it nearly, and a proof that it is hardly
    larger."""
    size = max(abs(x) for row in a for x in row)
    if size == 0:
        return Known.of(0)
    floats = torch.tensor([[x / size for x in row] for row in a], dtype=torch.float64)
    vector = [int(math.ldexp(x, 60)) for x in torch.linalg.svd(floats)[2][0].tolist()]
    image = [sum(x * v for x, v in zip(row, vector, strict=True)) for row in a]
    numerator = _square(image, Norm.L2)
    denominator = _square(vector, Norm.L2)
    low = Fraction(numerator, denominator)
    high = low * (1 + NARROW)
    if not is_above_norm(a, high):
        raise ArithmeticError("the singular vector found is not that of the largest singular value")
    return Known(low, high)


def is_above_norm(a: Matrix | Integers, square: Fraction) -> bool:
    """Whether square * I - A^T A is positive semidefinite, by elimination in rational
    arithmetic."""
    rows = a if len(a) >= len(a[0]) else list(zip(*a, strict=True))
    n = len(rows[0])
    s = [
        [square * (i == j) - sum(row[i] * row[j] for row in rows) for j in range(n)]
        for i in range(n)
    ]
    return is_exactly_semidefinite(s)


def is_exactly_semidefinite(matrix: Sequence[Sequence[Fraction]]) -> bool:
    """Whether a symmetric matrix is positive semidefinite, by elimination in rational
    arithmetic."""
    n = len(matrix)
    s = [list(row) for row in matrix]
    for k in range(n):
        if s[k][k] < 0 or (s[k][k] == 0 and any(s[k][k + 1 :])):
            return False
        for i in range(k + 1, n):
            ratio = s[i][k] / s[k][k] if s[k][k] else Fraction(0)
            s[i] = [x - ratio * y for x, y in zip(s[i], s[k], strict=True)]
    return True


def _root(square: Fraction) -> float:
    """About the square root, whatever the size."""
    top = square.numerator.bit_length()
    bottom = square.denominator.bit_length()
    shift = (top - bottom) // 2
    return math.ldexp(math.sqrt(square / Fraction(4) ** shift), shift) if square else 0.0
