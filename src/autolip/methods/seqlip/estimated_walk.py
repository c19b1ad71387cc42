"""AutoLip's product in plain numbers, for chains of which an estimate is known: the result is an
Estimate."""

from collections.abc import Sequence

from autolip.errors import Refusal
from autolip.graph.chains import Stretch
from autolip.graph.views import SlopeGraph
from autolip.methods.method import Problem
from autolip.norms import Norm
from autolip.slopes import Slope
from autolip.values import Estimate


def estimated_walk(
    problem: Problem, graph: SlopeGraph, known: Sequence[tuple[Stretch, Estimate]]
) -> Estimate:
    """The l2 gains added over operands and multiplied along paths, an estimate in place of a
    stretch's product."""
    total = {graph.input: 1.0}
    for vertex in graph:
        if vertex.name == graph.input:
            continue
        total[vertex.name] = sum(
            _gain(problem, edge.slope) * total[edge.source] for edge in vertex.edges
        )
        for stretch, estimate in known:
            if stretch.sink == vertex.name:
                total[vertex.name] = min(total[vertex.name], estimate.value * total[stretch.source])
    return Estimate(total[graph.output])


def _gain(problem: Problem, slope: Slope) -> float:
    gain = slope.gain(Norm.L2, Norm.L2, problem.norm)
    return float("inf") if isinstance(gain, Refusal) else gain.value
