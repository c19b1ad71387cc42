"""Which entries a path connects with the input and with the output: the others carry no difference
that matters."""

from typing import assert_never

import torch
from torch import Tensor

from autolip.graph.views import Edge, SlopeGraph
from autolip.operators.operator import DTYPE
from autolip.slopes import Between, Exact, Gain

Connected = dict[str, Tensor]
"""For every vertex which of its entries (True where it is not known)."""


def reached(graph: SlopeGraph) -> Connected:
    """The entries that depend on the input, as far as the entries' zeros tell."""
    everything = torch.ones(graph.input_shape, dtype=torch.bool)
    found = {graph.input: everything}
    for vertex in graph:
        if vertex.name != graph.input:
            total = torch.zeros(vertex.shape, dtype=torch.bool)
            for edge in vertex.edges:
                passed = _passed(edge, found[edge.source], forward=True)
                total = total | passed
            found[vertex.name] = total
    return found


def heard(graph: SlopeGraph) -> Connected:
    """The entries that the output depends on, as far as the entries' zeros tell."""
    found = {vertex.name: torch.zeros(vertex.shape, dtype=torch.bool) for vertex in graph}
    found[graph.output] = torch.ones(graph.output_shape, dtype=torch.bool)
    for vertex in reversed(graph.vertices):
        for edge in vertex.edges:
            found[edge.source] = found[edge.source] | _passed(
                edge, found[vertex.name], forward=False
            )
    return found


def _passed(edge: Edge, live: Tensor, forward: bool) -> Tensor:
    """The entries at one end of an edge that are connected with live entries at the other."""
    slope = edge.slope
    shape = slope.out_shape if forward else slope.in_shape
    if not bool(live.any()):
        return torch.zeros(shape, dtype=torch.bool)
    match slope:
        case Exact():
            majorant = slope.operator.majorant()
        case Between():
            return live
        case Gain():
            majorant = None
        case _:
            assert_never(slope)
    if majorant is None:
        return torch.ones(shape, dtype=torch.bool)
    x = live.to(DTYPE).unsqueeze(0)
    return ((majorant.mv(x) if forward else majorant.rmv(x)) != 0)[0]
