"""What operands are at 0: with the weights, all values of a network; told only where the check
reads the network as it is."""

import torch
from torch import Tensor, nn

from autolip import Ball
from autolip.capture.torch.export import capture_model
from autolip.graph.graph import Graph
from autolip.methods import Problem
from autolip.norms import Norm
from autolip.operators.norms import NormOptions
from autolip.piecewise.at_zero import operands_at_zero


def posed(model: nn.Module, size: int = 3) -> tuple[Graph, Problem]:
    x = torch.zeros(size).double()
    graph = capture_model(model.double().eval(), (x,), 0).graph
    return graph, Problem.pose(graph, Ball(x, 0.5), Norm.L2, Norm.L2, NormOptions())


def test_they_are_the_offsets() -> None:
    """W2 (W1 x + b1) + b2 before the second function, without what the first one gives."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU())
    graph, problem = posed(model)
    found = list(operands_at_zero(graph, problem.slopes).values())
    w, b = (list(model.state_dict().values())[k::2] for k in (0, 1))
    wanted = [w[1] @ b[0] + b[1], w[2].new_zeros(4) + b[2]]
    for constant, value in zip(found, wanted, strict=True):
        assert bool(((constant.value - value).abs() <= constant.error + 1e-15).all())


class Chosen(nn.Module):
    """An operation that a region settles into an affine one with a constant of its own."""

    def forward(self, x: Tensor) -> Tensor:
        y = torch.where(x > 3.0, x, 0.5 * x + 1.5)
        return torch.relu(y - 0.2)


def test_nothing_where_an_operation_is_affine_on_the_region_alone() -> None:
    graph, problem = posed(Chosen())
    assert operands_at_zero(graph, problem.slopes) == {}


def test_nothing_where_a_function_is_not_linear_in_pieces() -> None:
    graph, problem = posed(nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.ReLU()))
    assert operands_at_zero(graph, problem.slopes) == {}


def test_nothing_where_the_graph_goes_another_way() -> None:
    graph, problem = posed(nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2)))
    other, _ = posed(nn.Sequential(nn.ReLU(), nn.Linear(3, 2)))
    assert operands_at_zero(graph, problem.slopes)
    assert operands_at_zero(other, problem.slopes) == {}
