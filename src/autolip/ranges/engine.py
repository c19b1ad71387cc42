"""What an engine of ranges is: a function that bounds some entries of one value of a network."""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Bool
from torch import Tensor

from autolip.budget import IN_DOUBLE
from autolip.intervals import Interval
from autolip.ranges.prefix import Prefix
from autolip.registry import Registry, require_docstring

WORK = 2e10
"""Tuned: multiply-adds for all ranges of a network together, about four seconds."""

PART = 0.2
"""Tuned: the part of a time budget that ranges may take."""

SEARCHED = 0.1
"""Tuned: the part of it that engines may take which search."""


@dataclass
class Allowance:
    """How many multiply-adds may still be spent: counted, so that ranges repeat.

    Of these engines that search may spend `searches`: none, where ranges are asked for often.
    """

    work: float = WORK
    searches: float = 0.0

    @staticmethod
    def within(seconds: float) -> "Allowance":
        """As much of it as a part of these seconds allows."""
        work = min(WORK, PART * max(seconds, 0.0) / IN_DOUBLE)
        return Allowance(work, SEARCHED * work)

    def spend(self, work: float) -> None:
        """What was done."""
        self.work -= work

    def search(self, work: float) -> None:
        """What was done in a search."""
        self.searches -= work
        self.spend(work)


@dataclass(frozen=True)
class Asked:
    """The value of an operation of which some entries are wanted closer; every other end may stay
    infinite."""

    prefix: Prefix
    name: str
    entries: Bool[Tensor, "*shape"]


Engine = Callable[[Asked, Allowance], Interval | None]
"""An interval that contains the value for every input of the region, proved; None: nothing new."""

ENGINES: Registry[str, Engine] = Registry("range engine")


def range_engine(name: str) -> Callable[[Engine], Engine]:
    """Enter an engine; all of them are asked, in the order of their files' names."""

    def register(engine: Engine) -> Engine:
        require_docstring("range engine", engine)
        ENGINES.enter(name, engine, engine)
        return engine

    return register
