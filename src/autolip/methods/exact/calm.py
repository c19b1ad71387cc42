"""The search from one point: the calmness modulus, sup |f(x) - f(c)| / |x - c|.

Differences from c are multiplied by chords, whose slopes are among those of all pieces between a
case's and the centre's.  Where all pieces are known, chords to the cell have a bound of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.methods.exact.cases import Case
from autolip.methods.exact.chords import Chords
from autolip.methods.exact.tree import Tree
from autolip.piecewise.points import Derivatives, Points

NEAR = 1e-6
"""Chosen: distance from the centre, relative to its size, from which on a quotient counts: nearer
to it differences of outputs are lost in rounding."""

STEPS = 2.0 ** torch.arange(-16, 8, dtype=torch.float64)
"""Chosen: how far along the steepest direction points are tried first."""


@dataclass(frozen=True)
class Quotients(Derivatives):
    """How steep chords from the centre are, in the place of derivatives."""

    centre: Float[Tensor, " n0"] = field(default_factory=lambda: torch.zeros(0))

    def at(self, x: Float[Tensor, "k n0"]) -> Points:
        """Patterns, and the quotients at some points; 0 too near to the centre."""
        moved = (x - self.centre)[:, self.network.moving]
        length = self.p.of_rows(moved)
        there = self.outputs(torch.cat([self.centre.unsqueeze(0), x]))
        quotient = self.q.of_rows(there[1:] - there[:1]) / length
        least = NEAR * max(1.0, float(self.centre.abs().amax()))
        slope = torch.where(length > least, quotient, 0.0).nan_to_num(0.0, 0.0, 0.0)
        return Points(x, self.pattern(x), slope)

    def pairs(self, points: Points) -> tuple[Float[Tensor, "k n0"], Float[Tensor, "k n0"]]:
        """Each point, and the centre."""
        return points.x, self.centre.expand_as(points.x)


@dataclass
class Calm(Tree):
    """The search of a tree, `centre` being the one point."""

    centre: Float[Tensor, " n0"] = field(default_factory=lambda: torch.zeros(0))

    def __post_init__(self) -> None:
        self.chords = Chords(self.network, self.centre, self.p, self.q)
        super().__post_init__()

    def _derivatives(self) -> Derivatives:
        return Quotients(self.network, self.p, self.q, self.centre)

    def _slopes(self, first: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
        return self.network.centred(*self.chords.hull(first, last))

    def _free(self, case: Case) -> Tensor:
        low, high = self.network.slopes(*self.chords.hull(case.first, case.last))
        return (low < high) & (case.first < case.last)

    def start(self) -> None:
        """Points along the steepest direction at the centre, and the first case."""
        (pattern,) = self.derivatives.pattern(self.centre.unsqueeze(0))
        along = self.derivatives.direction(pattern)
        steps = torch.cat([STEPS, -STEPS]).unsqueeze(1)
        self._meet(list(self.centre + steps * along))
        super().start()

    def _walked(self, start: Points) -> None:
        """Neighbours are steeper or not by their derivatives, which decide nothing here."""

    def _bounded(self, cases: Sequence[Case]) -> list[Case]:
        return [self._of_chords(case) for case in super()._bounded(cases)]

    def _of_chords(self, case: Case) -> Case:
        """A case of one cell by the chords to it, if that is less."""
        if case.bound <= self.goal or bool(self._free(case).any()):
            return case
        cell = self.cells.of_case(case.first, case.last, cut=case.cut)
        if cell is None:
            return case
        self.leaves += 1
        bound = self.chords.bound(cell, case.first, self.goal)
        self._meet(self.chords.met)
        self.chords.met.clear()
        return replace(case, bound=min(case.bound, bound))

    def _meet(self, points: Sequence[Tensor]) -> None:
        """Keep points, moved into the region."""
        if not points:
            return
        region, shape = self.network.region, self.network.input_shape
        x = torch.stack(list(points)).reshape(-1, *shape)
        self._met(self.derivatives.at(region.inward(x).flatten(1)))
