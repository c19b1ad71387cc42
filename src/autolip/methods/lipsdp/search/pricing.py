"""What the parts of a search cost, and with how many columns it may begin: in seconds of this
machine, or of the one of reference where work is counted."""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import torch

from autolip.budget import A_CALL, A_MULTIPLY_ADD, IN_DOUBLE, WALL
from autolip.methods.lipsdp.proof.factorisation import price
from autolip.methods.lipsdp.proof.prove import LARGEST_FORM
from autolip.methods.lipsdp.relaxation.relaxation import Relaxation
from autolip.methods.lipsdp.search.effort import Effort
from autolip.methods.lipsdp.search.iterate import FEWEST, format_of, started
from autolip.methods.lipsdp.search.vector_power_method import A_NUMBER
from autolip.operators.operator import CPU, DTYPE

FEWEST_COLUMNS, MOST_COLUMNS = 4, 32
"""Columns to start with, where there is little time, and where there is enough: tuned on trained
networks."""

COLUMNS_OF_A_NORM = 64
"""The same where the proof is a norm: tuned on large images, where saddle points of fewer columns
prove nothing without a repair."""

TIMED_COLUMNS, TIMED_STEPS = 8, 2
"""What is measured where there may be time for more: a choice; fewer columns take half as long
again each."""

MEMORY = 2**33
"""Bytes that an iterate on the processor may take: a choice."""

COPIES = 5
"""Numbers kept for each variable and column, what is in flight included: counted."""

SHORTEST = 4
"""Chosen: steps of the shortest search: a climb, another with a margin, what that attains, and as
much for a proof."""


@dataclass(frozen=True)
class Pricing:
    """What a search of one relaxation can afford of an effort."""

    relaxation: Relaxation
    effort: Effort

    @cached_property
    def by_norm(self) -> bool:
        """Whether the proof is a norm, that of the lifted map: there is no time, or no room, for a
        factorisation."""
        if self.relaxation.order > LARGEST_FORM:
            return True
        return not self.effort.overtime.affords(self.factorisation)

    @cached_property
    def factorisation(self) -> float:
        """About the seconds of a proof by one."""
        return price(self.relaxation, self.effort.budget.clock)

    def step(self, rank: int) -> float:
        """About the seconds of a step; what a GPU needs for its products is neglected."""
        small = self.relaxation.reduced
        clock = self.effort.budget.clock
        calls = 2 * A_CALL * sum(len(vertex.edges) for vertex in small.graph)
        work = small.graph.work * rank
        dtype, device = format_of(work, self.effort.device)
        if clock is WALL:
            return calls + (2 * work / clock.rate if device == CPU else 0.0)
        each = IN_DOUBLE if dtype == DTYPE else A_MULTIPLY_ADD
        return calls + work * each + rank * A_NUMBER * small.variables

    @property
    def first_rank(self) -> int:
        """Columns to start with: with more of them there are fewer saddle points, and fewer steps
        reach the top."""
        rank = COLUMNS_OF_A_NORM if self.by_norm else MOST_COLUMNS
        while rank > FEWEST_COLUMNS and not (self._fits(rank) and self._lasts(rank)):
            rank //= 2
        return rank

    def _fits(self, rank: int) -> bool:
        """Whether there is memory for the iterate."""
        dtype, device = format_of(self.relaxation.reduced.graph.work * rank, self.effort.device)
        numbers = COPIES * rank * self.relaxation.variables
        return numbers * dtype.itemsize <= _room(device)

    def _lasts(self, rank: int) -> bool:
        """Whether there is time for a climb: as its work says, or a step of few columns, where that
        is worth a try."""
        budget = self.effort.budget
        steps = 2 * FEWEST
        foreseen = self.step(rank)
        if budget.affords(steps * foreseen):
            return True
        worth_a_try = budget.clock is WALL and budget.affords(2 * SHORTEST * foreseen)
        return worth_a_try and budget.affords(steps * rank * self.seconds_of_a_column)

    @cached_property
    def seconds_of_a_column(self) -> float:
        """In a step, by the clock: the shorter of two, as other programs may disturb one."""
        ascent = started(self.relaxation.reduced, TIMED_COLUMNS, 0, self.effort.device)
        moments = list[float]()
        for _ in range(1 + TIMED_STEPS):
            ascent.step()
            moments.append(WALL.now())
        shortest = min(after - before for before, after in pairwise(moments))
        return shortest / TIMED_COLUMNS


def _room(device: torch.device) -> int:
    """Bytes for an iterate."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else MEMORY
