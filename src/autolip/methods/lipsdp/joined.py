"""LipSDP on the sequential stretches of a network, joined by AutoLip: for networks that it cannot
state as a whole."""

from collections.abc import Callable

from autolip.errors import Refusal
from autolip.graph.chains import Stretch, alone, parted, stretches
from autolip.graph.fixed import without_fixed
from autolip.graph.views import SlopeGraph
from autolip.methods.method import Bound, Problem
from autolip.methods.stretchwise import StretchBound, Stretchwise
from autolip.values import Upper


def joined(
    problem: Problem, relaxed: Callable[[SlopeGraph, float], Upper | Refusal], reason: str
) -> Bound | Refusal:
    """The bounds of the stretches, gains elsewhere; refused, with the reason given, where no
    stretch has a bound.

    `relaxed` bounds the l2 constant of one stretch with a part of the time that is left.
    """
    graph = parted(problem.fused)
    found = stretches(graph)
    parts = (1 / left for left in range(len(found), 0, -1))

    def bounded(stretch: Stretch) -> StretchBound | Refusal:
        gain = relaxed(without_fixed(alone(graph, stretch)), next(parts))
        return gain if isinstance(gain, Refusal) else StretchBound(gain)

    known = Stretchwise.of(problem, graph, found, bounded)
    if known.says_nothing:
        return Refusal("; ".join([reason, *known.notes]))
    return known.joined([f"stretches joined by AutoLip: {reason}", *known.notes])
