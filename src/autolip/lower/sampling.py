"""The published searches that look at given points: a data set, random points, a grid."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.arguments import array
from autolip.errors import InputError, Refusal
from autolip.lower.certify import certified
from autolip.lower.method import LowerMethod, lower_method
from autolip.lower.pairs import Pairs, about, random_directions
from autolip.lower.power_steps import polished
from autolip.lower.problem import LowerProblem, counted
from autolip.norms import Norm
from autolip.values import Lower

POWER_STEPS = 4
"""Tuned: power steps at every point, before the best few are polished."""

KEPT = 8
"""Tuned: how many of the steepest pairs are kept for polishing."""

BLOCK = 1000
"""Tuned: data points among which all pairs are compared at once (a million slopes)."""


@lower_method
@dataclass(frozen=True)
class Dataset(LowerMethod):
    """Lower bound on the Lipschitz constant: the largest Jacobian norm at, or slope between, data
    points.

    `data` holds inputs, one per entry of its first axis; those outside the region are moved to its
    nearest point.
    """

    data: Float[Tensor, "k *shape"] | None = None

    name: ClassVar[str] = "dataset"
    source: ClassVar[str] = "Virmaux and Scaman, NeurIPS 2018, section 6"

    def _search(self, problem: LowerProblem) -> Lower | Refusal:
        if self.data is None:
            return Refusal(
                "no data were given: pass Dataset(data=inputs), or --data FILE.npy on "
                "the command line"
            )
        given = self._points(problem)
        points = problem.region.project(given)
        found = (
            steepest_at(problem, points).joined(steepest_between(problem, points)).steepest(KEPT)
        )
        return certified(problem, polished(problem, found, len(points)))

    def _points(self, problem: LowerProblem) -> Tensor:
        shape = problem.example.shape
        given = array(self.data, "the data")
        if given.dim() == 0 or given.numel() == 0 or given[0].numel() != shape.numel():
            raise InputError(
                f"the data have shape {tuple(given.shape)}: give inputs of shape "
                f"{tuple(shape)}, one per entry of the"
                " first axis"
            )
        if not bool(given.isfinite().all()):
            raise InputError("the data have NaN or infinite entries: give finite numbers")
        return problem.from_user(given.reshape(-1, *shape))


@lower_method
@dataclass(frozen=True)
class Random(LowerMethod):
    """Lower bound on the Lipschitz constant: the largest Jacobian norm at random points of the
    region.

    At most `points` of them, and as many as are planned to take about `seconds` on two ordinary
    cores.
    """

    points: int = 10_000
    seconds: float = 3.0

    name: ClassVar[str] = "random"
    source: ClassVar[str] = "Virmaux and Scaman, NeurIPS 2018, section 6"

    def _search(self, problem: LowerProblem) -> Lower | Refusal:
        most = affordable(problem, self.seconds)
        count = counted(most, self.points)
        points = problem.region.sample(count, problem.example, problem.generator())
        return certified(problem, polished(problem, steepest_at(problem, points), count))


@lower_method
@dataclass(frozen=True)
class Grid(LowerMethod):
    """Lower bound on the Lipschitz constant: the largest Jacobian norm on a regular grid.

    The grid has `per_axis` points along every input that may vary (as many as `limit` and `seconds`
    allow, if not given), over the region, or over the example's scale about the example where the
    region is unbounded.
    """

    per_axis: int | None = None
    limit: int = 20_000
    seconds: float = 3.0

    name: ClassVar[str] = "grid"
    source: ClassVar[str] = "Virmaux and Scaman, NeurIPS 2018, section 6"

    def _search(self, problem: LowerProblem) -> Lower | Refusal:
        axes = int(problem.free.sum())
        if self.per_axis is not None and self.per_axis < 2:
            raise InputError(f"a grid has at least 2 points along each input, not {self.per_axis}")
        budget = (
            self.limit
            if self.per_axis is not None
            else min(self.limit, affordable(problem, self.seconds))
        )
        count = self.per_axis or math.floor(budget ** (1 / axes) + 1e-9)
        if count < 2 or axes * math.log(count) > math.log(budget) + 1e-9:
            wanted = max(2, count)
            return Refusal(
                f"a grid of {wanted} points along each of {axes} inputs has "
                f"10^{axes * math.log10(wanted):.1f} points,"
                f" more than the {budget} allowed: use ascent or random"
            )
        ticks = _grid(problem, count)
        points = problem.region.project(ticks)
        return certified(problem, polished(problem, steepest_at(problem, points), len(points)))


def affordable(problem: LowerProblem, seconds: float) -> int:
    """How many points the power steps can visit in about this time."""
    return int(seconds / (2 * POWER_STEPS * problem.seconds_per_pass))


def steepest_at(problem: LowerProblem, points: Float[Tensor, "k *shape"]) -> Pairs:
    """Short pairs about the points with the largest Jacobian norms, by a few power steps at each;
    with the centre where there is one."""
    generator = problem.generator()
    found = Pairs.at(points[:0])
    for part in points.split(max(1, problem.rows)):
        direction = random_directions(problem, len(part), generator)
        here = about(problem, part, direction, POWER_STEPS)
        found = found.joined(here).steepest(KEPT)
        if problem.expired:
            break
    return found


def steepest_between(problem: LowerProblem, points: Float[Tensor, "k *shape"]) -> Pairs:
    """The steepest of the pairs of these points, block by block; none where one point is given."""
    found = Pairs.at(points[:0])
    if problem.centre is not None:
        return found
    for part in points.split(BLOCK):
        values = problem.values(part)
        rise = _distances(problem.q, values)
        run = _distances(problem.p, part)
        slope = rise / run
        slope = slope.where(slope.isfinite(), -1.0)
        most = min(KEPT, slope.numel())
        steepest = slope.flatten().topk(most)
        first = steepest.indices // len(part)
        second = steepest.indices % len(part)
        x = part[first]
        y = part[second]
        here = Pairs(x, y, steepest.values)
        found = found.joined(here).steepest(KEPT)
        if problem.expired:
            break
    return found


def _distances(norm: Norm, points: Tensor) -> Float[Tensor, "k k"]:
    flat = points.flatten(1)
    return torch.cdist(flat, flat, p=norm.p, compute_mode="donot_use_mm_for_euclid_dist")


def _grid(problem: LowerProblem, count: int) -> Tensor:
    """count points along every entry that may vary, from end to end."""
    box = problem.region.interval(problem.example.shape)
    lower = problem.example - problem.spread
    lo = torch.where(box.lo.isinf(), lower, box.lo)
    upper = problem.example + problem.spread
    hi = torch.where(box.hi.isinf(), upper, box.hi)
    free = problem.free.flatten()
    ticks = torch.linspace(0, 1, count, dtype=torch.float64)
    axes = int(free.sum())
    all_ticks = [ticks] * axes
    unit = torch.cartesian_prod(*all_ticks).reshape(-1, axes)
    points = lo.flatten().expand(len(unit), -1).clone()
    width = (hi - lo).flatten()
    points[:, free] += unit * width[free]
    return points.reshape(-1, *problem.example.shape)
