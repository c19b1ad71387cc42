"""Power steps at fixed midpoints: from a point to the norm of the Jacobian there."""

import torch

from autolip.lower.problem import LowerProblem
from autolip.lower.secants import Pairs, ends, maximiser, measured, power, pulled_back
from autolip.norms import Norm

JACOBIAN = 1e-5
"""Half distance at which a secant counts as a derivative, relative to the reach."""


def polished(problem: LowerProblem, leaders: Pairs, passes: float) -> Pairs:
    """The best few pairs, and what power steps at their midpoints make of them, within about `passes` passes."""
    best = leaders.steepest(max(1, min(4, int(passes / 50))))
    count = len(best.slope)
    steps = min(40, int(passes / (2 * count)))
    if steps and not problem.expired:
        best = best.joined(power(problem, best.centre, best.direction(problem.p), JACOBIAN * problem.reach, steps))
    return best.joined(_enumerated(problem, best.steepest(1), passes)).steepest(count)


def _enumerated(problem: LowerProblem, best: Pairs, passes: float) -> Pairs:
    """The directions among which the best one is, where they can be listed: inputs for p = 1, outputs for q = inf.

    ||J||_{1 -> q} is the largest column norm, ||J||_{p -> inf} the largest dual norm of a row.
    """
    centre, size = best.centre, problem.example.numel()
    outputs = problem.values(centre)
    directions = []
    if problem.p is Norm.L1 and size <= passes:
        directions.append(torch.eye(size, dtype=torch.float64).reshape(size, *problem.example.shape) * problem.free)
    if problem.q is Norm.LINF and outputs.numel() <= passes:
        units = torch.eye(outputs.numel(), dtype=torch.float64).reshape(-1, *outputs.shape[1:])
        rows = [pulled_back(problem, centre, unit[None]) for unit in units]
        directions.append(maximiser(torch.cat(rows), problem.p))
    if not directions or problem.expired:
        return best
    direction = torch.cat(directions)
    steps = torch.full((len(direction),), JACOBIAN * problem.reach, dtype=torch.float64)
    return measured(problem, *ends(problem, centre.expand_as(direction), direction, steps))
