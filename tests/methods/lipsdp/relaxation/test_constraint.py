"""Constraints: the ball that slopes allow, blocks of gains, and what is refused."""

import math

import pytest
import torch
from torch import nn

from autolip.errors import Refusal
from autolip.graph.views import Edge, Vertex
from autolip.intervals import Interval
from autolip.methods.lipsdp.relaxation.constraint import (
    STEEPEST,
    Constraint,
    block_shape,
    constraint,
    constraints_of,
)
from autolip.norms import Norm
from autolip.operators.dense import Dense
from autolip.slopes import Between, Exact, Gain, Slope
from autolip.values import Upper
from tests.methods.lipsdp.conftest import mlp, pose, stated


def bent(slope: Slope) -> Vertex:
    return Vertex("z", slope.out_shape, (Edge("v", slope),), Interval.everywhere(slope.out_shape))


def ends(lo: float, hi: float, size: int = 1) -> Between:
    return Between(*(torch.full((size,), end, dtype=torch.float64) for end in (lo, hi)))


def gain(before: tuple[int, ...], after: tuple[int, ...], dims: tuple[int, ...] | None) -> Gain:
    return Gain(torch.Size(before), torch.Size(after), {Norm.L2: Upper(2.0)}, dims)


@pytest.mark.parametrize(("lo", "hi"), [(0.0, 1.0), (-0.25, 1.5), (0.5, 0.75), (-2.0, -1.0)])
def test_the_constraint_is_the_ball_around_the_centre(lo: float, hi: float) -> None:
    """(z - lo v)(hi v - z) >= 0 is |z - centre v| <= radius |v|, for all v and z."""
    item = constraint(bent(ends(lo, hi)))
    assert isinstance(item, Constraint)
    v, z = torch.randn(2, 1000, generator=torch.Generator().manual_seed(0)).double()
    product, ball = (z - lo * v) * (hi * v - z), (item.radius * v).square()
    torch.testing.assert_close(product, ball - (z - item.centre * v).square())


def test_a_gain_is_the_ball_of_its_radius() -> None:
    item = constraint(bent(gain((2, 3), (2, 3), (-1,))))
    assert isinstance(item, Constraint)
    assert (item.centre, item.radius) == (0, 2) and item.blocks == (2, 1)


@pytest.mark.parametrize(
    ("slope", "reason"),
    [
        (ends(0.0, math.inf), "infinite"),
        (ends(0.0, 2 * STEEPEST), "slopes beyond"),
        (ends(-2 * STEEPEST, 0.0), "slopes beyond"),
        (Gain(torch.Size([2]), torch.Size([2]), {Norm.LINF: Upper(1.0)}), "no finite l2 gain"),
        (Gain(torch.Size([2]), torch.Size([2]), {Norm.L2: Upper(math.inf)}), "no finite l2 gain"),
        (Gain(torch.Size([2]), torch.Size([2]), {Norm.L2: Upper(2 * STEEPEST)}), "gain beyond"),
    ],
)
def test_what_has_no_finite_constraint_is_refused(slope: Slope, reason: str) -> None:
    refused = constraint(bent(slope))
    assert isinstance(refused, Refusal) and reason in str(refused)


def test_an_affine_vertex_has_none() -> None:
    with pytest.raises(TypeError, match="z is affine"):
        constraint(bent(Exact(Dense(torch.eye(2, dtype=torch.float64)))))


@pytest.mark.parametrize(
    ("before", "after", "dims", "blocks"),
    [
        ((2, 3, 4), (2, 3, 4), (-1,), (2, 3, 1)),
        ((2, 3, 4), (2, 3, 4), (1, 2), (2, 1, 1)),
        ((2, 3, 4), (2, 3, 7), (-1,), (2, 3, 1)),
        ((2, 3, 4), (2, 3, 4), None, (1, 1, 1)),
        ((2, 3), (5, 3), (-1,), (1, 1)),
        ((6,), (2, 3), None, ()),
        ((), (), (), ()),
    ],
)
def test_one_multiplier_for_each_block(
    before: tuple[int, ...],
    after: tuple[int, ...],
    dims: tuple[int, ...] | None,
    blocks: tuple[int, ...],
) -> None:
    assert block_shape(gain(before, after, dims)) == blocks


def test_every_nonlinear_vertex_has_one_in_order() -> None:
    graph = stated(pose(mlp(3, 5, 4, 2), (1, 3)))
    found = constraints_of(graph)
    assert isinstance(found, dict)
    assert list(found) == [vertex.name for vertex in graph if not vertex.is_affine]
    assert [item.out_shape.numel() for item in found.values()] == [5, 4]
    activation = nn.Sequential(nn.Linear(3, 2), nn.GELU(), nn.Linear(2, 1)).double()
    (item,) = constraints_of(stated(pose(activation, (1, 3)))).values()  # type: ignore[union-attr]
    assert -0.13 < float(item.lo.min()) < -0.12 and 1.12 < float(item.hi.max()) < 1.13
