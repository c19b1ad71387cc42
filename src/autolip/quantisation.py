"""Networks that round to a grid: the network without rounding, and by how much theirs differ.

A quantiser q(t) = clip(round(t / s) + z) jumps, and no constant bounds it.  Write f for the
network, g for the same with its roundings left out, and n_i for what rounding i adds: at most 1/2,
entry by entry.  At one input x, with secants M between the values of f and of g,

    f(x) - g(x) = sum_i B_i(M) n_i,    |f(x) - g(x)| <= D = sum_i gain(i -> output) |1/2|,

on ranges that hold the values of both.  With L a Lipschitz constant of g, therefore

    |f(x) - f(y)| <= |g(x) - g(y)| + 2 D <= L |x - y| + e,    e = 2 D.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from autolip.capture.torch.export import Capture
from autolip.errors import Refusal
from autolip.graph.composites import rounds_within_half
from autolip.graph.evaluate import evaluate
from autolip.graph.graph import Graph, Node
from autolip.graph.views import SlopeGraph, fused
from autolip.methods import Problem
from autolip.norms import Norm
from autolip.operators.operator import DTYPE
from autolip.rules import slopes_on
from autolip.values import INFINITE, Upper

aten = torch.ops.aten


def quantisers(graph: Graph) -> frozenset[str]:
    """The roundings whose results are clipped to a finite range, after a zero point or without."""
    users: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for name in node.operands():
            users.setdefault(name, []).append(node)

    def ends_clipped(name: str) -> bool:
        following = users.get(name, [])
        return bool(following) and all(
            _clips(node) or (_shifts(node) and all(map(_clips, users.get(node.name, [node]))))
            for node in following
        )

    rounded = (node for node in graph.nodes if node.target is aten.round.default)
    return frozenset(
        node.name for node in rounded if node.name != graph.output and ends_clipped(node.name)
    )


def _clips(node: Node) -> bool:
    """Whether it is clip(t, low, high) for two numbers."""
    return (
        node.target is aten.clamp.default
        and len(node.args) == 3
        and all(isinstance(end, int | float) for end in node.args[1:])
    )


def _shifts(node: Node) -> bool:
    """Whether it adds a constant."""
    return node.target in (aten.add.Tensor, aten.add.Scalar) and len(node.operands()) == 1


def _rewritten(graph: Graph, places: frozenset[str], target: Callable[..., Any]) -> Graph:
    nodes = (replace(n, target=target) if n.name in places else n for n in graph.nodes)
    return replace(graph, nodes=tuple(nodes))


def without_rounding(capture: Capture) -> Capture:
    """The network g, which is continuous; the same capture where there is no quantiser."""
    places = quantisers(capture.graph)
    if not places:
        return capture
    graph = _rewritten(capture.graph, places, aten.clone.default)

    def value(x: Tensor) -> Tensor:
        return evaluate(graph, x.to(DTYPE).reshape(graph.input_shape))

    return replace(capture, graph=graph, reference=value, reference_dtype=DTYPE, native=None)


def rounding_error(graph: Graph, problem: Problem) -> Upper | None:
    """e, in the norm of the outputs that the problem reads; None where nothing is rounded."""
    places = quantisers(graph)
    if not places:
        return None
    problem = problem.with_own_norms()
    slopes = slopes_on(_rewritten(graph, places, rounds_within_half), problem.region)
    for readout in problem.readouts:
        slopes = slopes.then(readout)
    return _added(problem, fused(slopes, places), places)


def _added(problem: Problem, graph: SlopeGraph, places: frozenset[str]) -> Upper:
    """The errors of all roundings, carried to the output along every path."""
    q = problem.q
    errors: dict[str, Upper] = {}
    for vertex in graph:
        total = _own(q, vertex.shape.numel()) if vertex.name in places else Upper(0.0)
        for edge in vertex.edges:
            before = errors[edge.source]
            if before.value == 0:
                continue
            gain = edge.slope.gain(q, q, problem.norm)
            if isinstance(gain, Refusal):
                return INFINITE
            total = total + gain * before
        errors[vertex.name] = total
    return errors[graph.output]


def _own(q: Norm, size: int) -> Upper:
    """2 |1/2|_q: the errors of both inputs."""
    return Norm.LINF.equivalence(q, size)
