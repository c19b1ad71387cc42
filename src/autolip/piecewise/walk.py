"""From a linear region to the next one across a facet, and down to one from a pattern."""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from autolip.piecewise.cells import Cells
from autolip.piecewise.network import Network
from autolip.piecewise.points import Derivatives, Points
from autolip.piecewise.programs import Programs

TRIED = 8
"""Tuned: neighbours of a region that are tried, the steepest first."""

DEEP = 1e-9
"""Chosen: depth of a point in its cell, relative to its size, from which on its pattern counts."""


@dataclass
class Walk:
    """Points of linear regions, found by linear programs until time is up."""

    network: Network
    derivatives: Derivatives
    cells: Cells
    programs: Programs
    expired: Callable[[], bool]

    @staticmethod
    def over(derivatives: Derivatives, expired: Callable[[], bool]) -> "Walk":
        """Walks in a network, by these norms."""
        network = derivatives.network
        return Walk(network, derivatives, Cells(network), Programs(network), expired)

    def inside(
        self, first: Int64[Tensor, " n"], last: Int64[Tensor, " n"]
    ) -> Float[Tensor, " n0"] | None:
        """A point whose neurons lie strictly inside these pieces, as far as half-spaces say so;
        None where none was found."""
        cell = self.cells.of_case(first, last)
        solved = None if cell is None else self.programs.deepest(cell)
        if solved is None or solved.depth <= DEEP * max(1.0, float(solved.point.abs().amax())):
            return None
        return solved.point

    def uphill(self, start: Points) -> Iterator[Points]:
        """Steeper and steeper neighbours of one point's region, until none is found."""
        here: Points | None = start
        while here is not None and not self.expired():
            here = self._steeper(here)
            if here is not None:
                yield here

    def _steeper(self, here: Points) -> Points | None:
        turned = self.derivatives.neighbours(here.pattern[0])
        norms = self.derivatives.norms_beside(here.pattern[0])
        for number in norms.argsort(descending=True)[:TRIED].tolist():
            if norms[number] <= here.slope[0] * (1 + 1e-12):
                return None
            found = self._at(turned[number])
            if found is not None:
                return found
        return None

    def around(self, starts: Points, most: int) -> Iterator[Points]:
        """The regions about some points, the steepest first: of each the neighbours that are not
        known yet, steeper or not, until so many were looked for."""
        known = {_key(pattern) for pattern in starts.pattern}
        queue = [(-slope, k) for k, slope in enumerate(starts.slope.tolist())]
        heapq.heapify(queue)
        patterns = list(starts.pattern)
        while queue:
            pattern = patterns[heapq.heappop(queue)[1]]
            for turned in self.derivatives.neighbours(pattern):
                if _key(turned) in known:
                    continue
                if not most or self.expired():
                    return
                known.add(_key(turned))
                most -= 1
                found = self._at(turned)
                if found is not None:
                    heapq.heappush(queue, (-float(found.slope[0]), len(patterns)))
                    patterns.append(turned)
                    yield found

    def _at(self, pattern: Int64[Tensor, " n"]) -> Points | None:
        """A point of exactly this pattern."""
        point = self.inside(pattern, pattern)
        found = None if point is None else self.derivatives.at(point.unsqueeze(0))
        fits = found is not None and torch.equal(found.pattern[0], pattern)
        return found if fits else None

    def down(
        self, wanted: Int64[Tensor, " n"], weight: Float[Tensor, " n"], x: Float[Tensor, " n0"]
    ) -> Points | None:
        """A point whose neurons lie on the wanted pieces where that is possible: layer by layer,
        the weightiest first, each kept where a point with all that are kept is found.

        Starts at any point of the region.
        """
        network = self.network
        first, last = network.first.clone(), network.last.clone()
        (here,) = self.derivatives.pattern(x.unsqueeze(0))
        for place in network.places:
            order = weight[place].argsort(descending=True) + place.start
            for neuron in order.tolist():
                if self.expired():
                    return None
                piece = int(wanted[neuron])
                if piece != int(here[neuron]) and first[neuron] < last[neuron]:
                    ends = first.clone(), last.clone()
                    ends[0][neuron] = ends[1][neuron] = piece
                    point = self.inside(*ends)
                    if point is not None:
                        x, first, last = point, *ends
                        (here,) = self.derivatives.pattern(x.unsqueeze(0))
                        continue
                first[neuron] = last[neuron] = here[neuron]
        return self.derivatives.at(x.unsqueeze(0))


def _key(pattern: Tensor) -> bytes:
    return pattern.numpy().tobytes()
