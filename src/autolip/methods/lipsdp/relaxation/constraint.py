"""The quadratic constraints of the nonlinear vertices, each in its operand v and its result z.

Entry by entry, with slopes in [a, b], and for every block B of a gain g,

    (z - a v) (b v - z) >= 0,        g^2 |v_B|^2 - |z_B|^2 >= 0.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import assert_never

import torch
from torch import Tensor

from autolip.errors import Refusal
from autolip.graph.views import SlopeGraph, Vertex
from autolip.intervals import centre_and_radius
from autolip.norms import Norm
from autolip.slopes import Between, Exact, Gain
from autolip.values import INFINITE, Upper

STEEPEST = 2.0**100
"""Greatest slope, and value of a statement, for which one is written: a choice, far beyond any
network; products of a few of them stay within floating point."""


@dataclass(frozen=True)
class Constraint:
    """(z - lo v) (hi v - z) >= 0, entry by entry.

    A block of gain g has lo = -g and hi = g, and z and v of different shapes perhaps.  Every such
    z is centre v + s with |s| <= radius |v|, roundings included.  `blocks` is the shape of the
    multipliers: one for each entry, or for each block.
    """

    lo: Tensor
    hi: Tensor
    in_shape: torch.Size
    out_shape: torch.Size
    blocks: torch.Size
    gain: Upper | None = None

    @cached_property
    def _centre_and_radius(self) -> tuple[Tensor, Tensor]:
        return centre_and_radius(self.lo, self.hi)

    @property
    def centre(self) -> Tensor:
        return self._centre_and_radius[0]

    @property
    def radius(self) -> Tensor:
        return self._centre_and_radius[1]


def nonlinear(graph: SlopeGraph) -> Iterator[Vertex]:
    """The vertices that carry multipliers."""
    return (vertex for vertex in graph if not vertex.is_affine)


def constraints_of(graph: SlopeGraph) -> dict[str, Constraint] | Refusal:
    """The constraint of every nonlinear vertex, by name, in order."""
    found: dict[str, Constraint] = {}
    for vertex in nonlinear(graph):
        item = constraint(vertex)
        if isinstance(item, Refusal):
            return item
        found[vertex.name] = item
    return found


def constraint(vertex: Vertex) -> Constraint | Refusal:
    """The constraint of a nonlinear vertex; refused where a slope is infinite or no l2 gain is
    known."""
    (edge,) = vertex.edges
    slope = edge.slope
    where = f"{vertex.operation} at {vertex.place}"
    match slope:
        case Between():
            return _of_slopes(slope, where)
        case Gain():
            return _of_gain(slope, where)
        case Exact():
            raise TypeError(f"{vertex.name} is affine")
        case _:
            assert_never(slope)


def _of_slopes(slope: Between, where: str) -> Constraint | Refusal:
    if not slope.is_finite:
        return Refusal(f"infinite through {where}")
    if slope.largest_modulus().value > STEEPEST:
        return Refusal(f"{where} has slopes beyond {STEEPEST:.3g}")
    return Constraint(slope.lo, slope.hi, slope.in_shape, slope.out_shape, blocks=slope.out_shape)


def _of_gain(slope: Gain, where: str) -> Constraint | Refusal:
    gain = slope.norms.get(Norm.L2, INFINITE)
    if gain.value == INFINITE.value:
        return Refusal(f"no finite l2 gain is known of {where}")
    if gain.value > STEEPEST:
        return Refusal(f"{where} has a gain beyond {STEEPEST:.3g}")
    g = torch.tensor(gain.value, dtype=torch.float64)
    return Constraint(-g, g, slope.in_shape, slope.out_shape, block_shape(slope), gain)


def block_shape(gain: Gain) -> torch.Size:
    """The shape of a Gain's multipliers: its shape with 1 along a block; all 1 where the blocks do
    not match."""
    before = gain.in_shape
    after = gain.out_shape
    axes = gain.axes
    whole = torch.Size([1] * len(after))
    if axes is None:
        return whole if len(before) == len(after) else torch.Size()
    blocks_before, blocks_after = (
        torch.Size(1 if axis in axes else size for axis, size in enumerate(shape))
        for shape in (before, after)
    )
    return blocks_after if blocks_before == blocks_after else whole
