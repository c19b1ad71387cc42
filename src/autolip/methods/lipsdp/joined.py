"""LipSDP on the sequential stretches of a network, joined by AutoLip: for networks that it cannot
state as a whole."""

from collections.abc import Callable

from autolip.errors import Refusal
from autolip.graph.chains import alone, parted, stretches
from autolip.graph.fixed import without_fixed
from autolip.graph.views import SlopeGraph
from autolip.methods.autolip import Shortcut, walk
from autolip.methods.method import Bound, Problem
from autolip.norms import Norm
from autolip.values import Upper


def joined(
    problem: Problem, relaxed: Callable[[SlopeGraph, float], Upper | Refusal], reason: str
) -> Bound | Refusal:
    """The bounds of the stretches, gains elsewhere; refused, with the reason given, where no
    stretch has a bound.

    `relaxed` bounds the l2 constant of one stretch with a part of the time that is left.
    """
    graph = parted(problem.fused)
    notes = [f"stretches joined by AutoLip: {reason}"]
    found = stretches(graph)
    shortcuts: list[Shortcut] = []
    for number, stretch in enumerate(found):
        bound = relaxed(without_fixed(alone(graph, stretch)), 1 / (len(found) - number))
        if isinstance(bound, Upper):
            shortcuts.append(Shortcut(stretch.source, stretch.sink, Norm.L2, bound))
        else:
            notes.append(f"product of norms to {graph[stretch.sink].place}: {bound}")
    if not shortcuts:
        return Refusal("; ".join([reason, *notes[1:]]))
    walked = walk(problem, graph, shortcuts)
    if isinstance(walked, Refusal):
        return walked
    return Bound(walked.value, walked.contributions, (*walked.notes, *notes), walked.complete)
