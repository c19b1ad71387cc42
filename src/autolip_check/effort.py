"""How much work a proof is, and a limit on it.

What the dimensions in the file decide is added up before anything is computed; searches that end
when they may (cells of a symbol, steps of Lanczos) are counted while they run.
"""

import math
from dataclasses import dataclass

from autolip_check.container import NotACertificate

SPEED = 1e9
"""Tuned: multiply-adds that numpy does in a second, on one ordinary core."""

A_LOOK = 1e3
"""Tuned: multiply-adds that looking at one operation of the graph costs as much as."""


class TooLong(NotACertificate):
    """The certificate is not judged: that would take longer than is allowed."""


@dataclass
class Effort:
    """Multiply-adds, of which there may be so many; by default as many as it takes."""

    allowed: float = math.inf
    spent: float = 0.0

    @staticmethod
    def of_seconds(seconds: float) -> "Effort":
        """About so many seconds."""
        return Effort(seconds * SPEED)

    def spend(self, work: float) -> None:
        """Raise TooLong where that is more than is allowed."""
        self.spent += work
        if self.spent > self.allowed:
            raise TooLong(
                f"its proof takes {self.spent / SPEED:.3g} s or more, at about {SPEED:.0e} "
                f"multiply-adds a second, and {self.allowed / SPEED:.3g} s are allowed: give a "
                "larger --budget"
            )


UNLIMITED = Effort()
"""Defined: as much as it takes."""
