"""What a rung of the ladder is: a function that raises the proved margins of a trial."""

from collections.abc import Callable
from dataclasses import dataclass

from autolip.registry import Registry, require_docstring
from autolip.robustness.trial import Trial

Raise = Callable[[Trial], None]
"""Raises `least` of a trial to what it proves; it may stop once nothing more can be decided."""


@dataclass(frozen=True)
class Rung:
    """A way to bound margins from below, and its place: the lower, the cheaper."""

    name: str
    place: float
    prove: Raise


LADDER: Registry[str, Rung] = Registry("rung")


def rung(name: str, place: float) -> Callable[[Raise], Raise]:
    """Enter a rung of the ladder."""

    def register(prove: Raise) -> Raise:
        require_docstring("rung", prove)
        LADDER.enter(name, Rung(name, place, prove), prove)
        return prove

    return register


def ladder() -> list[Rung]:
    """All rungs, the cheapest first."""
    return sorted(LADDER.values(), key=lambda one: one.place)
