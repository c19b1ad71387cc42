"""The law of a method: its upper bound is at least every slope that a network attains."""

from dataclasses import replace

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
    centre: Tensor | None = None,
    posed: Problem | None = None,
) -> None:
    """A method's upper bound is at least every slope that a captured network attains in the region,
    from the `centre` alone where there is one.

    `attained`: a slope that is known (see `attained_slope`, which finds one otherwise); `posed`:
    the problem on this region and from this centre, in whatever norms, where it is known.  A
    refusal passes. `seconds`: the time budget of the method.  Raises LawViolation.
    """
    p, q = parse_norms(norm)
    options = NormOptions(seed=seed, budget=Budget.of(seconds))
    if posed is None:
        posed = Problem.pose(capture.graph, region, p, q, options, centre)
    problem = replace(posed, p=p, q=q, options=options).with_own_norms()
    bound = method.accepts(problem) or method.bound(problem)
    if isinstance(bound, Refusal) or not isinstance(bound.value, Upper):
        return
    if attained is None:
        attained = attained_slope(capture, region, norm=norm, seed=seed, centre=centre)
    if attained > bound.value.value * (1 + 1e-9):
        raise LawViolation(
            f"{method.name} claims {bound.value.value}, but the network attains {attained} ({norm})"
        )


def attained_slope(
    capture: Capture,
    region: Region,
    *,
    norm: str = "l2",
    seed: int = 0,
    centre: Tensor | None = None,
) -> float:
    """The largest of some slopes that a captured network attains in a region, up to rounding.

    They are norms of Jacobians of the captured graph at 8 random points of the region (for l2 ->
    l2), and difference quotients between 20 random points and close neighbours.  With a centre that
    of its Jacobian, and quotients between it and 200 random points, near and far.
    """
    p, q = parse_norms(norm)
    generator = torch.Generator().manual_seed(seed)
    if centre is not None:
        points = region.sample(200, capture.example, generator)
        near = torch.logspace(-5, 0, 200, dtype=torch.float64).reshape(-1, *[1] * centre.dim())
        away = near * (points - centre)
        points = region.project(centre + away)
        chords = _quotients(capture.graph, points, centre.expand_as(points), p, q)
        return max(chords, _jacobians(capture.graph, centre[None], p, q))
    points = region.sample(20, capture.example, generator)
    return max(
        _secants(capture.graph, region, points, p, q), _jacobians(capture.graph, points, p, q)
    )


def _secants(graph: Graph, region: Region, points: Tensor, p: Norm, q: Norm) -> float:
    """The largest difference quotient between the points, and between each and a close neighbour in
    the region."""
    beside = 1e-4 * points.roll(1, 0)
    near = region.project(points + beside)
    best = 0.0
    for other in (points.roll(1, 0), near):
        chord = _quotients(graph, other, points, p, q)
        best = max(best, chord)
    return best


def _quotients(graph: Graph, x: Tensor, y: Tensor, p: Norm, q: Norm) -> float:
    """The largest of ||f(x) - f(y)|| / ||x - y||, of pairs that are not too close."""
    step = p.of_rows(x - y)
    difference = evaluate_batch(graph, x) - evaluate_batch(graph, y)
    rise = q.of_rows(difference)
    return max([0.0, *(rise / step)[step > 1e-6].tolist()])


def _jacobians(graph: Graph, points: Tensor, p: Norm, q: Norm) -> float:
    """The largest l2 norm of a Jacobian at the points."""
    if (p, q) != (Norm.L2, Norm.L2):
        return 0.0
    matrices = [
        torch.func.jacrev(lambda x: evaluate(graph, x).reshape(-1))(x).flatten(1)
        for x in points[:8]
    ]
    return max(torch.linalg.matrix_norm(matrix, 2).item() for matrix in matrices)
