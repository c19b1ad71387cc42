"""The search for multipliers: rounds of the vector power method, each of which ends in a proof.

The relaxation is first climbed without a margin, which shows what it attains; then with one, which
makes the multipliers provable.  After each round the margin is lowered, or raised where the proof
failed, and the rank is raised where the iteration stands still, until the proved value is within
the tolerance of the attained one, or time is up.  The best proved value so far is always kept.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

from autolip.errors import Refusal, TooLate, first_line
from autolip.methods.lipsdp.proof.prove import LARGEST_FORM, by_recursion, prove
from autolip.methods.lipsdp.relaxation.relaxation import Relaxation
from autolip.methods.lipsdp.search.chain_dual_ascent import polished
from autolip.methods.lipsdp.search.effort import Effort
from autolip.methods.lipsdp.search.iterate import FEWEST, Iterate, place_of
from autolip.methods.lipsdp.search.pricing import SHORTEST, Pricing
from autolip.methods.lipsdp.search.schedule import CLIMB, ROUNDS, Move, Schedule
from autolip.methods.lipsdp.statement import Proved, Statement
from autolip.operators.norms import NormOptions
from autolip.operators.operator import CPU
from autolip.values import Event, Upper

POLISHED = 2e8
"""Work of a recursion up to which a chain's multipliers are polished: tuned on deep chains."""


def silent(text: str) -> None:
    """Tells nobody."""


