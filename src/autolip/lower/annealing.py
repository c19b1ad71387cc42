"""The published search by simulated annealing."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from autolip.errors import Refusal
from autolip.lower.certify import certified
from autolip.lower.method import LowerMethod, lower_method
from autolip.lower.pairs import Pairs, about, column, random_directions
from autolip.lower.power_steps import polished
from autolip.lower.problem import LowerProblem, counted
from autolip.roundoff import TINY
from autolip.values import Lower

POWER_STEPS = 2
"""Tuned: power steps for each proposed point, from the direction of the point it is compared
with."""


@lower_method
@dataclass(frozen=True)
class Annealing(LowerMethod):
    """Lower bound on the Lipschitz constant: the largest Jacobian norm met by simulated annealing.

    `chains` random walks with Gaussian steps; a step from norm s to norm t is taken with
    probability min(1, exp((t - s) / T)).  The temperature T starts at `temperature` times the mean
    norm at the starts and falls by the factor `cooling` each of at most `steps` times; `stride` is
    the standard deviation of a step, relative to the scale of the region, and shrinks as
    1/sqrt(number of records).  Planned for about `seconds` on two ordinary cores.
    """

    chains: int = 128
    steps: int = 200
    temperature: float = 0.1
    cooling: float = 0.98
    stride: float = 0.3
    seconds: float = 3.0

    name: ClassVar[str] = "annealing"
    source: ClassVar[str] = "Virmaux and Scaman, NeurIPS 2018, section 6"

    def _search(self, problem: LowerProblem) -> Lower | Refusal:
        passes = self.seconds / problem.seconds_per_pass
        each = 2 * POWER_STEPS
        chains = counted(passes / (each * 20), self.chains)
        steps = counted(passes / (each * chains), self.steps)
        found = self._walk(problem, chains, steps)
        return certified(problem, polished(problem, found, passes / 10))

    def _walk(self, problem: LowerProblem, chains: int, steps: int) -> Pairs:
        """The steepest pair about each chain's points."""
        generator = problem.generator()
        points = problem.region.sample(chains, problem.example, generator)
        directions = random_directions(problem, chains, generator)
        here = _about(problem, points, directions)
        best = here
        records = 0
        rising = here.slope.clamp(min=0.0)
        mean = float(rising.mean())
        temperature = self.temperature * mean
        for _ in range(steps):
            if problem.expired:
                break
            draw = torch.randn(points.shape, generator=generator, dtype=torch.float64)
            noise = draw * problem.spread
            stride = self.stride / math.sqrt(1 + records)
            moved = points + stride * noise
            proposed = problem.region.project(moved)
            ahead = here.direction(problem.p)
            there = _about(problem, proposed, ahead)
            taken = _accepted(here.slope, there.slope, temperature, generator)
            chosen = column(taken, points)
            points = torch.where(chosen, proposed, points)
            records += int(there.slope.max() > best.slope.max())
            here = here.replaced(taken, there)
            best = best.better(there)
            temperature = temperature * self.cooling
        return best


def _about(problem: LowerProblem, points: Tensor, direction: Tensor) -> Pairs:
    return about(problem, points, direction, POWER_STEPS)


def _accepted(
    here: Float[Tensor, " k"],
    there: Float[Tensor, " k"],
    temperature: float,
    generator: torch.Generator,
) -> Bool[Tensor, " k"]:
    """Boltzmann acceptance: always uphill, downhill with probability exp(-loss / T)."""
    chance = torch.rand(len(here), generator=generator, dtype=torch.float64)
    return chance < ((there - here) / max(temperature, TINY)).exp()
