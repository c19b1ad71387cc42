"""The network up to each of its vertices, bounded by the method whose bound of the whole was
taken."""

from dataclasses import replace

from autolip.budget import Budget, counting
from autolip.errors import Refusal
from autolip.graph.views import SlopeGraph, Vertex
from autolip.methods.autolip import gains_of
from autolip.methods.method import METHODS, Bound, Problem, method_named
from autolip.values import INFINITE, ZERO, Upper

SECONDS = 5.0
"""Chosen: seconds of counted work for all prefixes together, as many as LipSDP takes for a
network."""


def bounds_up_to(
    problem: Problem, method: str = "", taken: Upper | None = None
) -> dict[str, Upper] | Refusal:
    """Upper bounds on ||v(x) - v(y)||_q / ||x - y||_p for every vertex v of the fused network.

    Each is the least of three: what the method says of the network up to v, AutoLip's product, and
    the bounds of what v reads times the gains towards them.  At the output it is the bound that was
    `taken`, where there is one.  Refusal where AutoLip has no bound in these norms.
    """
    gains = gains_of(problem, problem.fused)
    if isinstance(gains, Refusal):
        return gains
    asked = _asked(problem, method)
    bounds = dict[str, Upper]()
    for vertex in problem.fused:
        known = [gains[vertex.name][problem.q], _carried(problem, vertex, bounds)]
        bounds[vertex.name] = Upper.least([*known, *asked.get(vertex.name, ())])
    if taken is not None:
        bounds[problem.fused.output] = taken
    return bounds


def _asked(problem: Problem, name: str) -> dict[str, tuple[Upper]]:
    """What the method says up to every affine vertex inside; nothing of AutoLip, whose walk has
    passed there."""
    if name not in METHODS or name in ("autolip", "autolip-raw"):
        return {}
    method = method_named(name)
    own = {node.name for node in problem.graph}
    inner = [
        vertex.name
        for vertex in problem.fused
        if vertex.is_affine and vertex.name in own and vertex.name != problem.fused.output
    ]
    found = {}
    with counting() as clock:
        budget = Budget.of(SECONDS, clock)
        for number, sink in enumerate(inner):
            share = budget.within(1 / (len(inner) - number))
            bound = method.answer(up_to(problem, sink).with_budget(share))
            if isinstance(bound, Bound) and isinstance(bound.value, Upper):
                found[sink] = (bound.value,)
    return found


def up_to(problem: Problem, sink: str) -> Problem:
    """The same network without what comes after a vertex, whose value is the output."""

    def cut(graph: SlopeGraph) -> SlopeGraph:
        return replace(graph, output=sink).pruned()

    return replace(
        problem,
        graph=replace(problem.graph, output=sink).pruned(),
        slopes=cut(problem.slopes),
        fused=cut(problem.fused),
        readouts=(),
    )


def _carried(problem: Problem, vertex: Vertex, bounds: dict[str, Upper]) -> Upper:
    """The bounds of what a vertex reads, times the gains from q to q, added."""
    total = INFINITE if vertex.name == problem.fused.input else ZERO
    for edge in vertex.edges:
        gain = edge.slope.gain(problem.q, problem.q, problem.norm)
        total = total + (INFINITE if isinstance(gain, Refusal) else gain) * bounds[edge.source]
    return total
