"""What is computed once is the same function, whatever was merged."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from autolip.capture.torch.export import capture_model
from autolip.graph.evaluate import evaluate
from autolip.graph.graph import Graph
from autolip.graph.sharing import merged, with_shared_kinks
from autolip.rules.lowering import lowered

aten = torch.ops.aten
ONE_RELU: dict[str, Callable[[Tensor], Tensor]] = {
    "halves": lambda x: torch.cat([F.relu(x), F.relu(-x)], -1),
    "halves, turned first": lambda x: torch.cat([F.relu(-x), F.relu(x), x.abs()], -1),
    "clamped": lambda x: torch.cat([x.clamp(min=0), x.clamp(max=0), torch.neg(-x).abs()], -1),
    "differences": lambda x: F.relu(x[:, :2] - x[:, 2:]) - F.relu(x[:, 2:] - x[:, :2]),
    "differences, turned": lambda x: F.relu(x[:, 2:] - x[:, :2]) * (x[:, :2] - x[:, 2:]).abs(),
    "leaky": lambda x: F.leaky_relu(x, -0.25) + 3 * F.leaky_relu(-x, 2.0),
    "against zeros": lambda x: (
        torch.maximum(x, torch.zeros(4)) * 2 + torch.minimum(torch.zeros(4), x)
    ),
    "pairs": lambda x: torch.cat(
        [torch.maximum(x[:, :2], x[:, 2:]), torch.minimum(x[:, 2:], x[:, :2])], 1
    ),
    "pairs over an axis": lambda x: torch.cat(
        [x.view(-1, 2, 2).max(2)[0], x.view(-1, 2, 2).min(2)[0]], 1
    ),
    "pairs over an axis, all of them": lambda x: torch.cat(
        [x.view(-1, 2, 2).amax(1), x.view(-1, 2, 2).amin(1)], 1
    ),
}
APART: dict[str, Callable[[Tensor], Tensor]] = {
    "other arguments": lambda x: F.relu(x) + F.relu(2 * x),
    "other kinks": lambda x: F.relu(x) + x.clamp(min=1.0) + x.clamp(max=-1.0),
    "slopes whose difference rounds": lambda x: F.relu(x) + F.leaky_relu(-x, 0.01),
    "between two levels": lambda x: F.relu(x) + x.clamp(0.0, 1.0),
}


def _graph(function: Callable[[Tensor], Tensor]) -> Graph:
    return capture_model(function, (torch.randn(1, 4),)).graph


def _relus(graph: Graph) -> int:
    return sum(node.target is aten.relu.default for node in graph)


@pytest.mark.parametrize("name", [*ONE_RELU, *APART])
def test_the_same_function(name: str) -> None:
    graph = _graph((ONE_RELU | APART)[name])
    low = lowered(graph)
    assert low.output == graph.output
    for _ in range(20):
        x = torch.randn(1, 4, dtype=torch.float64)
        assert torch.allclose(evaluate(low, x), evaluate(graph, x), rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", ONE_RELU)
def test_one_relu_is_left(name: str) -> None:
    low = lowered(_graph(ONE_RELU[name]))
    assert _relus(low) == 1
    names = [node.name for node in low]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", APART)
def test_what_differs_stays_apart(name: str) -> None:
    graph = _graph(APART[name])
    assert with_shared_kinks(graph) is graph


def test_equal_operations_are_merged_and_weights_count_by_what_they_are() -> None:
    one, other = torch.ones(4, dtype=torch.float64), torch.ones(4, dtype=torch.float64)
    graph = _graph(lambda x: torch.cat([torch.tanh(x * one), torch.tanh(x * one), x * other], 1))
    tanhs = [node for node in merged(graph) if node.target is aten.tanh.default]
    assert len(tanhs) == 1
    products = [node for node in merged(graph) if node.target is aten.mul.Tensor]
    assert len(products) == 2


def test_nothing_to_merge_is_the_same_graph() -> None:
    graph = _graph(lambda x: torch.tanh(x) + torch.relu(x))
    assert merged(graph) is graph
    assert with_shared_kinks(graph) is graph
