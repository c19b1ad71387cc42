"""When a search does what: margins, tolerances, parts of the time, and the next move.

With a margin eta the multipliers can be proved, at the price of about eta times the depth.
"""

from dataclasses import dataclass
from enum import Enum

from autolip.methods.lipsdp.proof.prove import NOTHING
from autolip.methods.lipsdp.search.effort import Effort
from autolip.methods.lipsdp.search.iterate import Allowance
from autolip.methods.lipsdp.search.pricing import Pricing
from autolip.values import Upper

CLIMB = 0.4
"""Part of the time left that one climb may take, twice that for its first steps: a choice; what
follows is its proof, and the next round."""

LONG_CLIMB = 0.7
"""The same where the proof is a norm, and there will hardly be another round: a choice."""

GRACE = 4
"""Rounds that a first proof may take after the deadline: a choice."""

ROUNDS = 24
"""Most margins tried: a choice."""

MARGINS = 0.06
"""Sum of the margins along the longest path of a network whose proof is a norm, at most: tuned on
large images, they cost about a quarter."""

LARGEST_MARGIN = 0.5
"""Where margins that failed are raised to, at most: a choice."""

FINE, COARSE = 40, 5
"""A climb has settled where the value changes by less than this part of the tolerance; coarsely
where the proof is a norm: tuned on trained networks."""


class Move(Enum):
    """What a search does after a round that proved something."""

    RESTART = "climb from the beginning with more columns, and further"
    LOWER = "climb on with a smaller margin"
    WIDEN = "climb on with more columns"


@dataclass
class Schedule:
    """What the next round is: its margin, what it aims at, and when its climb has settled."""

    effort: Effort
    by_norm: bool
    margin: float
    tolerance: float
    """Ratio of proved to attained value, less 1, that is aimed at now."""
    settled: float
    """Relative change of the value below which a climb ends."""
    rounds: int = 0

    @staticmethod
    def of(pricing: Pricing) -> "Schedule":
        """That of a first round."""
        effort = pricing.effort
        by_norm = pricing.by_norm
        settled = effort.tolerance / (COARSE if by_norm else FINE)
        return Schedule(effort, by_norm, _first_margin(pricing), effort.tolerance, settled)

    @property
    def allowance(self) -> Allowance:
        """What a climb that begins now may use."""
        budget = self.effort.budget
        part = LONG_CLIMB if self.by_norm else CLIMB
        first = budget.within(max(part, 2 * CLIMB))
        return Allowance(first, budget.within(part), self.effort.steps)

    def is_near(self, bound: float, attained: float) -> bool:
        """Whether a bound is as near to what the relaxation attains as is aimed at."""
        return bound <= attained * (1 + self.tolerance)

    def is_over(self, steps: int, proved: bool) -> bool:
        """Whether the effort is spent, this many steps made and something proved or not: a first
        proof may take some rounds more."""
        late = self.rounds > 0 and self.effort.overtime.expired
        spent = self.effort.budget.expired or steps >= self.effort.steps
        given_up = proved or late or self.rounds >= GRACE
        return (spent and given_up) or self.rounds >= ROUNDS

    def aim_higher(self, bound: float, attained: float) -> None:
        """A smaller tolerance, once the one before is met."""
        closest = self.effort.closest
        fine = COARSE if self.by_norm else FINE
        while (
            self.is_near(bound, attained)
            and self.tolerance > closest
            and not self.effort.budget.expired
        ):
            self.tolerance = max(self.tolerance / 4, closest)
            self.settled = min(self.settled, self.tolerance / fine)

    def after_failure(self) -> None:
        """Three times the margin, as the multipliers proved nothing."""
        self.margin = min(3 * self.margin, LARGEST_MARGIN)

    def move(self, foreseen: float, bound: Upper, gain: float) -> Move:
        """What follows a proof that makes the bound `gain` times smaller.

        The multipliers of a maximum prove what the ascent foresaw, and what Lanczos needs to see;
        where they prove less, it was stopped early or at a saddle point, and starts again with more
        columns, which leaves a saddle point sooner than columns added there.
        """
        seen = self.margin if bound.events else 0.0
        if bound.value > foreseen * (1 + self.tolerance / 4 + seen):
            return Move.RESTART
        if gain > 1 + self.tolerance / 40 or self.margin > self.tolerance:
            return Move.LOWER
        return Move.WIDEN


def _first_margin(pricing: Pricing) -> float:
    """As given where proofs are cheap: they are repeated.

    A factorisation that is dear needs next to none.  A margin costs about depth / 4 times itself,
    and the norm of the lifted map has to be known to a part of it.
    """
    effort = pricing.effort
    if pricing.by_norm:
        deepest = max(pricing.relaxation.depths.values(), default=1)
        return min(effort.margin, MARGINS / deepest)
    if pricing.factorisation > NOTHING:
        return min(effort.margin, effort.tolerance / 8)
    return effort.margin
