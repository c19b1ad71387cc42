"""Counting the operations of a graph."""

import torch
from torch import nn

from autolip.capture.torch.export import capture_model
from autolip.graph.graph import Graph
from autolip.lower.cost import multiply_adds, numbers, terms


def graph_of(model: nn.Module, *shape: int) -> Graph:
    return capture_model(model.eval(), (torch.randn(shape),)).graph


def most_terms(graph: Graph) -> int:
    return max(terms(node, graph.shapes) for node in graph)


def test_dense() -> None:
    graph = graph_of(nn.Sequential(nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, 3)), 2, 7)
    assert multiply_adds(graph) == 2 * (5 * (7 + 1) + 3 * (5 + 1))
    assert numbers(graph) == 2 * (7 + 5 + 5 + 3)
    assert most_terms(graph) == 7 + 1


def test_convolution() -> None:
    graph = graph_of(nn.Conv2d(4, 6, 3, padding=1, groups=2), 1, 4, 8, 8)
    assert multiply_adds(graph) == 6 * 64 * (2 * 9 + 1)
    assert most_terms(graph) == 2 * 9 + 1


def test_transposed_convolution_adds_no_more_terms_than_said() -> None:
    layer = nn.ConvTranspose2d(4, 6, 3, bias=False)
    graph = graph_of(layer, 1, 4, 8, 8)
    with torch.no_grad():
        layer.weight.fill_(1.0)
        assert layer(torch.ones(1, 4, 8, 8)).max() <= most_terms(graph)


def test_matrix_products_and_sums() -> None:
    graph = capture_model(lambda x: (x @ x.T).sum(), (torch.randn(3, 11),)).graph
    assert sorted(terms(node, graph.shapes) for node in graph)[-2:] == [9, 12]
