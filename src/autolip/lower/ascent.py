"""The default search: many pairs of points climb at once, while the distance between the points
shrinks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from autolip.errors import Refusal
from autolip.lower.certify import certified
from autolip.lower.method import LowerMethod, lower_method
from autolip.lower.pairs import (
    Pairs,
    Pull,
    column,
    ends,
    maximiser,
    measured,
    pull,
    random_directions,
    turned,
)
from autolip.lower.power_steps import polished
from autolip.lower.problem import LowerProblem, counted
from autolip.lower.scouts import scattered, scouted, uphill
from autolip.norms import Norm
from autolip.values import Lower

LONGEST = (-1.5, 0.5)
"""Tuned by hand: log10 of the first half distances, one per chain in this range,
relative to the scale about it."""

SHORTEST = -4.0
"""Tuned by hand: the same of the last ones."""

LIVELIEST = (-0.5, 0.3)
"""Tuned by hand: log10 of how far the midpoint moves per step, relative to the half
distance; one per chain, in this range."""

SCOUTING = 0.04
"""Tuned by hand: part of the passes for random points, the steepest of which are
climbed from in a last, shorter round."""

INERTIA = 0.7
"""Tuned: decay rate of the mean of the gradient (Kingma and Ba, ICLR 2015)."""

MEMORY = 0.95
"""Tuned: decay rate of the mean of its square."""

LAST = 0.1
"""Tuned by hand: part of the passes that the round from the scouts may take."""


@lower_method
@dataclass(frozen=True)
class Ascent(LowerMethod):
    """Lower bound on the Lipschitz constant by multi-start ascent on secants.

    A chain is a pair c + h v, c - h v.  With u the dual vector of f(c + h v) - f(c - h v), each
    step turns v by a power step, v <- argmax <(J(c + h v) + J(c - h v))^T u, v>, and moves c along
    (J(c + h v) - J(c - h v))^T u, the gradient of the slope, which for ReLU networks does not
    vanish as that of the Jacobian's norm does.  The distance h shrinks geometrically from the scale
    of the region to a small one.  Later rounds start half of the chains from the best pairs so far;
    a last one from the steepest of many random points: inside, at edges and corners, and far out.
    The best pairs are polished by power steps at a fixed midpoint, and then by small steps of it.

    Rounds end when the last `patience` of them together raised the best slope by less than `gain`,
    relatively; what searches before this one found counts as a round.  Their number and size are
    bounded from the number of operations in the graph, for at most about `seconds` on two ordinary
    cores and `passes` passes; the clock has no say, so that a seed determines the result.
    """

    seconds: float = 3.0
    passes: int = 100_000
    starts: int = 64
    steps: int = 60
    patience: int = 4
    gain: float = 2e-3

    name: ClassVar[str] = "ascent"
    automatic: ClassVar[float | None] = 1.0
    source: ClassVar[str] = (
        "power steps: Boyd, Linear Algebra Appl. 1974; moments: Kingma and Ba, ICLR 2015"
    )

    def shared(self, count: int) -> "Ascent":
        """With a part of the passes."""
        if self != Ascent():
            return self
        return replace(self, seconds=self.seconds / count, passes=self.passes // count)

    def _search(self, problem: LowerProblem) -> Lower | Refusal:
        affordable = self.seconds / problem.seconds_per_pass
        passes = min(self.passes, affordable)
        root = math.sqrt(passes / 32)
        starts = counted(root, self.starts)
        of_each = passes / (2 * starts)
        steps = counted(of_each, self.steps, least=3)
        generator = problem.generator()
        leaders = Pairs.at(problem.example[None][:0])
        known = _known(problem)
        best = known.slope.tolist()[:1]
        kept = max(1, starts // 4)
        for _ in range(max(1, round(0.8 * passes / (2 * starts * steps)))):
            found = Climb.starting(problem, starts, steps, generator, leaders).run()
            leaders = leaders.joined(found).steepest(kept)
            best.append(float(leaders.slope[0]))
            if problem.expired or self._stands_still(best):
                break
        scouts = scouted(problem, SCOUTING * passes, kept)
        if len(scouts.slope):
            last = max(1, starts // 2)
            of_last = LAST * passes / (2 * last)
            short = counted(of_last, steps // 2, least=3)
            found = Climb.starting(problem, last, short, generator, scouts).run()
            leaders = leaders.joined(scouts).joined(found)
        best_pairs = polished(problem, known.joined(leaders), passes / 10)
        return certified(problem, uphill(problem, best_pairs, passes / 50))

    def _stands_still(self, best: list[float]) -> bool:
        """Whether the last `patience` rounds hardly raised the best slope so far."""
        return len(best) > self.patience and best[-1] <= (1 + self.gain) * best[-1 - self.patience]


def _known(problem: LowerProblem) -> Pairs:
    """The pairs that searches before this one found, the steepest first."""
    none = Pairs.at(problem.example[None][:0])
    if not problem.known:
        return none
    found = measured(problem, *map(torch.stack, zip(*problem.known, strict=True)))
    return found.steepest(len(found.slope))


@dataclass
class Climb:
    """One round: midpoints, directions, distances and gradient means of all chains."""

    problem: LowerProblem
    reach: float | Tensor
    """How far the region extends, of each chain where it differs."""
    centre: Tensor
    direction: Tensor
    longest: Tensor
    liveliness: Tensor
    steps: int
    mean: Tensor
    square: Tensor

    @staticmethod
    def starting(
        problem: LowerProblem, starts: int, steps: int, generator: torch.Generator, leaders: Pairs
    ) -> "Climb":
        """Half of the chains from the leaders if there are any, the others from fresh points."""
        centre = scattered(problem, starts, generator)
        direction = random_directions(problem, starts, generator)
        if not len(leaders.slope):
            centre[0] = problem.region.project(problem.example[None])[0]
        else:
            numbers = torch.arange(starts // 2)
            again = numbers % len(leaders.slope)
            centre[: len(again)], direction[: len(again)] = (
                leaders.centre[again],
                leaders.direction(problem.p)[again],
            )
        low, high = LIVELIEST
        liveliness = 10 ** (
            low + (high - low) * torch.rand(starts, generator=generator, dtype=torch.float64)
        )
        factor = 10 ** torch.linspace(*LONGEST, starts, dtype=torch.float64)
        if len(leaders.slope):
            order = torch.randperm(starts, generator=generator)
            factor = factor[order]
        zeros = torch.zeros_like(centre)
        return Climb(
            problem,
            problem.reach,
            centre,
            direction,
            factor * _scale(problem, centre),
            liveliness,
            steps,
            zeros,
            zeros,
        )

    def beside(self, problem: LowerProblem, others: Sequence["Climb"]) -> "Climb":
        """The chains of this round and of others, in a problem whose domain holds all of them, row
        by row."""
        climbs = (self, *others)
        reaches = [torch.full_like(one.longest, one.problem.reach) for one in climbs]

        def joined(name: str) -> Tensor:
            return torch.cat([getattr(one, name) for one in climbs])

        return Climb(
            problem,
            torch.cat(reaches),
            joined("centre"),
            joined("direction"),
            joined("longest"),
            joined("liveliness"),
            self.steps,
            joined("mean"),
            joined("square"),
        )

    def run(self) -> Pairs:
        """The steepest pair that each chain met."""
        best = Pairs.at(self.centre)
        for number in range(self.steps):
            shrink = (self.reach * 10**SHORTEST / self.longest) ** (number / max(1, self.steps - 1))
            step = self.longest * shrink
            x, y = ends(self.problem, self.centre, self.direction, step)
            pulled = pull(self.problem, x, y)
            best = best.better(pulled.pairs)
            self._move(pulled, step)
            if self.problem.expired:
                break
        return best

    def _move(self, pulled: Pull, step: Tensor) -> None:
        """Turn the directions, and move the midpoints by a fraction of the distance between the
        points."""
        lengths = Norm.L2.of_rows(self.direction)
        length = step * self.liveliness * lengths
        self.direction = turned(self.problem, pulled, self.direction)
        uphill = maximiser(pulled.moving, Norm.L2)
        new = (1 - INERTIA) * uphill
        self.mean = INERTIA * self.mean + new
        new_square = (1 - MEMORY) * uphill**2
        self.square = MEMORY * self.square + new_square
        spread = self.square.sqrt()
        largest = spread.flatten(1).amax(1)
        floor = 1e-3 * column(largest, spread)
        raised = spread + floor
        divisor = raised.where(spread > 0, 1.0)
        ratio = self.mean / divisor
        heading = maximiser(ratio, Norm.L2)
        length = length * Norm.L2.of_rows(self.mean)
        way = column(length, heading) * heading
        moved = self.centre + way
        self.centre = self.problem.domain.project(moved)


def _scale(problem: LowerProblem, centre: Tensor) -> Tensor:
    """The distance over which a network may be expected to change about each midpoint."""
    if problem.region.is_bounded(problem.example.shape):
        return torch.full((len(centre),), problem.reach, dtype=torch.float64)
    away = centre - problem.example
    distance = problem.p.of_rows(away)
    return distance.where(distance > 0, problem.reach)
