"""Where a search begins: points inside, at the edges and far out; and how it ends: small steps
uphill."""

import torch
from torch import Tensor

from autolip.lower.pairs import (
    Pairs,
    Pull,
    about,
    column,
    ends,
    maximiser,
    measured,
    pull,
    random_directions,
    turned,
)
from autolip.lower.problem import LowerProblem
from autolip.norms import Norm

POWER_STEPS = 2
"""Tuned: power steps at a scout's point."""

AT_ONCE = 256
"""Chosen: points between two looks at the clock."""

STRETCH = (0.0, 1.5)
"""Tuned: log10 of how far from the middle of a region points are pushed, to the edges that they
meet; one for each."""

FAR = 10.0
"""Tuned: how much further from the example every other point is where the region is unbounded."""

LENGTHS = 10.0 ** torch.linspace(0.5, -7.5, 17, dtype=torch.float64)
"""Tuned: steps uphill that are tried at once, relative to the reach of the region; the longest end
at its edge."""

CLIMBERS = 2
"""Tuned: how many pairs take such steps."""

ROUNDS = 40
"""Tuned: how often at most."""


def scouted(problem: LowerProblem, passes: float, kept: int) -> Pairs:
    """The steepest short pairs about the example and random points, by two power steps, in about so
    many passes."""
    count = int(passes / (2 * POWER_STEPS))
    found = Pairs.at(problem.example[None][:0])
    if not count or problem.expired:
        return found
    generator = torch.Generator().manual_seed(
        problem.seed + 1
    )  # not the points that are climbed from
    points = scattered(problem, count, generator)
    points[0] = problem.region.project(problem.example[None])[0]
    for part in points.split(max(1, min(AT_ONCE, problem.rows // 2))):
        direction = random_directions(problem, len(part), generator)
        here = about(problem, part, direction, POWER_STEPS)
        found = found.joined(here).steepest(kept)
        if problem.expired:
            break
    return found


def scattered(problem: LowerProblem, count: int, generator: torch.Generator) -> Tensor:
    """Random points of the region, every other one pushed outward, to a face, an edge or a corner;
    or far out."""
    points = problem.region.sample(count, problem.example, generator)
    box = problem.region.interval(problem.example.shape)
    if box.is_bounded:
        centre = (box.lo + box.hi) / 2
        low, high = STRETCH
        drawn = torch.rand(count, generator=generator, dtype=torch.float64)
        exponent = low + (high - low) * drawn
        factor = 10**exponent
    else:
        centre = problem.example
        factor = torch.full((count,), FAR, dtype=torch.float64)
    factor[::2] = 1.0
    return problem.region.project(centre + column(factor, points) * (points - centre))


def uphill(problem: LowerProblem, pairs: Pairs, passes: float) -> Pairs:
    """The steepest pairs, and what steps of many lengths along the gradient of their slopes make of
    them."""
    best = pairs.steepest(CLIMBERS)
    count = len(best.slope)
    tries = len(LENGTHS)
    for _ in range(min(ROUNDS, int(passes / (count * (tries + 2))))):
        if problem.expired:
            break
        pulled = pull(problem, best.x, best.y)
        tried = _stepped(problem, pulled) if problem.centre is None else _moved(problem, pulled)
        slopes = tried.slope.reshape(count, tries)
        of_each = slopes.argmax(1)
        first = tries * torch.arange(count)
        chosen = of_each + first
        x = tried.x[chosen]
        y = tried.y[chosen]
        steepest = Pairs(x, y, tried.slope[chosen])
        after = best.better(steepest)
        if bool((after.slope == best.slope).all()):
            break
        best = after
    return pairs.joined(best)


def _stepped(problem: LowerProblem, pulled: Pull) -> Pairs:
    """Short pairs about midpoints moved uphill by each of the lengths, turned by a power step."""
    tries = len(LENGTHS)
    heading = maximiser(pulled.moving, Norm.L2).repeat_interleave(tries, 0)
    ahead = pulled.pairs.direction(problem.p)
    sideways = turned(problem, pulled, ahead)
    direction = sideways.repeat_interleave(tries, 0)
    repeated = LENGTHS.repeat(len(pulled.pairs.slope))
    length = problem.reach * repeated
    middle = pulled.pairs.centre.repeat_interleave(tries, 0)
    way = column(length, heading) * heading
    centre = problem.domain.project(middle + way)
    steps = torch.full((len(centre),), problem.short, dtype=torch.float64)
    return measured(problem, *ends(problem, centre, direction, steps))


def _moved(problem: LowerProblem, pulled: Pull) -> Pairs:
    """The first points alone moved by each of the lengths, along the gradient of
    ||f(x) - f(c)|| / ||x - c||: J^T u - slope times the dual vector of x - c, but for a factor."""
    pairs = pulled.pairs
    tries = len(LENGTHS)
    between = pairs.x - pairs.y
    outward = maximiser(between, problem.p.dual)
    lost = column(pairs.slope, outward) * outward
    gradient = pulled.at_x - lost
    heading = maximiser(gradient, Norm.L2).repeat_interleave(tries, 0)
    repeated = LENGTHS.repeat(len(pairs.slope))
    length = problem.reach * repeated
    start = pairs.x.repeat_interleave(tries, 0)
    way = column(length, heading) * heading
    x = problem.domain.project(start + way)
    return measured(problem, x, pairs.y.repeat_interleave(tries, 0))
