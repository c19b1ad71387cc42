"""The law of a method: its upper bound is at least every slope that a network attains."""

import torch
from torch import Tensor

from autolip.budget import Budget
from autolip.capture.torch.export import Capture
from autolip.errors import Refusal
from autolip.graph.evaluate import evaluate, evaluate_batch
from autolip.graph.graph import Graph
from autolip.methods import Method, Problem
from autolip.norms import Norm, parse_norms
from autolip.operators.norms import NormOptions
from autolip.regions import Region
from autolip.testing.violation import LawViolation
from autolip.values import Upper


def check_method(
    method: Method,
    capture: Capture,
    region: Region,
    *,
    norm: str = "l2",
    seed: int = 0,
    seconds: float | None = None,
    attained: float | None = None,
) -> None:
    """A method's upper bound is at least every slope that a captured network attains in the region.

    `attained`: a slope that is known (see `attained_slope`, which finds one otherwise).  A refusal
    passes. `seconds`: the time budget of the method.  Raises LawViolation.
    """
    p, q = parse_norms(norm)
    options = NormOptions(seed=seed, budget=Budget.of(seconds))
    problem = Problem.pose(capture.graph, region, p, q, options)
    bound = method.accepts(problem) or method.bound(problem)
    if isinstance(bound, Refusal) or not isinstance(bound.value, Upper):
        return
    if attained is None:
        attained = attained_slope(capture, region, norm=norm, seed=seed)
    if attained > bound.value.value * (1 + 1e-9):
        raise LawViolation(
            f"{method.name} claims {bound.value.value}, but the network attains {attained} ({norm})"
        )


def attained_slope(capture: Capture, region: Region, *, norm: str = "l2", seed: int = 0) -> float:
    """The largest of some slopes that a captured network attains in a region, up to rounding.

    They are norms of Jacobians of the captured graph at 8 random points of the region (for l2 ->
    l2), and difference quotients between 20 random points and close neighbours.
    """
    p, q = parse_norms(norm)
    points = region.sample(20, capture.example, torch.Generator().manual_seed(seed))
    return max(
        _secants(capture.graph, region, points, p, q), _jacobians(capture.graph, points, p, q)
    )


def _secants(graph: Graph, region: Region, points: Tensor, p: Norm, q: Norm) -> float:
    """The largest difference quotient between the points, and between each and a close neighbour in
    the region."""
    near = region.project(points + 1e-4 * points.roll(1, 0))
    best = 0.0
    for other in (points.roll(1, 0), near):
        step = p.of_rows(other - points)
        rise = q.of_rows(evaluate_batch(graph, other) - evaluate_batch(graph, points))
        slopes = (rise / step)[step > 1e-6]
        best = max([best, *slopes.tolist()])
    return best


def _jacobians(graph: Graph, points: Tensor, p: Norm, q: Norm) -> float:
    """The largest l2 norm of a Jacobian at the points."""
    if (p, q) != (Norm.L2, Norm.L2):
        return 0.0
    matrices = [
        torch.func.jacrev(lambda x: evaluate(graph, x).reshape(-1))(x).flatten(1)
        for x in points[:8]
    ]
    return max(torch.linalg.matrix_norm(matrix, 2).item() for matrix in matrices)
