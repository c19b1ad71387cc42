"""The search for multipliers: rounds of the vector power method, each of which ends in a proof.

The relaxation is first climbed without a margin, which shows what it attains (`primal`); then with
one, which makes the multipliers provable at the price of about eta times the depth.  After each
round the margin is lowered, or raised where the proof failed, and the rank is raised where the
iteration stands still.  The multipliers of a maximum prove what the ascent foresaw; where they
prove less, it was stopped early or at a saddle point, and starts again with more columns, which
leaves a saddle point sooner than columns added there.  This goes on until the proved value is
within the tolerance of the primal one, or time is up.  The best proved value so far is always at
hand.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise

import torch

from autolip.budget import WALL, Clock
from autolip.errors import Refusal
from autolip.methods.lipsdp.chain_dual_ascent import polished
from autolip.methods.lipsdp.factorisation import price
from autolip.methods.lipsdp.prices import format_of, step_price
from autolip.methods.lipsdp.proof import LARGEST_FORM, NOTHING, by_recursion, prove
from autolip.methods.lipsdp.relaxation import Relaxation
from autolip.methods.lipsdp.statement import Proved, Statement
from autolip.methods.lipsdp.vector_power_method import Ascent
from autolip.operators.norms import NormOptions
from autolip.operators.precision import CPU
from autolip.values import Event, Upper

CLIMB = 0.4
"""Part of the time left that one climb may take, twice that for its first steps: what follows is
its proof, and the next round."""

LONG_CLIMB = 0.7
"""The same where the proof is a norm, and there will hardly be another round."""

POLISHED = 2e8
"""Work of a recursion up to which a chain's multipliers are polished."""

FEWEST = 24
"""First steps of a climb."""

FEWEST_COLUMNS, MOST_COLUMNS = 4, 32
"""Columns to start with: where there is little time, and where there is enough."""

TIMED_COLUMNS, TIMED_STEPS = 8, 2
"""What is measured where there may be time for more: fewer columns take half as long again each."""

COLUMNS_OF_A_NORM = 64
"""The same where the proof is a norm: on large images saddle points of fewer columns prove nothing
without a repair."""

MEMORY = 2**33
"""Bytes that an iterate on the processor may take."""

COPIES = 5
"""Numbers kept for each variable and column, what is in flight included."""

SHORTEST = 4
"""Steps of the shortest search: a climb, another with a margin, what that attains, and as much for
a proof."""

GRACE = 4
"""Rounds that a first proof may take after the deadline."""

MARGINS = 0.06
"""Sum of the margins along the longest path of a network whose proof is a norm, at most: they cost
about a quarter."""

ROUNDS = 24
"""Most margins tried."""


@dataclass(frozen=True)
class Effort:
    """How far to go: ratio of proved to primal value aimed at, first rank (None: by the cost of a
    pass), first margin, steps, a moment to stop, and one when a proof begun earlier should have
    ended, both by a clock.  `closest` is the ratio aimed at afterwards, with the time that is
    left."""

    tolerance: float
    rank: int | None
    margin: float
    steps: int
    deadline: float
    latest: float
    clock: Clock = WALL
    closest: float = math.inf

    @staticmethod
    def within(
        seconds: float,
        tolerance: float,
        rank: int | None,
        margin: float,
        steps: int,
        clock: Clock = WALL,
        closest: float = math.inf,
    ) -> "Effort":
        """From now on; the last proof may take half of the time again."""
        now = clock.now()
        return Effort(
            tolerance, rank, margin, steps, now + seconds, now + 1.5 * seconds, clock, closest
        )

    @property
    def expired(self) -> bool:
        return self.clock.now() > self.deadline

    @property
    def left(self) -> float:
        """Seconds until the search has to stop."""
        return self.deadline - self.clock.now()

    def share(self, part: float) -> float:
        """The moment when this part of the time that is left will have passed."""
        now = self.clock.now()
        return now + part * max(self.deadline - now, 0.0)


