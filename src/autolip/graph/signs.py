"""Signs of neurons that make every operation of a network non-negative, where there are such."""

from collections.abc import Sequence
from typing import assert_never

import torch
from torch import Tensor

from autolip.graph.views import Edge, SlopeGraph
from autolip.operators.operator import DTYPE, Operator
from autolip.slopes import Between, Exact, Gain

SWEEPS = 64
"""Chosen: most passes over the graph, forward and backward."""

Signs = dict[str, Tensor]
"""For every vertex a tensor of -1, 1, and 0 where nothing that is known reaches the entry."""

Parts = tuple[Tensor, Tensor]
"""Sizes of what arrives with a positive and with a negative sign."""


def consistent_signs(graph: SlopeGraph) -> Signs | None:
    """Signs s with s_v M_vu s_u >= 0 for every operation M from u to v, slopes by their end of
    larger modulus.

    Found by passing signs along the graph both ways from the first input, and from further ones
    where the network falls apart; None where there are no such signs, or some operation does not
    tell the signs of its entries.
    """
    signs = {vertex.name: torch.zeros(vertex.shape, dtype=DTYPE) for vertex in graph}
    for _ in range(SWEEPS):
        start = signs[graph.input].flatten()
        unknown = (start == 0).nonzero()
        before = [value.clone() for value in signs.values()]
        if not _swept(graph, signs):
            return None
        if all(torch.equal(a, b) for a, b in zip(before, signs.values(), strict=True)):
            if not len(unknown):
                return signs
            start[unknown[0]] = 1.0
    return None


def _swept(graph: SlopeGraph, signs: Signs) -> bool:
    """Pass signs forward, then backward; False at a contradiction."""
    edges = [(edge, vertex.name) for vertex in graph for edge in vertex.edges]
    for edge, name in edges:
        if not _pass(edge, signs[edge.source], signs[name], transposed=False):
            return False
    return all(
        _pass(edge, signs[name], signs[edge.source], transposed=True)
        for edge, name in reversed(edges)
    )


def _pass(edge: Edge, source: Tensor, target: Tensor, transposed: bool) -> bool:
    """Write into `target` what the signs at the source imply; False if they contradict each other
    or what is there."""
    parts = _parts(edge, source, transposed)
    if parts is None:
        return False
    positive = parts[0] > 0
    negative = parts[1] > 0
    ones = positive.to(DTYPE)
    implied = ones - negative.to(DTYPE)
    if bool((positive & negative).any()) or bool((implied * target < 0).any()):
        return False
    target.copy_(torch.where(target == 0, implied, target))
    return True


def _parts(edge: Edge, signs: Tensor, transposed: bool) -> Parts | None:
    """The sizes of the positive and of the negative contributions to every entry at the other end
    of an edge."""
    slope = edge.slope
    match slope:
        case Exact():
            return _mapped(slope.operator.T if transposed else slope.operator, signs)
        case Between():
            moved = slope.steepest * signs
            return moved.clamp(min=0), (-moved).clamp(min=0)
        case Gain():
            return None
        case _:
            assert_never(slope)


def _mapped(operator: Operator, signs: Tensor) -> Parts | None:
    positive_part = signs.clamp(min=0).unsqueeze(0)
    negative_part = (-signs).clamp(min=0).unsqueeze(0)
    start = (positive_part, negative_part)
    try:
        positive, negative = operator.fold(start, _through, _added)
    except _Unknown:
        return None
    return positive[0], negative[0]


class _Unknown(Exception):
    """An operator whose entries' signs are not known."""


def _through(leaf: Operator, x: Parts) -> Parts:
    parts = leaf.split()
    if parts is None:
        raise _Unknown
    positive, negative = parts
    return positive.mv(x[0]) + negative.mv(x[1]), positive.mv(x[1]) + negative.mv(x[0])


def _added(images: Sequence[Parts]) -> Parts:
    return torch.stack([x[0] for x in images]).sum(0), torch.stack([x[1] for x in images]).sum(0)
