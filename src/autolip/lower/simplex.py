"""The published searches that SciPy does: Nelder-Mead, and basin-hopping with it, on the norm of
the Jacobian.

Many of them at once, from random points, so that the network is evaluated in batches (see
`lockstep`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import basinhopping, minimize
from torch import Tensor

from autolip.errors import Refusal
from autolip.lower.batched_searches import Lockstep, Point, Search
from autolip.lower.certify import certified
from autolip.lower.method import LowerMethod, lower_method
from autolip.lower.pairs import Pairs, about, random_directions
from autolip.lower.power_steps import polished
from autolip.lower.problem import LowerProblem, counted
from autolip.lower.sampling import KEPT
from autolip.values import Lower

POWER_STEPS = 2
"""Tuned: power steps at every point that SciPy asks about, from the direction where its search was
steepest so far."""

ROUNDS = 20
"""Tuned: evaluations that each search should have at least; there are fewer of them on expensive
networks."""

NODE = 3e-4
"""Tuned on processor seconds: of one power step for each operation of the network, however small
the batch."""

POINT = 1.5e-4
"""Tuned on processor seconds: of SciPy at one point."""

SHARE = 0.9
"""Tuned: part of the passes that the searches take; the rest polishes what they found."""

UNLIMITED = 10**9
"""Chosen: for SciPy's own limits; the budget of passes ends a search."""


@lower_method
@dataclass(frozen=True)
class NelderMead(LowerMethod):
    """Lower bound on the Lipschitz constant: the largest Jacobian norm met by Nelder-Mead
    simplices.

    At most `starts` of them, at random points, each with steps of `size` relative to the scale of
    the region, until it has shrunk below `tolerance`.  Planned for about `seconds` on two ordinary
    cores.
    """

    starts: int = 64
    size: float = 0.3
    tolerance: float = 1e-4
    seconds: float = 3.0

    name: ClassVar[str] = "nelder-mead"
    source: ClassVar[str] = (
        "Nelder and Mead, Computer J. 1965; Virmaux and Scaman, NeurIPS 2018, section 6"
    )

    def _search(self, problem: LowerProblem) -> Lower | Refusal:
        slopes = _Slopes.planned(problem, self.starts, self.seconds)
        options = {"xatol": self.tolerance, "fatol": np.inf, "adaptive": True, "maxfev": UNLIMITED}

        def search(start: Point) -> Search:
            steps = self.size * np.eye(len(start))
            simplex = np.concatenate([start[None], start + steps])
            chosen = options | {"initial_simplex": simplex, "maxiter": UNLIMITED}
            return lambda slope: minimize(slope, start, method="Nelder-Mead", options=chosen)

        return slopes.searched([search(start) for start in slopes.starts])


@lower_method
@dataclass(frozen=True)
class BasinHopping(LowerMethod):
    """Lower bound on the Lipschitz constant: the largest Jacobian norm met by basin-hopping.

    At most `starts` random walks of steps up to `stride` along every input, relative to the scale
    of the region; each step is followed by `evaluations` of Nelder-Mead and taken by Boltzmann's
    rule, at `temperature` times the mean norm at the starts.  Planned for about `seconds` on two
    ordinary cores.
    """

    starts: int = 32
    stride: float = 0.5
    temperature: float = 0.1
    evaluations: int = 50
    seconds: float = 3.0

    name: ClassVar[str] = "basin-hopping"
    source: ClassVar[str] = (
        "Wales and Doye, J. Phys. Chem. A 1997; Virmaux and Scaman, NeurIPS 2018, section 6"
    )

    def _search(self, problem: LowerProblem) -> Lower | Refusal:
        slopes = _Slopes.planned(problem, self.starts, self.seconds)
        rising = slopes.here.slope.clamp(min=0.0)
        mean = float(rising.mean())
        temperature = max(self.temperature * mean, 1e-300)
        local = {"method": "Nelder-Mead", "options": {"maxfev": self.evaluations, "adaptive": True}}

        def search(number: int, start: Point) -> Search:
            return lambda slope: basinhopping(
                slope,
                start,
                niter=UNLIMITED,
                T=temperature,
                stepsize=self.stride,
                minimizer_kwargs=local,
                rng=np.random.default_rng([problem.seed, number]),
            )

        return slopes.searched(
            [search(number, start) for number, start in enumerate(slopes.starts)]
        )


