"""What the operands of functions that are linear in pieces are where the input, and the results of
all these functions, are 0: with a graph of differences, that gives every value of a network."""

import torch

from autolip.errors import Refusal
from autolip.graph.graph import Graph
from autolip.graph.moving_inputs import moved
from autolip.graph.views import SlopeGraph
from autolip.intervals import centre_and_radius
from autolip.piecewise.network import curves_of, offsets_of
from autolip.regions import Everywhere, Region
from autolip.rounded import Rounded
from autolip.rules import parts_on
from autolip.rules.lowering import lowered

NAMED = {
    f"aten.{name}.default"
    for name in (
        "relu", "relu6", "abs", "absolute", "leaky_relu", "hardtanh", "clamp", "clamp_min",
        "clamp_max", "softshrink",
    )
}  # fmt: skip
"""Defined by the check: operations whose pieces it knows by name and numbers."""

FOLLOWED = {"box", "ball"}
"""Defined by the check: bounded regions on which it finds ranges itself."""

Constants = dict[str, Rounded]


def told_at_zero(graph: Graph, differences: SlopeGraph, region: Region) -> Constants:
    """The same on regions on which the check makes use of it; nothing on others."""
    is_followed = region.describe()["kind"] in FOLLOWED
    return operands_at_zero(graph, differences) if is_followed else {}


def operands_at_zero(graph: Graph, differences: SlopeGraph) -> Constants:
    """By the names of the functions, of the shapes of their results; nothing where some operation
    is neither affine everywhere nor one of these, or where the graph of differences goes other ways
    than the network."""
    simple = lowered(graph)
    whole = parts_on(simple, Everywhere())
    curves = curves_of(simple, whole)
    if isinstance(curves, Refusal):
        return {}
    offsets = offsets_of(simple, curves)
    if isinstance(offsets, Refusal):
        return {}
    if any(whole[name].operation not in NAMED for name in curves):
        return {}
    if not _agree(whole, differences, set(curves)):
        return {}
    found = {}
    for name in curves:
        edge = whole[name].edges[0]
        there = offsets[edge.source]
        value, error = centre_and_radius(there.lo, there.hi)
        is_exact = there.lo == there.hi
        off = torch.where(is_exact, 0.0, error)
        found[name] = Rounded(value, off)
    return found


def operand_of(differences: SlopeGraph, name: str) -> str:
    """What a function reads, its known slopes apart or not."""
    read = differences.by_name.get(f"{name}:read", differences[name])
    return read.edges[0].source


def _agree(whole: SlopeGraph, differences: SlopeGraph, curves: set[str]) -> bool:
    """Whether every operation is there, those that are affine with the same operands."""
    renamed = {moved(whole.input): whole.input}
    for vertex in whole:
        if vertex.name not in differences.by_name:
            return False
        again = differences[vertex.name]
        sources = [renamed.get(edge.source, edge.source) for edge in again.edges]
        own = [edge.source for edge in vertex.edges]
        if vertex.name not in curves and sources != own:
            return False
    return True
