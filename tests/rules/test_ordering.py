"""Sorting and positions where the region settles them, and where it does not."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from autolip import Ball, Box, Everywhere
from autolip.capture.torch.export import capture_model
from autolip.graph.views import Vertex
from autolip.intervals import Interval
from autolip.regions import Region
from autolip.rules.ordering import position
from autolip.rules.propagate import slopes_on
from autolip.slopes import Exact, Gain

X = torch.tensor([[0.0, -2.0, 3.0, 1.0], [5.0, 4.0, 1.0, 2.0]], dtype=torch.float64)
"""Along both axes every two entries are at least 1 apart, and some no more."""

SELECTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sort": lambda x: x.sort(-1).values,
    "sort, descending": lambda x: x.sort(0, descending=True).values,
    "topk": lambda x: x.topk(2, -1).values,
    "topk of the least": lambda x: x.topk(3, -1, largest=False).values,
    "kthvalue": lambda x: x.kthvalue(2, -1).values,
    "kthvalue, kept": lambda x: x.kthvalue(3, -1, keepdim=True).values,
    "median": lambda x: x.median(-1).values,
    "max": lambda x: x.max(-1).values,
    "min": lambda x: x.min(1, keepdim=True).values,
}
CHOICES: dict[str, Callable[[Tensor], Tensor]] = {
    "by sorting": lambda x: (2 * x).gather(-1, x.argsort(-1)),
    "by topk": lambda x: x.sin().take_along_dim(x.topk(2, -1).indices, -1),
    "by max": lambda x: x[torch.arange(2), x.max(-1).indices],
    "by argmin": lambda x: x.index_select(0, x.argmin(0, keepdim=True)[0, 3:]),
    "by argmax of all": lambda x: x.reshape(-1).index_select(0, x.argmax().reshape(1)),
    "by counting": lambda x: x.gather(1, (x > 0.5).sum(1, keepdim=True) - 1),
    "scattered": lambda x: torch.zeros_like(x).scatter(1, x.argsort(-1), x),
}


def last(function: Callable[[Tensor], Tensor], region: Region) -> Vertex:
    slopes = slopes_on(capture_model(function, (X,)).graph, region)
    return slopes[slopes.output]


def moved(seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    step = torch.randn(X.shape, generator=generator, dtype=torch.float64)
    return X + 0.48 * step / step.abs().max()


@pytest.mark.parametrize("name", SELECTIONS)
def test_a_settled_order_is_a_selection(name: str) -> None:
    function = SELECTIONS[name]
    vertex = last(function, Box(X - 0.49, X + 0.49))
    assert vertex.only_edge is not None
    slope = vertex.only_edge.slope
    assert isinstance(slope, Exact)
    for seed in range(20):
        x, y = moved(seed), moved(seed + 100)
        assert torch.equal(slope.operator.mv(x[None])[0], function(x))
        assert vertex.range.contains(function(y))


@pytest.mark.parametrize("name", SELECTIONS)
@pytest.mark.parametrize("region", [Ball(X, 0.6), Everywhere(), Box(X - 0.5, X + 0.5)])
def test_an_order_that_ties_somewhere_is_a_gain(name: str, region: Region) -> None:
    edge = last(SELECTIONS[name], region).only_edge
    assert edge is not None and isinstance(edge.slope, Gain)


@pytest.mark.parametrize("name", CHOICES)
def test_a_settled_choice_is_wiring(name: str) -> None:
    """Its derivative moves the same entries all over the region."""
    function = CHOICES[name]
    vertex = last(function, Box(X - 0.49, X + 0.49))
    assert all(isinstance(edge.slope, Exact) for edge in vertex.edges)
    assert all(vertex.range.contains(function(moved(seed))) for seed in range(20))


@pytest.mark.parametrize("name", CHOICES)
def test_an_open_choice_jumps(name: str) -> None:
    vertex = last(CHOICES[name], Box(X - 0.5, X + 0.5))
    assert not any(edge.slope.is_finite for edge in vertex.edges)
    assert vertex.range.contains(torch.full(vertex.shape, 1e9, dtype=torch.float64))


def test_a_varying_mask_is_no_choice_of_positions() -> None:
    """As a number it would be the position 0 or 1."""

    def clipped(x: Tensor) -> Tensor:
        y = x.clone()
        y[x < -1] = 0.5
        return y

    vertex = last(clipped, Box(X - 0.49, X + 0.49))
    assert all(vertex.range.contains(clipped(moved(seed))) for seed in range(20))


def test_positions_are_known_entry_by_entry() -> None:
    ranges = Interval(X - 0.5, X + 0.5)
    assert position(ranges, 1, largest=True).lo.tolist() == [[2.0], [0.0]]
    assert position(ranges, 1, largest=True).hi.tolist() == [[2.0], [3.0]]
    assert position(ranges, 1, largest=False).hi.tolist() == [[1.0], [3.0]]
