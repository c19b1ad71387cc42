"""Multipliers graded by depth, where the worst vectors of the lifted map (see lifted) say that it
helps most.

Let N = ||M|| exceed its limit kappa.  With a cut c_j >= 0 after every depth j, multiply the
multipliers of depth d by f_d = 1 + sum_{j >= d} c_j and value^2 by f_0.  H is linear in f: a vector
w, with parts w_d at M's input and m_d at its output (depth K + 1: y), that violates |M w| <= kappa
|w| by D = |M w|^2 - kappa^2 |w|^2 does so by

    D - sum_j c_j flow_j,        flow_j = kappa^2 sum_{d <= j} |w_d|^2 - sum_{d <= j} |m_d|^2,

and the least sum of cuts that leaves none of the vectors seen is a linear program.  No cut makes
the norm larger: the blocks of M that cross it shrink, the others stay (maximum principle, as in
lifted).  The proof is made afterwards.
"""

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linprog
from torch import Tensor

from autolip.errors import Refusal
from autolip.methods.lipsdp.proof.lifted_map import lifted
from autolip.methods.lipsdp.relaxation.relaxation import Relaxation
from autolip.methods.lipsdp.statement import Statement
from autolip.operators.norms import NormOptions
from autolip.operators.norms.lanczos import worst_vectors

REACH = 4.3
"""Chosen: Lanczos steps of a look at the worst vectors, times the root of the margin (Kuczynski and
Wozniakowski 1992): they see what is above the limit by a part of it, 77 of them with AlexNet's."""

MOST_STEPS = 150
"""Chosen: the same without a margin, or with hardly any."""

LOOKS = 4
"""Chosen: most looks at them."""

PROOF = 4.0
"""Chosen: looks that the proof afterwards should have time for: it takes more steps, from more than
one start."""


def graded(statement: Statement, margin: float, options: NormOptions) -> Statement:
    """The statement at a larger value, with a lifted map that needs less of a repair; not proved.

    The last look is one that sees nothing above the limit (its cut is room for the proof), or
    leaves time for a proof.
    """
    cuts = _Cuts(statement.relaxation)
    steps = min(MOST_STEPS, math.ceil(REACH / math.sqrt(margin))) if margin else MOST_STEPS
    budget = options.budget
    started = budget.clock.now()
    for look in range(LOOKS):
        if look and not budget.affords((1 + PROOF) * (budget.clock.now() - started) / look):
            break
        map_ = lifted(statement, margin)
        if isinstance(map_, Refusal) or budget.expired:
            break
        target = map_.limit * (1 - margin / 4)
        vectors = worst_vectors(map_.operator, steps, options.search_seed, look, target)
        if not len(vectors):
            break
        before = cuts.factors
        images = torch.cat([map_.operator.mv(vector.reshape(1, -1)) for vector in vectors])
        after = cuts.deeper(vectors, images, target)
        if after is None:
            break
        statement = cuts.applied(statement, after / before)
        if float(images[0].norm()) <= map_.limit:
            break
    return statement


@dataclass
class _Cuts:
    """The vectors seen, and the factors that they ask for."""

    relaxation: Relaxation
    flows: list[NDArray[np.float64]] = field(default_factory=list)
    shortfalls: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.levels = self.relaxation.depths
        self.factors = np.ones(max(self.levels.values(), default=0) + 2)

    def deeper(self, vectors: Tensor, images: Tensor, target: float) -> NDArray[np.float64] | None:
        """The factor of every depth, the output's 1, after some more vectors; None where no cut
        helps."""
        for into, out in zip(*self._energies(vectors, images), strict=True):
            self.flows.append((target**2 * into - out).cumsum()[:-1])
            self.shortfalls.append(float(out.sum() - target**2 * into.sum()))
        found = linprog(
            np.ones(len(self.factors) - 1), -np.array(self.flows), -np.array(self.shortfalls)
        )
        if found.status != 0:
            return None
        self.factors = 1 + np.append(np.maximum(found.x, 0.0)[::-1].cumsum()[::-1], 0.0)
        return self.factors

    def applied(self, statement: Statement, factors: NDArray[np.float64]) -> Statement:
        """The statement with multipliers multiplied by depth."""
        value = statement.value * math.sqrt(factors[0])
        return statement.regraded(value, lambda name: float(factors[self.levels[name]]))

    def _energies(
        self, vectors: Tensor, images: Tensor
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """|w_d|^2 and |m_d|^2 of every vector, at the multipliers before any cut."""
        graph = self.relaxation.graph
        bent = self.relaxation.constraints
        reads = [graph.input_shape.numel(), *(item.out_shape.numel() for item in bent.values())]
        writes = [*(item.in_shape.numel() for item in bent.values()), graph.output_shape.numel()]
        places = [self.levels[name] for name in bent]
        return self._by_depth(vectors, reads, [0, *places]), self._by_depth(
            images, writes, [*places, -1]
        )

    def _by_depth(self, rows: Tensor, sizes: list[int], places: list[int]) -> NDArray[np.float64]:
        total = np.zeros((len(rows), len(self.factors)))
        for part, place in zip(rows.split(sizes, 1), places, strict=True):
            total[:, place] += (part * part).sum(1).numpy()
        return total / self.factors
