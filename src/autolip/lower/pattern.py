"""Linear regions of piecewise linear networks, one after another across their facets."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from autolip.budget import IN_DOUBLE, Budget, counting
from autolip.errors import Refusal
from autolip.lower.certify import certified
from autolip.lower.method import LowerMethod, lower_method
from autolip.lower.pairs import measured
from autolip.lower.problem import LowerProblem
from autolip.norms import Norm
from autolip.piecewise.network import Network, network_of
from autolip.piecewise.points import Derivatives, Points, drawn
from autolip.piecewise.relaxed import Vectors, climbed
from autolip.piecewise.walk import Walk
from autolip.values import Lower

STEPS = 60
"""Tuned: steps of the vector power method from each start."""

MARGIN = 2e-3
"""Chosen: that of exact's cases; multipliers are of no interest here."""

SHOWN = 8
"""Chosen: regions whose steepest pairs of points are evaluated."""

AT_POINTS = 0.2
"""Tuned: part of the time for derivatives at random points."""

BRIEF = 0.1
"""Tuned: seconds as one of "auto", on the shipped networks and on chains of 40 to 200 neurons."""


@lower_method
@dataclass(frozen=True)
class Pattern(LowerMethod):
    """Lower bound on the Lipschitz constant of a piecewise linear network: the largest norm of a
    derivative met on walks from one linear region to the next across a facet.

    Walks start at the steepest of many random points, those of the search `random` and others from
    near the middle of the region to its corners or far away, at patterns of LipSDP's relaxation at
    `ranks` 1 and more, rounded, and made patterns of a region by linear programs: up to `starts` of
    both in turn, and first where searches before it ended.  Then the regions about those met, the
    steepest first, whatever their slopes, up to so many `neighbours`.  All in about `seconds` of
    counted work.
    """

    seconds: float = 3.0
    starts: int = 24
    points: int = 20_000
    neighbours: int = 500
    ranks: tuple[int, ...] = (1, 2, 6)

    name: ClassVar[str] = "pattern"
    automatic: ClassVar[float | None] = 0.0
    source: ClassVar[str] = (
        "relaxation: Fazlyab, Robey, Hassani, Morari and Pappas, NeurIPS 2019; walks elementary"
    )

    def brief(self) -> "Pattern":
        return replace(self, seconds=BRIEF)

    def _search(self, problem: LowerProblem) -> Lower | Refusal:
        """Refuses operations that are not piecewise linear, slopes from one point, and networks
        beyond matrices or of which one region takes more than the time."""
        if problem.centre is not None:
            return Refusal("takes linear pieces of any two points, not slopes from one point")
        readouts = () if problem.readout is None else (problem.readout,)
        network = network_of(problem.graph, problem.region, {}, readouts)
        if isinstance(network, Refusal):
            return network
        with counting() as clock:
            budget = Budget.of(min(self.seconds, problem.budget.left), clock)
            if problem.budget.limited:
                budget = problem.budget.at_most(self.seconds)
            derivatives = self._derivatives(problem, network)
            seconds = IN_DOUBLE * derivatives.products_beside
            if not budget.affords(seconds):
                return Refusal(f"one region and those about it take about {seconds:.2g} s")
            found = self._walked(problem, derivatives, budget)
        ends = derivatives.pairs(found.steepest(SHOWN))
        shape = problem.example.shape
        x, y = (side.reshape(-1, *shape) for side in ends)
        return certified(problem, measured(problem, x, y))

    def _derivatives(self, problem: LowerProblem, network: Network) -> Derivatives:
        """With their own norms, or those from l2 to l2 where these take a search."""
        p, q = problem.p, problem.q
        plain = p is Norm.L1 or q is Norm.LINF or len(network.output) == 1
        return Derivatives(network, p, q) if plain else Derivatives(network, Norm.L2, Norm.L2)

    def _walked(self, problem: LowerProblem, derivatives: Derivatives, budget: Budget) -> Points:
        """All points met."""
        network = derivatives.network
        generator = problem.generator()
        walk = Walk.over(derivatives, lambda: budget.expired)
        met = [self._drawn(problem, derivatives, budget, generator)]
        scouts = met[0].steepest(self.starts)
        patterns = self._relaxed(network, generator)
        for number in range(self.starts):
            start = scouts[torch.tensor([number % len(scouts)])]
            wanted = next(patterns, None) if number % 2 else None
            if wanted is not None:
                repaired = walk.down(*wanted, start.x[0])
                start = start if repaired is None else repaired
            met.append(start)
            for found in walk.uphill(start):
                met.append(found)
                problem.met(found.slope)
            if budget.expired:
                break
        starts = Points.all(met).steepest(self.starts)
        for found in walk.around(starts, self.neighbours):
            met.append(found)
            problem.met(found.slope)
        return Points.all(met)

    def _drawn(
        self,
        problem: LowerProblem,
        derivatives: Derivatives,
        budget: Budget,
        generator: torch.Generator,
    ) -> Points:
        """Points that are known, and random ones: half of them those of the search `random`."""
        network = derivatives.network
        seconds = IN_DOUBLE * (derivatives.products + derivatives.entries)
        count = max(2, min(self.points, int(AT_POINTS * budget.left / seconds)))
        half = count // 2
        start = problem.region.project(problem.example[None])
        given = [start]
        for x, y in problem.known:
            given.append(torch.stack([x, (x + y) / 2, y]))
        given.append(problem.region.sample(half, problem.example, generator))
        points = torch.cat(given).flatten(1)
        others = drawn(network, count - half, generator)
        return derivatives.at(torch.cat([points, others]))

    def _relaxed(
        self, network: Network, generator: torch.Generator
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Patterns of the relaxation, and what each neuron counts, of several starts at each
        rank."""
        count = -(-self.starts // (2 * len(self.ranks)))
        ends = (end.expand(count, -1) for end in (network.first, network.last))
        slopes = network.centred(*ends)
        for rank in self.ranks:
            start = Vectors.random(network, count, rank, generator)
            climb = climbed(network, *slopes, start, STEPS, MARGIN)
            yield from zip(network.rounded(climb.lean), climb.energy, strict=True)
