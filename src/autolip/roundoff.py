"""What operations on doubles lose, in numbers: units of roundoff, sums of products, norms.

An operation on doubles, rounded to nearest with gradual underflow, obeys

    fl(x op y) = (x op y) (1 + d) + h,    |d| <= u = 2^-53,  |h| <= 2^-1075,  h = 0 for sums

(N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 2.2), so that a sum of
n products, added in any order, is off by at most

    gamma_n |x|^T |y| + n 2^-1075,    gamma_n = n u / (1 - n u)

(ibid., section 3.1; for the second term S. M. Rump, Verification methods, Acta Numerica 19, 2010,
section 5).  Moduli stand for absolute values where numbers are complex.

Errors are computed as well.  They are sums of products of numbers >= 0, so that what k operations
made of them is at least (1 - u)^k of what is meant: `raised` multiplies by more than (1 - u)^-k.
"""

import math
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

UNIT = 2.0**-53
"""Defined: unit roundoff of float64."""

TINY = 2.0**-1022
"""Proved: smallest normal double; covers what underflow can lose in one accumulation."""

SMALLEST = 2.0**-1074
"""Defined: the smallest positive double."""

V = TypeVar("V", Tensor, float)


def gamma(terms: int | float) -> float:
    """n u / (1 - n u), the error of a sum of n products in any order (Higham 2002, section 3.1),
    rounded up.

    Two more terms are far more than the rounding of the quotient, the only one here.
    """
    product = (terms + 2) * UNIT
    return product / (1 - product)


def raised(x: Any, roundings: int) -> Any:
    """At least the number >= 0 that `roundings` operations on numbers >= 0 had to yield and x is.

    Of gamma's three spare terms two are for the last operations here, 1 + gamma and the product.
    """
    return x * (1 + gamma(roundings + 1))


def lowered(x: V, roundings: int) -> V:
    """At most the number >= 0 that `roundings` operations on numbers >= 0 had to yield and x is."""
    return x * (1 - gamma(roundings + 1))


def sum_error(terms: int, sizes: V) -> V:
    """At least the rounding error of sums of this many numbers, `sizes` being those of moduli.

    Three more operations on a sum, or on each number, are included.
    """
    return sizes * gamma(terms)


def dot_error(terms: int, sizes: V, is_complex: bool = False) -> V:
    """At least the rounding error of sums of this many products, `sizes` being those of moduli.

    Two more roundings of each product, and those of `sizes`, are included; underflow is not.
    """
    share = dot_share(terms + 2, is_complex)
    return sizes * (share * (1 + gamma(terms + 4)))


def relative_error(roundings: int) -> float:
    """At least |d|, where x is computed in this many operations on exact numbers and x (1 + d)
    meant.

    A number that was rounded once is off by u of what it became.
    """
    return UNIT if roundings == 1 else (roundings + 1) * UNIT


def units(count: int, sizes: V) -> V:
    """This many times what one rounding of numbers of at most these sizes can lose, u |x|."""
    return sizes * (count * UNIT)


def dot_share(terms: int, is_complex: bool) -> float:
    """gamma_n, the relative error of n products and their sum; complex ones have two real parts.

    A complex sum of n products is two real ones of 2 n, off by sqrt(2) gamma_2n at most (Higham,
    Lemma 3.5); where each is made of three real products (ibid., section 23.2.4), of which the
    third is at most 2 |x| |y|, by sqrt(10) gamma_(n + 4).
    """
    return gamma(4 * (terms + 3)) if is_complex else gamma(terms)


def shifted(x: Any, exponents: Any) -> Any:
    """x 2^exponents, whole numbers, in two steps, neither of which overflows for finite results."""
    half = exponents // 2
    if isinstance(exponents, int):
        return x * 2.0**half * 2.0 ** (exponents - half)
    return torch.ldexp(torch.ldexp(x, half), exponents - half)


def upper_norm(x: Float[Tensor, "*shape"]) -> float:
    """At least ||x||_2 of all entries, without under- or overflow on the way.

    The root halves what n squares and their sum lose: with the root, n / 2 + 1 units, and this
    product one more, fewer than gamma's n + 2.
    """
    top = x.abs().max().item() if x.numel() else 0.0
    if top == 0 or not math.isfinite(top):
        return top
    exponent = math.frexp(top)[1]
    norm = torch.linalg.vector_norm(shifted(x, -exponent)).item() * (1 + gamma(x.numel()))
    return scale_float(norm, exponent)


def lower_norm(x: Float[Tensor, "*shape"]) -> float:
    """At most ||x||_2 of all entries >= 0, which one operation made.

    With that, n / 2 + 4 units are lost; squares that underflow are left out.
    """
    top = x.max().item() if x.numel() else 0.0
    if top == 0 or not math.isfinite(top):
        return 0.0
    exponent = math.frexp(top)[1]
    norm = torch.linalg.vector_norm(shifted(x, -exponent)).item() * (1 - gamma(x.numel() + 4))
    return math.nextafter(math.ldexp(norm, exponent), 0.0)


def scale_float(value: float, exponent: int) -> float:
    """At least value 2^exponent."""
    try:
        result = math.ldexp(value, exponent)
    except OverflowError:
        return math.inf
    return math.nextafter(result, math.inf) if value > 0 and result < 2.0**-1000 else result


@dataclass(frozen=True)
class Arithmetic:
    """Operations in some floating-point type, rounded to nearest; what underflows may be flushed to
    0.

    An operation loses at most `unit` of its result and `tiny`; beyond `largest` it overflows.
    """

    unit: float
    tiny: float
    largest: float

    @staticmethod
    def of(dtype: torch.dtype) -> "Arithmetic":
        """That of a type of PyTorch's."""
        numbers = torch.finfo(dtype)
        return Arithmetic(numbers.eps / 2, numbers.smallest_normal, numbers.max)

    def sums(self, terms: int, sizes: Tensor) -> Tensor:
        """At least the error of sums of this many products in any order, with or without fused
        operations, `sizes` being those of moduli; infinite where they may overflow.

        gamma_n = n u / (1 - n u), as above; a product and a sum underflow for every term.
        """
        product = terms * self.unit
        share = product / (1 - product) if product < 1 else math.inf
        lost = raised(share * sizes + 2 * terms * self.tiny, 6)
        return torch.where(2 * sizes < self.largest, lost, math.inf)
