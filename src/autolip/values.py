"""Directed scalars: an upper bound, a lower bound and an estimate are different types.

A power iteration converges to a norm from below and a greedy search to a maximum from below;
neither is an upper bound.  Here the direction of an inequality is a type, so the three cannot be
mixed by accident.
"""

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

_serial = itertools.count()


class Certainty(Enum):
    """How an upper bound is known."""

    PROVED = "proved"
    CONFIDENT = "confident"


@dataclass(frozen=True)
class Event:
    """A failure event of our own random start vectors, of probability at most `delta`."""

    label: str
    delta: float
    serial: int = field(default_factory=lambda: next(_serial))

    def __post_init__(self) -> None:
        if not 0 < self.delta < 1:
            raise ValueError(f"an event's probability lies in (0, 1), not {self.delta}")

    def __reduce__(self) -> tuple[type["Event"], tuple[str, float]]:
        """A copy from another process is another event: its serial number counts there only."""
        return Event, (self.label, self.delta)


def round_up(value: float) -> float:
    """The next double above `value`: absorbs one correctly rounded operation."""
    return math.nextafter(value, math.inf)


def round_down(value: float) -> float:
    """The next double below `value`: absorbs one correctly rounded operation."""
    return math.nextafter(value, -math.inf)


@dataclass(frozen=True)
class Upper:
    """The quantity is at most `value`, unless one of `events` happened.

    Without events the bound is PROVED: deterministic, every rounding error accounted for.  With
    events it is CONFIDENT(delta): true with probability at least 1 - delta over our own random
    vectors, whatever the network (unless it was made for the seed that they were drawn with, if one
    was given); delta is the union bound over the *distinct* events, so that a norm used twice is
    counted once.

    Zero is a proof and infinity is ignorance:

    * The value 0 says that the quantity *is* 0: no difference passes.  Arithmetic never makes it
      from anything else, for what underflows becomes the smallest positive double; nor may anything
      that builds an `Upper` from a computed number, which is 0 only if every number it stands for
      is.
    * The value inf says that no finite bound is known: there is none, or it is beyond the largest
      double.
    * Hence 0 * inf = 0.  A gain bounds differences of values, which are finite whatever is known of
      them: where a zero map comes first nothing differs any more, and where it comes last it maps
      every finite difference to 0.
    * NaN is neither and cannot be built: see `at_most` for a computed number that may be one.
    """

    value: float
    events: frozenset[Event] = frozenset()

    def __post_init__(self) -> None:
        if math.isnan(self.value) or self.value < 0:
            raise ValueError(f"an upper bound on a norm is a number >= 0, not {self.value}")

    @staticmethod
    def at_most(value: float) -> "Upper":
        """A computed bound that may be NaN, because something overflowed on the way: then nothing
        is known."""
        return INFINITE if math.isnan(value) else Upper(value)

    @property
    def certainty(self) -> Certainty:
        return Certainty.CONFIDENT if self.events else Certainty.PROVED

    @property
    def delta(self) -> float:
        """Probability that the bound fails: at most this."""
        return math.fsum(event.delta for event in self.events)

    def __add__(self, other: "Upper") -> "Upper":
        _only_uppers(other)
        total = self.value + other.value
        exact = self.value == 0 or other.value == 0
        return Upper(total if exact else round_up(total), self.events | other.events)

    def __mul__(self, other: "Upper") -> "Upper":
        _only_uppers(other)
        if self.value == 0 or other.value == 0:
            return Upper(0.0, (self if self.value == 0 else other).events)
        exact = self.value == 1 or other.value == 1
        product = self.value * other.value
        return Upper(product if exact else round_up(product), self.events | other.events)

    def sqrt(self) -> "Upper":
        root = math.sqrt(self.value)
        exact = math.isinf(root) or (
            root < 2**26 and root == int(root) and root * root == self.value
        )
        return Upper(root if exact else round_up(root), self.events)

    @staticmethod
    def least(bounds: Iterable["Upper"]) -> "Upper":
        """The smallest of several valid bounds.

        The choice looks at the random values, so a randomised winner fails with at most the sum of
        the probabilities of every randomised candidate; a proved winner cannot fail.
        """
        candidates = list(bounds)
        best = min(candidates, key=lambda bound: (bound.value, bound.delta))
        if not best.events:
            return best
        return Upper(best.value, frozenset().union(*(bound.events for bound in candidates)))

    @staticmethod
    def largest(bounds: Iterable["Upper"]) -> "Upper":
        """An upper bound on the maximum of several quantities (0 for none)."""
        candidates = list(bounds)
        if not candidates:
            return Upper(0.0)
        sets = [bound.events for bound in candidates]
        events = frozenset[Event]().union(*sets)
        return Upper(max(bound.value for bound in candidates), events)


def _only_uppers(other: object) -> None:
    if not isinstance(other, Upper):
        raise TypeError(
            f"an Upper combines with an Upper only, not with {type(other).__name__}: it "
            "would not be one"
        )


ZERO = Upper(0.0)
ONE = Upper(1.0)
INFINITE = Upper(math.inf)


@dataclass(frozen=True)
class Lower:
    """The quantity is at least `value`: attained, by `witness` (what it holds depends on the
    search)."""

    value: float
    witness: Any = None

    def __post_init__(self) -> None:
        if math.isnan(self.value) or self.value < 0:
            raise ValueError(f"a lower bound on a norm is a number >= 0, not {self.value}")


@dataclass(frozen=True)
class Estimate:
    """Neither bound: a sample, a power iteration, a greedy search. Never enters an `Upper`."""

    value: float
