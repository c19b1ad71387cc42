"""How the members of a portfolio share a time budget.

The first upper bound may take most of the time: it is the one that there has to be.  Those that cost little leave
some for the one that uses what it gets, and all of them some for the lower bound.  Who was cut short or came too late
has another turn once that one has ended early.
"""

from dataclasses import dataclass

from autolip.methods import Method
from autolip.operators.norms import NormOptions

FIRST, CHEAP, ABOVE = 0.85, 0.3, 0.6
"""Until which part of a time budget the first upper bound may take, those that cost little, and all others, where a
lower one is searched for as well; without that search the same in terms of the last."""


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

    def before(self, method: Method, others: bool) -> NormOptions:
        """Those of a method that has an upper bound before it, and a lasting method after it or not."""
        return self.cheap if others and not method.lasting else self.last
