"""Graphs: evaluation, pruning, explicit broadcasts, and the fused view.

Covers autolip.graph.evaluate, autolip.graph.passes and autolip.graph.views.
"""

import torch
from torch import nn

from autolip.capture.torch.export import capture_model
from autolip.graph.evaluate import evaluate, evaluate_batch, trace_shapes
from autolip.graph.graph import Graph, Node, Ref
from autolip.graph.passes import explicit_broadcasts
from autolip.graph.views import SlopeGraph, affine_map, fused
from autolip.regions import Everywhere
from autolip.rules import slopes_on
from autolip.slopes import Exact

aten = torch.ops.aten


class Residual(nn.Module):
    """Two affine paths that share their first operation, then a relu and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.head = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.a(x)
        return self.head(torch.relu(y + self.b(y)) + y)


def residual() -> tuple[nn.Module, Graph, torch.Tensor]:
    torch.manual_seed(0)
    model, x = Residual().eval(), torch.randn(1, 6)
    return model, capture_model(model, (x,)).graph, x.double()


def test_evaluation_is_the_model() -> None:
    model, graph, x = residual()
    model.double()
    assert torch.equal(evaluate(graph, x), model(x))
    batch = torch.randn(4, 1, 6, dtype=torch.float64)
    assert torch.allclose(evaluate_batch(graph, batch), torch.stack([model(one) for one in batch]))
    assert trace_shapes(graph)[graph.output] == graph.output_shape == (1, 3)


def test_unused_nodes_are_pruned() -> None:
    used = Node("b", aten.relu.default, (Ref("x"),), torch.Size([2]))
    dead = Node("c", aten.neg.default, (Ref("x"),), torch.Size([2]))
    graph = Graph("x", torch.Size([2]), (used, dead), "b").pruned()
    assert [node.name for node in graph] == ["b"]


def test_broadcast_factors_get_a_node_of_their_own() -> None:
    model = lambda x: x * x.mean(1, keepdim=True)  # noqa: E731
    graph = capture_model(model, (torch.randn(2, 5),)).graph
    product = next(node for node in graph if node.target is aten.mul.Tensor)
    assert all(trace_shapes(graph)[name] == (2, 5) for name in product.operands())
    again = explicit_broadcasts(graph)
    assert again == graph


def slopes(graph: Graph) -> SlopeGraph:
    return slopes_on(graph, Everywhere())


def test_affine_subgraphs_compose_to_the_jacobian() -> None:
    model, graph, _ = residual()
    view = fused(slopes(graph))
    head = view[view.output]
    for edge in head.edges:
        assert isinstance(edge.slope, Exact)
    from_input = next(edge.slope.operator for edge in head.edges if edge.source == graph.input)
    expected = model.head.weight.double() @ model.a.weight.double()
    assert torch.allclose(from_input.matrix(), expected)


def test_shared_affine_paths_are_summed() -> None:
    model, graph, _ = residual()
    relu = next(node for node in graph if node.target is aten.relu.default)
    operator = affine_map(slopes(graph), graph.input, relu.operands()[0])
    a, b = model.a.weight.double(), model.b.weight.double()
    assert torch.allclose(operator.matrix(), a + b @ a)


def test_the_fused_view_keeps_only_what_is_read() -> None:
    _, graph, _ = residual()
    view = fused(slopes(graph))
    assert len(view.vertices) == 4  # input, pre-activation, relu, output
    assert view[view.output].range.shape == (1, 3)
