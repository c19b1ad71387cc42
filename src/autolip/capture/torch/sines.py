"""Coefficients that are sums of products of constants, among them sines and cosines of multiples of
constants: equal where the identities of sine and cosine make them so.

Rounded to numbers, cos 2t and 2 cos^2 t - 1 differ; here they are the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

Angle = tuple[tuple[str, Fraction], ...]
"""A sum of multiples of constants, by their names, in the order of these."""

Term = tuple[tuple[str, ...], bool, Angle]
"""Constants that are multiplied, in the order of their names, and the sine (true) or the cosine of
an angle; the cosine of no angle is 1."""

HALF = Fraction(1, 2)


@dataclass(frozen=True)
class Coefficient:
    """A sum of multiples of terms, none of them 0."""

    terms: Mapping[Term, Fraction] = field(default_factory=dict)

    def __add__(self, other: "Coefficient") -> "Coefficient":
        total = dict(self.terms)
        for term, share in other.terms.items():
            total[term] = total.get(term, Fraction(0)) + share
        return Coefficient({term: share for term, share in total.items() if share})

    def __neg__(self) -> "Coefficient":
        return Coefficient({term: -share for term, share in self.terms.items()})

    def __sub__(self, other: "Coefficient") -> "Coefficient":
        return self + -other

    def __mul__(self, other: "Coefficient") -> "Coefficient":
        total = Coefficient()
        for term, share in self.terms.items():
            for factor, part in other.terms.items():
                total += scaled(_product(term, factor), share * part)
        return total

    @property
    def number(self) -> Fraction | None:
        """Its value, where no constant is in it."""
        return self.terms.get(_ONE, Fraction(0)) if set(self.terms) <= {_ONE} else None


_ONE: Term = ((), False, ())


def number(value: float | Fraction) -> Coefficient:
    """A number, exactly."""
    return scaled(Coefficient({_ONE: Fraction(1)}), Fraction(value))


def symbol(name: str) -> Coefficient:
    """A constant of which nothing is known but its name."""
    return Coefficient({((name,), False, ()): Fraction(1)})


def sine(angle: Angle) -> Coefficient:
    """sin(-a) = -sin a, and sin 0 = 0."""
    if not angle:
        return Coefficient()
    upward, sign = _upward(angle)
    return Coefficient({((), True, upward): sign})


def cosine(angle: Angle) -> Coefficient:
    """cos(-a) = cos a."""
    return Coefficient({((), False, _upward(angle)[0]): Fraction(1)})


def turned(a: Angle, b: Angle, times: Fraction | int = 1) -> Angle:
    """a + times b."""
    total = dict(a)
    for name, share in b:
        total[name] = total.get(name, Fraction(0)) + times * share
    return tuple(sorted((name, share) for name, share in total.items() if share))


def scaled(a: Coefficient, times: Fraction) -> Coefficient:
    """A number times it."""
    if not times:
        return Coefficient()
    return Coefficient({term: times * share for term, share in a.terms.items()})


def _upward(angle: Angle) -> tuple[Angle, Fraction]:
    """The angle or its negative, whichever begins with a positive multiple, and its sign."""
    if angle and angle[0][1] < 0:
        return turned((), angle, -1), Fraction(-1)
    return angle, Fraction(1)


def _product(a: Term, b: Term) -> Coefficient:
    """By the product formulas, for instance 2 sin a cos b = sin(a + b) + sin(a - b)."""
    names = tuple(sorted(a[0] + b[0]))
    odd = a[1] != b[1]
    one = a[2]
    two = b[2]
    if odd and b[1]:
        one, two = two, one  # the sine's first
    apart = turned(one, two, -1)
    together = turned(one, two)
    if odd:
        doubled = sine(together) + sine(apart)
    elif a[1]:
        doubled = cosine(apart) - cosine(together)
    else:
        doubled = cosine(apart) + cosine(together)
    halves = scaled(doubled, HALF)
    return Coefficient(
        {(names, sin, angle): share for (_, sin, angle), share in halves.terms.items()}
    )
