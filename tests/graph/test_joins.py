"""Joins are where paths part and meet again around one layer, and their maps make the network."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from autolip import Everywhere, Norm
from autolip.capture.torch.export import capture_model
from autolip.graph.joins import joins
from autolip.graph.views import SlopeGraph, affine_map, fused
from autolip.methods import Problem
from autolip.operators.norms import NormOptions

torch.manual_seed(3)
A, B, C = (nn.Linear(4, 4).double() for _ in range(3))
FOUND: dict[str, tuple[Callable[[Tensor], Tensor], int]] = {
    "residual": (lambda x: x - A(torch.relu(B(x))), 1),
    "two of them": (lambda x: _step(_step(x)), 2),
    "halves": (lambda x: C(torch.cat([torch.relu(A(x)), torch.relu(-A(x))], 1)[:, 2:6]), 1),
    "inside a branch": (lambda x: x + A(_pair(B(x))), 2),
    "two layers at once": (lambda x: A(torch.relu(x)) + B(torch.tanh(C(x))), 1),
    "no join": (lambda x: A(torch.relu(B(x))), 0),
    "an affine one": (lambda x: A(x) + B(x), 0),
    "two layers deep": (lambda x: x + A(torch.relu(B(torch.tanh(C(x))))), 0),
    "no finite slope": (lambda x: x + torch.exp(x), 0),
}


def _step(x: Tensor) -> Tensor:
    stepped: Tensor = x - A(torch.relu(B(x)))
    return stepped


def _pair(x: Tensor) -> Tensor:
    return torch.cat([torch.maximum(x[:, :2], x[:, 2:]), torch.minimum(x[:, :2], x[:, 2:])], 1)


def _both(x: Tensor) -> Tensor:
    total: Tensor = A(x) + C(x)
    return total


def _lowered(function: Callable[[Tensor], Tensor]) -> SlopeGraph:
    graph = capture_model(function, (torch.zeros(1, 4, dtype=torch.float64),)).graph
    return Problem.pose(graph, Everywhere(), Norm.L2, Norm.L2, NormOptions()).lowered


@pytest.mark.parametrize("name", FOUND)
def test_how_many(name: str) -> None:
    function, count = FOUND[name]
    assert len(list(joins(_lowered(function)))) == count


def test_a_layer_that_sees_what_another_one_made_is_not_one_layer() -> None:
    graph = _lowered(lambda x: x + A(torch.relu(B(x) + torch.tanh(C(x)))))
    assert [join.bent for join in joins(graph)] == [("tanh",)]


def test_maps_up_to_stops() -> None:
    """Through a stop nothing is composed; the pieces compose to the whole."""
    graph = _lowered(lambda x: _both(B(x)))
    stop = graph.vertices[1].name
    whole = affine_map(graph, graph.input, graph.output).matrix()
    cut = fused(graph, {stop})
    assert stop in cut.by_name
    assert [edge.source for edge in cut[cut.output].edges] == [stop]
    first, last = cut[stop].edges[0].operator, cut[cut.output].edges[0].operator
    assert first is not None and last is not None
    assert torch.allclose(last.matrix() @ first.matrix(), whole, atol=1e-14)
    assert affine_map(graph, stop, stop).is_isometry
