"""From a linear region to the next one across a facet, while the derivative's norm grows."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Int64
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
    """Points of linear regions, found by linear programs."""

    network: Network
    derivatives: Derivatives
    cells: Cells
    programs: Programs

    def inside(self, pattern: Int64[Tensor, " n"]) -> Points | None:
        """A point on these pieces; None where none was found."""
        cell = self.cells.of_case(pattern, pattern)
        solved = None if cell is None else self.programs.deepest(cell)
        if solved is None or solved.depth <= DEEP * max(1.0, float(solved.point.abs().amax())):
            return None
        found = self.derivatives.at(solved.point.unsqueeze(0))
        return found if torch.equal(found.pattern[0], pattern) else None

    def uphill(self, start: Points) -> Iterator[Points]:
        """Steeper and steeper neighbours of one point's region, until none is found."""
        here: Points | None = start
        while here is not None:
            here = self._steeper(here)
            if here is not None:
                yield here

    def _steeper(self, here: Points) -> Points | None:
        turned = self.derivatives.neighbours(here.pattern[0])
        norms = self.derivatives.norms(turned)
        for number in norms.argsort(descending=True)[:TRIED].tolist():
            if norms[number] <= here.slope[0] * (1 + 1e-12):
                return None
            found = self.inside(turned[number])
            if found is not None:
                return found
        return None