@dataclass
class _Slopes:
    """x -> -||J(x)|| by power steps, in units of the region's scale along the inputs that may vary.

    `here`: the steepest pair that each search has met.
    """

    problem: LowerProblem
    here: Pairs
    until: float
    rest: float
    met: Pairs = field(init=False)

    def __post_init__(self) -> None:
        self.met = self.here.steepest(KEPT)
        is_free = self.problem.free.flatten()
        self.axes = is_free.nonzero().flatten()

    @staticmethod
    def planned(problem: LowerProblem, starts: int, seconds: float) -> "_Slopes":
        """Random points, and how many passes are for them, for a round costs `whole + count * each`
        seconds."""
        generator = problem.generator()
        steps = 2 * POWER_STEPS * problem.seconds_per_pass
        each = POINT + steps
        whole = POWER_STEPS * NODE * len(problem.graph.nodes)
        of_a_round = seconds / ROUNDS - whole
        count = counted(of_a_round / each, starts)
        round_cost = whole + count * each
        passes = 2 * POWER_STEPS * count * seconds / round_cost
        until = problem.passes + SHARE * passes
        points = problem.region.sample(count, problem.example, generator)
        directions = random_directions(problem, count, generator)
        here = about(problem, points, directions, 2 * POWER_STEPS)
        return _Slopes(problem, here, until, (1 - SHARE) * passes)

    @property
    def starts(self) -> list[Point]:
        moved = self.here.centre - self.problem.example
        scaled = (moved / self._scale).flatten(1)
        return [x.numpy() for x in scaled[:, self.axes]]

    def searched(self, searches: Sequence[Search]) -> Lower | Refusal:
        """Run the searches until the budget ends, then polish and certify the steepest pairs
        met."""
        Lockstep(self._values).run(searches)
        return certified(self.problem, polished(self.problem, self.met, self.rest))

    @property
    def _scale(self) -> Tensor:
        return self.problem.spread.where(self.problem.free, 1.0)

    def _values(self, numbers: Sequence[int], places: Sequence[Point]) -> Sequence[float] | None:
        problem = self.problem
        chosen = torch.tensor(numbers)
        if problem.expired or problem.passes >= self.until:
            return None
        directions_now = self.here.direction(problem.p)
        directions = directions_now[chosen]
        asked = self._points(places)
        points = problem.region.project(asked)
        found = about(problem, points, directions, POWER_STEPS)
        all_met = self.met.joined(found)
        self.met = all_met.steepest(KEPT)
        scattered = _scattered(found, chosen, self.here)
        self.here = self.here.better(scattered)
        return [-slope for slope in found.slope.tolist()]

    def _points(self, places: Sequence[Point]) -> Float[Tensor, "k *shape"]:
        example = self.problem.example
        points = example.flatten().repeat(len(places), 1)
        units = torch.from_numpy(np.stack(places))
        scale = self._scale.flatten()[self.axes]
        points[:, self.axes] += units * scale
        return points.reshape(-1, *example.shape)


def _scattered(pairs: Pairs, chosen: Tensor, like: Pairs) -> Pairs:
    """The pairs at the chosen places, nothing found elsewhere."""
    spread = Pairs.at(like.centre)
    x = spread.x.clone()
    y = spread.y.clone()
    slope = spread.slope.clone()
    x[chosen] = pairs.x
    y[chosen] = pairs.y
    slope[chosen] = pairs.slope
    return Pairs(x, y, slope)