@dataclass
class Search:
    """One relaxation, climbed and proved."""

    relaxation: Relaxation
    effort: Effort
    options: NormOptions
    say: Callable[[str], None] = field(default=lambda text: None, repr=False)
    best: Proved | None = None
    primal: float = 0.0
    steps: int = 0
    rounds: int = 0
    reasons: list[str] = field(default_factory=list)
    wanted: float = 0.0
    """About the seconds that would have been enough, where there were too few to begin."""
    tolerance: float = field(init=False)
    """The ratio aimed at now."""
    _ascent: Ascent = field(init=False, repr=False)
    _settled: float = field(init=False, repr=False)
    """Relative change of the value below which a climb ends."""
    _part: float = field(init=False, default=CLIMB, repr=False)

    def __post_init__(self) -> None:
        self.tolerance = self.effort.tolerance
        self._ascent = self._started(self.effort.rank or self._first_rank)
        self._settled = self.tolerance / (5 if self._by_norm else 40)

    def run(self) -> "Search":
        """Rounds until the tolerance is met, the steps are used up or time is; none where a step is
        too dear."""
        step = self._price(self.rank)
        if self.effort.clock.now() + SHORTEST * step > self.effort.latest:
            self.wanted = 2 * FEWEST * step / CLIMB
            self.reasons.append(
                f"no time left: a pass with {self.rank} columns takes about {step:.1g} s"
            )
            return self
        margin = self._first_margin
        if self._by_norm:
            self._part = LONG_CLIMB
        else:
            self._climb(0.0)
        while not self.finished:
            self.rounds += 1
            self._climb(margin)
            if not 0 < self._ascent.dual < math.inf:
                self.reasons.append("the ascent left the range of floating-point numbers")
                break
            statement = self._statement()
            self._attain()
            proved = self._proved(statement, margin)
            if isinstance(proved, Refusal):
                self.reasons.append(str(proved))
                margin = min(3 * margin, 0.5)
                self._widened()
                continue
            gain = math.inf if self.best is None else self.best.bound.value / proved.bound.value
            self._keep(proved)
            self._aim_higher()
            if self.finished:
                break
            seen = (
                margin if proved.bound.events else 0.0
            )  # what Lanczos needs to see is no sign of a saddle
            if proved.bound.value > statement.value * (1 + self.tolerance / 4 + seen):
                self._restart()
            elif gain > 1 + self.tolerance / 40 or margin > self.tolerance:
                margin /= 4
            elif not self._widened():
                break
        return self

    def _statement(self) -> Statement:
        """What the iterate claims of the network."""
        return replace(self._ascent.statement(), relaxation=self.relaxation)

    @cached_property
    def _by_norm(self) -> bool:
        """Whether the proof is a norm, that of the lifted map: there is no time, or no room, for a
        factorisation."""
        left = self.effort.latest - self.effort.clock.now()
        return self.relaxation.order > LARGEST_FORM or self._proof_price > left

    @property
    def _proof_price(self) -> float:
        return price(self.relaxation, self.effort.clock)

    @property
    def _first_margin(self) -> float:
        """As given where proofs are cheap: they are repeated. A factorisation that is dear needs
        next to none. A margin costs about depth / 4 times itself, and the norm of the lifted map
        has to be known to a part of it."""
        if self._by_norm:
            return min(
                self.effort.margin, MARGINS / max(self.relaxation.depths.values(), default=1)
            )
        dear = self._proof_price > NOTHING
        return min(self.effort.margin, self.effort.tolerance / 8) if dear else self.effort.margin

    @property
    def _first_rank(self) -> int:
        """Columns to start with: with more of them there are fewer saddle points, and fewer steps
        reach the top."""
        rank, size = COLUMNS_OF_A_NORM if self._by_norm else MOST_COLUMNS, self.relaxation.variables

        def fits() -> bool:
            dtype, device = format_of(self.relaxation.reduced.graph.work * rank)
            return COPIES * rank * size * dtype.itemsize <= _room(device) and self._lasts(rank)

        while rank > FEWEST_COLUMNS and not fits():
            rank //= 2
        return rank

    def _lasts(self, rank: int) -> bool:
        """Whether there is time for a climb: as its work says, or a step of few columns, where that
        is worth a try."""
        left, steps = self.effort.left, 2 * FEWEST
        foreseen = self._price(rank)
        measured = self.effort.clock is WALL
        return steps * foreseen <= left or (
            measured
            and 2 * SHORTEST * foreseen <= left
            and steps * rank * self._seconds_of_a_column <= left
        )

    def _price(self, rank: int) -> float:
        """About the seconds of a step."""
        return step_price(self.relaxation.reduced, rank, self.effort.clock)

    @cached_property
    def _seconds_of_a_column(self) -> float:
        """In a step, by the clock: the shorter of two, as other programs may disturb one."""
        ascent, moments = self._started(TIMED_COLUMNS), list[float]()
        for _ in range(1 + TIMED_STEPS):
            ascent.step()
            moments.append(WALL.now())
        return min(after - before for before, after in pairwise(moments)) / TIMED_COLUMNS

    def _keep(self, proved: Proved) -> None:
        """The smaller bound."""
        if self.best is None or proved.bound.value < self.best.bound.value:
            self.best = _one_of_all_rounds(proved)
        self.say(f"attains {self.primal:.6g}, proved {self.best.bound.value:.6g}")

    @property
    def unit(self) -> float:
        """The order of magnitude of the constant, by a few steps."""
        for _ in range(FEWEST):
            self._ascent.step()
        return self._ascent.primal or 1.0

    def _attain(self) -> None:
        """What the relaxation attains at the iterate, by one step without a margin."""
        self._ascent.margin = 0.0
        self._ascent.step()
        self.steps += 1
        self.primal = max(self.primal, self._ascent.primal)

    def _proved(self, statement: Statement, margin: float) -> Proved | Refusal:
        """What the statement proves; of a chain polished first, where it falls short with a small
        margin."""
        options = replace(self.options, delta=self.options.delta / ROUNDS)
        proved = prove(statement, margin, options, self.effort.latest)
        goal = self.primal * (1 + self.tolerance / 2)
        near = isinstance(proved, Proved) and (
            proved.bound.value <= goal or margin > self.tolerance
        )
        if near or not goal or not self._is_polished:
            return proved
        until = self.effort.share(CLIMB)
        better = by_recursion(polished(statement, goal, until, self.effort.clock))
        return better if isinstance(better, Proved) else proved

    @property
    def _is_polished(self) -> bool:
        """Whether the network is a chain, and its recursion cheap."""
        chain = self.relaxation.chain
        return chain is not None and chain.work <= POLISHED

    @property
    def finished(self) -> bool:
        """Whether the proved value is near enough to the primal one, or the effort is spent."""
        spent = self.effort.expired or self.steps >= self.effort.steps
        late = self.rounds >= GRACE or (
            self.rounds > 0 and self.effort.clock.now() > self.effort.latest
        )
        tried = self.best is not None or late
        return self.near or (spent and tried) or self.rounds >= ROUNDS

    @property
    def near(self) -> bool:
        """Whether the proved value is within the tolerance of the primal one."""
        return self.best is not None and self.best.bound.value <= self.primal * (1 + self.tolerance)

    def _aim_higher(self) -> None:
        """A smaller tolerance, once the one before is met."""
        while self.near and self.tolerance > self.effort.closest and not self.effort.expired:
            self.tolerance = max(self.tolerance / 4, self.effort.closest)
            self._settled = min(self._settled, self.tolerance / (5 if self._by_norm else 40))

    @property
    def rank(self) -> int:
        """Columns of the iterate."""
        return self._ascent.rank

    def _started(self, rank: int) -> Ascent:
        dtype, device = format_of(self.relaxation.reduced.graph.work * rank)
        return Ascent(
            self.relaxation.reduced,
            rank,
            dtype,
            device,
            seed=self.options.search_seed,
        )

    def _widened(self) -> bool:
        """Twice the rank, from the iterate that is there; whether that can help."""
        rank = 2 * self._ascent.rank
        if not self._useful(rank):
            return False
        self._ascent = self._ascent.widened(rank)
        return True

    def _restart(self) -> None:
        """From the beginning with twice the rank, where that can help; climbing further in any
        case."""
        rank = 2 * self._ascent.rank
        if self._useful(rank):
            self._ascent = self._started(rank)
        self._settled /= 4

    def _useful(self, rank: int) -> bool:
        """Whether the rank is within what an extreme solution can need (Barvinok, Pataki),
        generously."""
        return rank * (rank + 1) <= 8 * self.relaxation.variables

    def _climb(self, margin: float, patience: int = 8) -> None:
        """Steps until the value has settled."""
        ascent = self._ascent
        ascent.margin = margin
        known: list[float] = []
        until, first = self.effort.share(self._part), self.effort.share(max(self._part, 2 * CLIMB))
        while not known or (
            self.steps < self.effort.steps
            and self.effort.clock.now() < (first if len(known) < FEWEST else until)
        ):
            ascent.step()
            self.steps += 1
            if self.best is None and self.steps % 8 == 0:
                self.say(f"attains {max(ascent.primal, self.primal):.6g} after {self.steps} steps")
            if not margin:
                self.primal = max(self.primal, ascent.primal)
            known.append(ascent.dual)
            if not math.isfinite(ascent.dual):
                break
            stride = max(patience, len(known) // 4)
            if (
                len(known) > 2 * stride
                and abs(known[-1] - known[-1 - stride]) <= self._settled * known[-1]
            ):
                break


def _room(device: torch.device) -> int:
    """Bytes for an iterate."""
    return MEMORY if device == CPU else torch.cuda.mem_get_info(device)[0]


def _one_of_all_rounds(proved: Proved) -> Proved:
    """The choice among rounds, refused ones too, looks at their random vectors: it fails where any
    of them does."""
    if not proved.bound.events:
        return proved
    event = Event("start vectors of Lanczos in LipSDP's rounds", ROUNDS * proved.bound.delta)
    return replace(proved, bound=Upper(proved.bound.value, frozenset({event})))
