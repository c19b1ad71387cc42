"""Known slopes are a linear part: the function is the same, and what is left is centred."""

import torch
from torch import nn

from autolip.capture.torch.export import capture_model
from autolip.graph.fixed import without_fixed
from autolip.graph.views import SlopeGraph
from autolip.regions import Box
from autolip.rules import slopes_on
from autolip.slopes import Between, Exact


def graph_on(lo: list[float], hi: list[float]) -> SlopeGraph:
    """relu of every input, then their sum."""
    layer = nn.Linear(len(lo), 1, bias=False).double()
    layer.weight.data.fill_(1.0)
    model = nn.Sequential(nn.ReLU(), layer)
    inputs = (torch.zeros(1, len(lo)).double(),)
    region = Box(torch.tensor([lo]), torch.tensor([hi]))
    return slopes_on(capture_model(model, inputs).graph, region)


def nonlinear(graph: SlopeGraph) -> list[Between]:
    slopes = [edge.slope for vertex in graph for edge in vertex.edges]
    return [slope for slope in slopes if isinstance(slope, Between)]


def test_decided_neurons_become_linear_and_the_others_stay() -> None:
    graph = without_fixed(graph_on([-2.0, 1.0, -1.0], [-1.0, 2.0, 1.0]))
    (slope,) = nonlinear(graph)
    assert slope.lo.tolist() == [0.0] and slope.hi.tolist() == [1.0]
    straight = [
        edge.slope.operator.matrix()
        for vertex in graph
        for edge in vertex.edges
        if isinstance(edge.slope, Exact) and vertex.name.startswith("relu")
    ]
    assert any(
        torch.equal(matrix, torch.diag(torch.tensor([0.0, 1.0, 0.0]).double()))
        for matrix in straight
    )


def test_a_network_of_decided_neurons_has_no_nonlinear_part() -> None:
    assert nonlinear(without_fixed(graph_on([1.0, -2.0], [2.0, -1.0]))) == []


def test_where_nothing_is_decided_nothing_changes() -> None:
    graph = graph_on([-1.0, -1.0], [1.0, 1.0])
    assert without_fixed(graph).vertices == graph.vertices
