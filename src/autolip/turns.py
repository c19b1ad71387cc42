"""How the members of a portfolio share a time budget.

The first upper bound may take most of the time: it is the one that there has to be.  Those that
cost little leave some for the one that uses what it gets, and all of them some for the lower bound.
Who was cut short or came too late has another turn once that one has ended early.
"""

from dataclasses import dataclass

from autolip.methods import Method
from autolip.operators.norms import NormOptions
from autolip.operators.norms.engine import ABOVE, CHEAP
from autolip.operators.norms.semidefinite import reference_seconds

WORTH = 5.0
"""Seconds of reference that a method which costs little may take where there is no time budget: as
many as LipSDP."""

FIRST = 0.85
"""Until which part of a time budget the first upper bound may take, where a lower one is searched
for as well."""


@dataclass(frozen=True)
class Turns:
    """The options of the members of a portfolio: the same but for their deadlines."""

    first: NormOptions
    cheap: NormOptions
    last: NormOptions

    @staticmethod
    def of(options: NormOptions, part: float, below: bool) -> "Turns":
        """A part of the time that is left; a lower bound is searched for afterwards or not."""
        whole = part if below else part / ABOVE
        return Turns(*(options.within(min(part, share * whole)) for share in (FIRST, CHEAP, ABOVE)))

    @staticmethod
    def too_dear(price: float, options: NormOptions) -> str | None:
        """Why a method of this price, in seconds of reference, is left out; None where it is
        not."""
        if options.deadline is None:
            return (
                None
                if price <= WORTH
                else f"it would take about {price:.2g} s: name it to have it run"
            )
        seconds = price / reference_seconds(1.0) if price else 0.0
        if seconds <= max(options.left, 0.0):
            return None
        return (
            f"it would take about {seconds:.2g} s, more than its part of the time: give more, "
            "or name it"
        )

    def before(self, method: Method, others: bool) -> NormOptions:
        """Those of a method that has an upper bound before it, and a lasting method after it or
        not."""
        return self.cheap if others and not method.lasting else self.last
