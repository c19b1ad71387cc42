"""The box around the inputs that bounds joined by `and` and `or` allow, in exact decimals."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from autolip.errors import InputError
from autolip.values import round_down, round_up

NUMBER = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE]([-+]?[0-9]{1,6}))?")

DIGITS = 1000
"""Chosen: digits that a number may have; every double has fewer."""

EXPONENT = 2000
"""Chosen: the decimal exponent that a number may have; every double has a smaller one."""

LOWER = (">=", ">", "=")
UPPER = ("<=", "<", "=")
FLIPPED = {"<=": ">=", ">=": "<=", "<": ">", ">": "<", "=": "="}


@dataclass(frozen=True)
class FoundBox:
    """The ends of a box, in the order of the inputs; `joined` > 1 boxes where it is the one around
    alternatives."""

    lower: list[float]
    upper: list[float]
    joined: int = 1


@dataclass
class Hull:
    """lower[i] <= x_i <= upper[i] for every input that is bounded; `joined` is the most boxes that
    an `or` joins."""

    lower: dict[int, Decimal] = field(default_factory=dict)
    upper: dict[int, Decimal] = field(default_factory=dict)
    joined: int = 1

    @staticmethod
    def bound(index: int, relation: str, value: Decimal) -> "Hull":
        """x_index (relation) value; what is strict is closed."""
        lower = {index: value} if relation in LOWER else {}
        return Hull(lower, {index: value} if relation in UPPER else {})

    def narrow(self, other: "Hull") -> None:
        """Keep what lies in the other hull too."""
        for index, value in other.lower.items():
            self.lower[index] = max(value, self.lower.get(index, value))
        for index, value in other.upper.items():
            self.upper[index] = min(value, self.upper.get(index, value))
        self.joined = max(self.joined, other.joined)

    @property
    def is_empty(self) -> bool:
        return any(value > self.upper.get(index, value) for index, value in self.lower.items())

    @staticmethod
    def around(parts: Sequence["Hull"]) -> "Hull":
        """The smallest hull around alternatives; those that nothing satisfies are left out."""
        possible = [part for part in parts if not part.is_empty] or list(parts[:1])
        lower = _common([part.lower for part in possible], min)
        upper = _common([part.upper for part in possible], max)
        count = len(possible) if lower or upper else 1
        return Hull(lower, upper, max(count, *(part.joined for part in possible)))

    def box(self, count: int, name: Callable[[int], str]) -> FoundBox:
        """The box of `count` inputs, in doubles rounded outward: it is never too small.

        Raises InputError for an input without a bound, named by `name`, and for one that no double
        bounds.
        """
        for side, known in (("lower", self.lower), ("upper", self.upper)):
            missing = next((index for index in range(count) if index not in known), None)
            if missing is not None:
                raise InputError(f"{name(missing)} has no {side} bound: a box needs both")
        lower = [below(self.lower[index]) for index in range(count)]
        upper = [above(self.upper[index]) for index in range(count)]
        return FoundBox(lower, upper, self.joined)


def _common(
    bounds: Sequence[dict[int, Decimal]], furthest: Callable[..., Decimal]
) -> dict[int, Decimal]:
    """The furthest of the bounds on every input that all of them bound."""
    shared = set(bounds[0]).intersection(*bounds[1:])
    return {index: furthest(bound[index] for bound in bounds) for index in shared}


def decimal(text: str) -> Decimal | None:
    """The exact value of a decimal number; None where the text is none.

    Raises InputError for more digits or a larger exponent than any double has.
    """
    match = NUMBER.fullmatch(text) if len(text) <= DIGITS else None
    if match is not None and abs(int(match[4] or 0)) <= EXPONENT:
        return Decimal(text)
    if re.match(r"[-+]?\.?[0-9]", text):
        raise InputError(
            f"{_short(text)} is no decimal number, or has more digits than any double: write fewer"
        )
    return None


def below(value: Decimal) -> float:
    """The largest double that is at most this."""
    nearest = _double(value)
    return round_down(nearest) if Decimal(nearest) > value else nearest


def above(value: Decimal) -> float:
    """The smallest double that is at least this."""
    nearest = _double(value)
    return round_up(nearest) if Decimal(nearest) < value else nearest


def _double(value: Decimal) -> float:
    nearest = float(value)
    if math.isinf(nearest):
        raise InputError(f"the bound {value:.5e} is larger than every double")
    return nearest


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