@dataclass
class Search:
    """One relaxation, climbed and proved."""

    relaxation: Relaxation
    effort: Effort
    options: NormOptions
    say: Callable[[str], None] = field(default=silent, repr=False)
    best: Proved | None = None
    reasons: list[str] = field(default_factory=list)
    """Why what was tried proved nothing."""
    wanted: float = 0.0
    """About the seconds that would have been enough, where there were too few to begin."""
    failure: str = ""
    """What a device other than the processor could not do, and the remedy."""

    @cached_property
    def pricing(self) -> Pricing:
        return Pricing(self.relaxation, self.effort)

    @cached_property
    def iterate(self) -> Iterate:
        rank = self.effort.rank or self.pricing.first_rank
        return Iterate.of(self.relaxation, rank, self.options.search_seed, self.effort.device)

    @cached_property
    def schedule(self) -> Schedule:
        return Schedule.of(self.pricing)

    def run(self) -> "Search":
        """Rounds until the tolerance is met, the steps are used up or time is, or until a device
        fails (out of memory, an operation that it lacks): what was proved before stays."""
        place = place_of(self.effort.device)
        try:
            self._rounds()
        except RuntimeError as error:
            if place == CPU:
                raise
            self.failure = f"passes on {place} failed ({first_line(error)}): give device='cpu'"
            self.reasons.append(self.failure)
        return self

    def _rounds(self) -> None:
        """None where a step is too dear."""
        rank = self.iterate.rank
        step = self.pricing.step(self.iterate.rank)
        if not self.effort.overtime.affords(SHORTEST * step):
            self.wanted = 2 * FEWEST * step / CLIMB
            self.reasons.append(
                f"no time left: a pass with {rank} columns takes about {step:.1g} s"
            )
            return
        if not self.pricing.by_norm:
            self._climb(0.0)
        while not self.finished and self._round():
            pass

    def _round(self) -> bool:
        """A climb, the proof of what it claims, and the next move; False where none is left."""
        self.schedule.rounds += 1
        self._climb(self.schedule.margin)
        if not 0 < self.iterate.ascent.dual < math.inf:
            self.reasons.append("the ascent left the range of floating-point numbers")
            return False
        statement = self.iterate.statement
        self.iterate.attain()
        proved = self._proved(statement)
        if isinstance(proved, Refusal):
            self.reasons.append(str(proved))
            self.schedule.after_failure()
            self.iterate.widen()
            return True
        before = math.inf if self.best is None else self.best.bound.value
        self._keep(proved)
        return not self.finished and self._moved(statement, proved, before / proved.bound.value)

    def _moved(self, statement: Statement, proved: Proved, gain: float) -> bool:
        """Whether there is a way to go on, after a proof that made the bound `gain` times
        smaller."""
        match self.schedule.move(statement.value, proved.bound, gain):
            case Move.RESTART:
                self.iterate.restart()
                self.schedule.settled /= 4
            case Move.LOWER:
                self.schedule.margin /= 4
            case Move.WIDEN:
                return self.iterate.widen()
        return True

    def _climb(self, margin: float) -> None:
        say = self.say if self.best is None else silent
        self.iterate.climb(margin, self.schedule.settled, self.schedule.allowance, say)

    def _proved(self, statement: Statement) -> Proved | Refusal:
        """What the statement proves; of a chain polished first, where it falls short with a small
        margin."""
        delta = self.options.delta / ROUNDS
        overtime = self.effort.overtime
        margin = self.schedule.margin
        tolerance = self.schedule.tolerance
        proved = prove(statement, margin, replace(self.options, delta=delta, budget=overtime))
        goal = self.iterate.primal * (1 + tolerance / 2)
        near = isinstance(proved, Proved) and proved.bound.value <= goal
        enough = isinstance(proved, Proved) and margin > tolerance
        if near or enough or not goal or not self._is_polished:
            return proved
        better = by_recursion(polished(statement, goal, self.effort.budget.within(CLIMB)))
        return better if isinstance(better, Proved) else proved

    @property
    def _is_polished(self) -> bool:
        """Whether the network is a chain, and its recursion cheap."""
        chain = self.relaxation.chain
        return chain is not None and chain.work <= POLISHED

    def _keep(self, proved: Proved) -> None:
        """The smaller bound, and a smaller tolerance where it is near enough."""
        if self.best is None or proved.bound.value < self.best.bound.value:
            self.best = one_of_all_rounds(proved)
        bound = self.best.bound.value
        attained = self.iterate.primal
        self.say(f"attains {attained:.6g}, proved {bound:.6g}")
        self.schedule.aim_higher(bound, attained)

    @property
    def near(self) -> bool:
        """Whether the proved value is within the tolerance of the attained one."""
        if self.best is None:
            return False
        return self.schedule.is_near(self.best.bound.value, self.iterate.primal)

    @property
    def finished(self) -> bool:
        """Whether the proved value is near enough to the attained one, or the effort is spent."""
        proved = self.best is not None
        return self.near or self.schedule.is_over(self.iterate.steps, proved)

    @property
    def refusal(self) -> Refusal:
        """Why nothing was proved; where time was short, what would be enough of it."""
        reasons = "; ".join(dict.fromkeys(self.reasons)) or "no time left"
        if not self.wanted and not self.effort.budget.expired:
            return Refusal(reasons)
        fits = self.relaxation.order <= LARGEST_FORM
        proof = self.pricing.factorisation if fits else 0.0
        return TooLate(reasons, 2 * (self.wanted + proof))

    @property
    def note(self) -> str:
        """How far the search came, and what ended it where that was no tolerance."""
        iterate = self.iterate
        budget = self.effort.budget
        steps = f"an estimate, after {iterate.steps} steps at rank {iterate.rank}"
        attained = f"the relaxation attains {iterate.primal:.6g} ({steps})"
        if self.failure:
            return f"{attained}; {self.failure}"
        if self.near or not budget.expired:
            return attained if budget.clock.repeats else f"{attained}; steps paced by the clock"
        if budget.clock.repeats:
            return f"{attained}; ended after its share of work, a time budget goes on"
        return f"{attained}; ended by the clock"


def one_of_all_rounds(proved: Proved) -> Proved:
    """The choice among rounds, refused ones too, looks at their random vectors: it fails where any
    of them does."""
    if not proved.bound.events:
        return proved
    event = Event("start vectors of Lanczos in LipSDP's rounds", ROUNDS * proved.bound.delta)
    return replace(proved, bound=Upper(proved.bound.value, frozenset({event})))
