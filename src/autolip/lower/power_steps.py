"""Power steps at fixed midpoints: from a point to the norm of the Jacobian there."""

import torch
from torch import Tensor

from autolip.lower.pairs import Pairs, ends, measured, power, pulled_back
from autolip.lower.problem import LowerProblem, counted
from autolip.norms import Norm, maximiser

HALVINGS = 20
"""Chosen: how often a pair is replaced by its steeper half at most."""

POWER_STEPS = 40
"""Tuned: power steps at most."""

PASSES_PER_PAIR = 50
"""Tuned: passes for each further pair that is polished."""

MOST_PAIRS = 4
"""Tuned: pairs that are polished at most."""


def polished(problem: LowerProblem, leaders: Pairs, passes: float) -> Pairs:
    """The best few pairs, and what halving and power steps make of them, in about `passes`
    passes; half of a pair with a given point need not be steep."""
    count = counted(passes / PASSES_PER_PAIR, MOST_PAIRS)
    best = leaders.steepest(count)
    each = 2 * len(best.slope)
    steps = min(POWER_STEPS, int(passes / each))
    if problem.expired or not steps:
        return best
    if problem.centre is None:
        halvings = min(HALVINGS, steps)
        shorter = bisected(problem, best, halvings)
    else:
        shorter = _as_far(problem, best, steps)
    direction = shorter.direction(problem.p)
    turned = power(problem, shorter.centre, direction, problem.short, steps)
    steepest = turned.steepest(1)
    listed = _enumerated(problem, steepest.centre, passes)
    return best.joined(shorter).joined(turned).joined(listed.steepest(1))


def _as_far(problem: LowerProblem, pairs: Pairs, steps: int) -> Pairs:
    """Power steps that leave each point as far from the centre as it is."""
    between = pairs.x - pairs.y
    lengths = problem.p.of_rows(between) / 2
    return power(problem, pairs.centre, pairs.direction(problem.p), lengths, steps)


def bisected(problem: LowerProblem, pairs: Pairs, levels: int) -> Pairs:
    """The steeper halves, level by level, until they are short.

    One half is at least as steep as the whole: ||f(x) - f(y)|| <= ||f(x) - f(m)|| + ||f(m) -
    f(y)||.  Costs 2k passes a level.
    """
    for _ in range(levels):
        between = pairs.x - pairs.y
        length = problem.p.of_rows(between)
        long = length > 4 * problem.short
        if not long.any():
            break
        middle = pairs.centre
        first = measured(problem, pairs.x, middle)
        second = measured(problem, middle, pairs.y)
        halves = first.better(second)
        is_steeper = halves.slope > pairs.slope
        pairs = pairs.replaced(long & is_steeper, halves)
    return pairs


def _enumerated(problem: LowerProblem, centre: Tensor, passes: float) -> Pairs:
    """The directions among which the best one is, where they can be listed: inputs for p = 1,
    outputs for q = inf.

    ||J||_{1 -> q} is the largest column norm, ||J||_{p -> inf} the largest dual norm of a row.
    """
    directions = [centre[:0]]
    size = problem.example.numel()
    outputs = problem.values(centre)
    if problem.p is Norm.L1 and size <= passes:
        units = torch.eye(size, dtype=torch.float64)
        directions.append(units.reshape(size, *problem.example.shape) * problem.free)
    if problem.q is Norm.LINF and outputs.numel() <= passes:
        units = torch.eye(outputs.numel(), dtype=torch.float64)
        each = units.reshape(-1, *outputs.shape)
        rows = [pulled_back(problem, centre, unit) for unit in each]
        directions.append(maximiser(torch.cat(rows), problem.p))
    direction = torch.cat(directions)
    if not len(direction):
        return Pairs.at(direction)
    steps = torch.full((len(direction),), problem.short, dtype=torch.float64)
    middles = centre.expand_as(direction)
    x, y = ends(problem, middles, direction, steps)
    return measured(problem, x, y)
