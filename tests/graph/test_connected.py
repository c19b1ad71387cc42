"""Which entries depend on the input and which the output depends on: told by the entries' zeros."""

import torch
from torch import Tensor, nn

from autolip.capture.torch.export import capture_model
from autolip.graph.connected import heard, reached
from autolip.graph.views import SlopeGraph, fused
from autolip.regions import Everywhere
from autolip.rules import slopes_on


def graph_of(first: Tensor, last: Tensor) -> SlopeGraph:
    """x -> last relu(first x)."""
    layers = [nn.Linear(w.shape[1], w.shape[0], bias=False).double() for w in (first, last)]
    for layer, weight in zip(layers, (first, last), strict=True):
        layer.weight.data = weight.double()
    model = nn.Sequential(layers[0], nn.ReLU(), layers[1])
    inputs = (torch.zeros(1, first.shape[1]).double(),)
    return fused(slopes_on(capture_model(model, inputs).graph, Everywhere()))


def test_a_row_of_zeros_is_not_reached_and_a_column_of_zeros_is_not_heard() -> None:
    first = torch.tensor([[1.0, 2.0], [0.0, 0.0], [3.0, 0.0]])
    last = torch.tensor([[1.0, 1.0, 0.0]])
    graph = graph_of(first, last)
    (relu,) = [vertex.name for vertex in graph if vertex.operation == "aten.relu.default"]
    assert reached(graph)[relu].flatten().tolist() == [True, False, True]
    assert heard(graph)[relu].flatten().tolist() == [True, True, False]


def test_what_is_known_of_the_input_and_of_the_output() -> None:
    graph = graph_of(torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0], [0.0]]))
    assert heard(graph)[graph.input].flatten().tolist() == [True, False]
    assert reached(graph)[graph.output].flatten().tolist() == [True, False]
    assert bool(reached(graph)[graph.input].all()) and bool(heard(graph)[graph.output].all())


def test_signs_do_not_cancel_a_connection() -> None:
    """Two paths of opposite sign: the sum may be 0, and yet the entries are connected."""
    graph = graph_of(torch.tensor([[1.0], [1.0]]), torch.tensor([[1.0, -1.0]]))
    assert bool(reached(graph)[graph.output].all())
