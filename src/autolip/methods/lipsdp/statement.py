"""What LipSDP claims of a network: one quadratic form, which is never negative.

Differences obey, at every nonlinear vertex with operand v and result z (entry by entry, slopes in
[a, b]),

    (z - a v) (b v - z) >= 0,        and for a block B of gain g        g^2 |v_B|^2 - |z_B|^2 >= 0.

With multipliers lam >= 0 let

    H = value^2 |x|^2 - |y|^2 - sum_i lam_i (z_i - a_i v_i) (b_i v_i - z_i)
                              - sum_B lam_B (g^2 |v_B|^2 - |z_B|^2),

v and y affine in the input x and the results z through the graph.  If H >= 0 for all x and z, free
variables, then |y| <= value |x| for every difference: Fazlyab, Robey, Hassani, Morari and Pappas,
NeurIPS 2019, LipSDP-Neuron (their multipliers that couple neurons are wrong: Pauli et al. 2021, and
are not used).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
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
"""Greatest slope, and value of a statement, for which one is written."""

HEAVIEST = 2.0**400
"""Greatest multiplier, and reciprocal of one: products of what a proof multiplies stay far within
floating point."""


@dataclass(frozen=True)
class Statement:
    """H >= 0, hence ||y||_q <= value ||x||_p.

    `graph` is not fused; every vertex that is not affine has one edge.  `multipliers` are by the
    name of such a vertex: of its shape for `Between`, of `block_shape` for `Gain`.  With `inputs` =
    mu (linf input) the first term of H is sum_i mu_i x_i^2, and value^2 >= sum_i mu_i times the sum
    of `outputs`; with `outputs` = nu > 0 (l1 output) the second is sum_j y_j^2 / nu_j (1 for nu
    otherwise, its sum counting as 1).
    """

    graph: SlopeGraph
    p: Norm
    q: Norm
    multipliers: dict[str, Tensor]
    inputs: Tensor | None
    value: float
    outputs: Tensor | None = None

    def regraded(self, value: float, factor: Callable[[str], float]) -> "Statement":
        """The same at another value: multipliers times a factor each, weights of the input as
        value^2."""
        square = (value / self.value) * (value / self.value)
        multipliers = {name: lam * factor(name) for name, lam in self.multipliers.items()}
        inputs = None if self.inputs is None else self.inputs * square
        return replace(self, value=value, multipliers=multipliers, inputs=inputs)


@dataclass(frozen=True)
class Constraint:
    """lam (z - a v) (b v - z) = -squares z^2 + cross z v - slopes v^2, entry by entry, for lam = 1.

    A block of gain g has a = -g, b = g, and z and v of different shapes perhaps.  `centre` and
    `radius` are those of [a, b]: z = centre v + radius s with |s| <= |v| for every such z.
    """

    lo: Tensor
    hi: Tensor
    in_shape: torch.Size
    out_shape: torch.Size
    dims: tuple[int, ...] | None
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


def constraint(vertex: Vertex) -> Constraint | Refusal:
    """The quadratic constraint of a nonlinear vertex; refused where a slope is infinite or no l2
    gain is known."""
    (edge,) = vertex.edges
    slope, what = edge.slope, f"{vertex.operation} at {vertex.place}"
    match slope:
        case Exact():
            raise TypeError(f"{vertex.name} is affine")
        case Between():
            return _of_slopes(slope, what)
        case Gain():
            return _of_gain(slope, what)
        case _:
            assert_never(slope)


def _of_slopes(slope: Between, what: str) -> Constraint | Refusal:
    if not slope.is_finite:
        return Refusal(f"infinite through {what}")
    if slope.largest_modulus().value > STEEPEST:
        return Refusal(f"{what} has slopes beyond {STEEPEST:.3g}")
    return Constraint(slope.lo, slope.hi, slope.in_shape, slope.out_shape, None, slope.out_shape)


def _of_gain(slope: Gain, what: str) -> Constraint | Refusal:
    gain = slope.norms.get(Norm.L2, INFINITE)
    if gain.value == INFINITE.value:
        return Refusal(f"no finite l2 gain is known of {what}")
    if gain.value > STEEPEST:
        return Refusal(f"{what} has a gain beyond {STEEPEST:.3g}")
    size = torch.tensor(gain.value, dtype=torch.float64)
    return Constraint(
        -size, size, slope.in_shape, slope.out_shape, slope.dims, block_shape(slope), gain
    )


def are_weights(values: Tensor) -> bool:
    """Whether multipliers, or weights of input and output, are positive and far from the ends of
    floating point."""
    return bool(((values >= 1 / HEAVIEST) & (values <= HEAVIEST)).all())


def block_shape(gain: Gain) -> torch.Size:
    """The shape of a Gain's multipliers: its shape with 1 along a block; all 1 where the blocks do
    not match."""
    ones = torch.Size([1] * len(gain.out_shape))
    if gain.axes is None:
        return ones if len(gain.in_shape) == len(gain.out_shape) else torch.Size()
    axes = gain.axes
    before, after = (
        tuple(1 if i in axes else n for i, n in enumerate(s))
        for s in (gain.in_shape, gain.out_shape)
    )
    return torch.Size(after) if before == after else ones
