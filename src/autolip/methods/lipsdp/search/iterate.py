"""The iterate of a search: the vector power method, climbed, widened and started again."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch

from autolip.budget import Budget
from autolip.methods.lipsdp.relaxation.relaxation import Relaxation
from autolip.methods.lipsdp.search.vector_power_method import Ascent
from autolip.methods.lipsdp.statement import Statement
from autolip.operators.operator import CPU

SMALL_PASS = 2e6
"""Multiply-adds of a pass below which float64 costs nothing that matters: tuned on small dense
networks."""

FEWEST = 24
"""First steps of a climb: tuned on trained networks."""

PATIENCE = 8
"""Steps, or a quarter of those made, over which the value must stand still: tuned likewise."""

SAID = 8
"""Steps between two words of progress: a choice."""


@dataclass(frozen=True)
class Allowance:
    """What a climb may use: time for its first steps, time for all of it, and steps since the
    search began."""

    first: Budget
    whole: Budget
    steps: int

    def lasts(self, climbed: int, steps: int) -> bool:
        """Whether another step may follow this many in this climb, and in all."""
        budget = self.first if climbed < FEWEST else self.whole
        return steps < self.steps and not budget.expired


def place_of(asked: torch.device | None) -> torch.device:
    """Where large passes are made: where it is asked for, else on a GPU if there is one."""
    return asked or (torch.device("cuda") if torch.cuda.is_available() else CPU)


def format_of(work: float, asked: torch.device | None) -> tuple[torch.dtype, torch.device]:
    """How passes of so much work are made: small ones in float64 on the processor, others in
    float32 at their place."""
    return (torch.float64, CPU) if work < SMALL_PASS else (torch.float32, place_of(asked))


def started(relaxation: Relaxation, rank: int, seed: int, asked: torch.device | None) -> Ascent:
    """The vector power method on a relaxation, in the format that its work asks for."""
    dtype, device = format_of(relaxation.graph.work * rank, asked)
    return Ascent(relaxation, rank, dtype, device, seed=seed)


@dataclass
class Iterate:
    """The vector power method on the smaller network of a relaxation, and what it attained."""

    relaxation: Relaxation
    seed: int
    ascent: Ascent
    device: torch.device | None = None
    primal: float = 0.0
    """The largest |y| that was attained without a margin: the relaxation is no smaller."""
    steps: int = field(default=0)

    @staticmethod
    def of(
        relaxation: Relaxation, rank: int, seed: int, device: torch.device | None = None
    ) -> "Iterate":
        """At a random start."""
        return Iterate(relaxation, seed, started(relaxation.reduced, rank, seed, device), device)

    @property
    def rank(self) -> int:
        """Columns."""
        return self.ascent.rank

    @property
    def statement(self) -> Statement:
        """What the iterate claims of the network."""
        return replace(self.ascent.statement(), relaxation=self.relaxation)

    def unit(self) -> float:
        """The order of magnitude of the constant, by a few steps."""
        for _ in range(FEWEST):
            self.ascent.step()
        return self.ascent.primal or 1.0

    def climb(
        self, margin: float, settled: float, allowance: Allowance, say: Callable[[str], None]
    ) -> None:
        """Steps until the value changes by less than `settled` of itself, at least one."""
        values: list[float] = []
        self.ascent.margin = margin
        while not values or allowance.lasts(len(values), self.steps):
            self._step()
            if not margin:
                self.primal = max(self.primal, self.ascent.primal)
            if self.steps % SAID == 0:
                attained = max(self.ascent.primal, self.primal)
                say(f"attains {attained:.6g} after {self.steps} steps")
            values.append(self.ascent.dual)
            if not math.isfinite(values[-1]) or _stands_still(values, settled):
                break

    def attain(self) -> None:
        """What the relaxation attains at the iterate, by one step without a margin."""
        self.ascent.margin = 0.0
        self._step()
        self.primal = max(self.primal, self.ascent.primal)

    def _step(self) -> None:
        self.ascent.step()
        self.steps += 1

    def widen(self) -> bool:
        """Twice the columns, from the iterate that is there; whether that can help."""
        rank = 2 * self.rank
        if self._is_useful(rank):
            self.ascent = self.ascent.widened(rank)
        return self._is_useful(rank)

    def restart(self) -> None:
        """From the beginning with twice the columns, where that can help."""
        rank = 2 * self.rank
        if self._is_useful(rank):
            self.ascent = started(self.relaxation.reduced, rank, self.seed, self.device)

    def _is_useful(self, rank: int) -> bool:
        """Whether the rank is within what an extreme solution can need (Barvinok, Pataki),
        generously."""
        return rank * (rank + 1) <= 8 * self.relaxation.variables


def _stands_still(values: list[float], settled: float) -> bool:
    stride = max(PATIENCE, len(values) // 4)
    if len(values) <= 2 * stride:
        return False
    return abs(values[-1] - values[-1 - stride]) <= settled * values[-1]
