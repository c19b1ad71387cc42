"""What cancels along wiring is found, and nothing else.

Covers autolip.graph.cancelled.
"""

import torch

from autolip import Ball, Everywhere, Norm
from autolip.capture.torch.export import Capture, capture_model
from autolip.graph.cancelled import cancelled
from autolip.graph.fixed import without_fixed
from autolip.graph.views import SlopeGraph
from autolip.methods import Problem
from autolip.operators.norms import NormOptions
from autolip.slopes import Between

CENTRE = torch.tensor([[0.0, 3.0, 0.3, 1.0]], dtype=torch.float64)


class Shared(torch.nn.Module):
    """Windows that overlap in their largest member, x_1, above a layer that rounds."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = torch.maximum(x[:, 0] * 0.7, x[:, 1] * 0.7)
        b = torch.maximum(x[:, 1] * 0.7, x[:, 2] * 0.7)
        return torch.maximum(a, b * self.scale)


def lowered(model: torch.nn.Module, radius: float) -> SlopeGraph:
    capture: Capture = capture_model(model.double().eval(), (CENTRE,))
    region = Ball(CENTRE, radius)
    return Problem.pose(capture.graph, region, Norm.L2, Norm.L2, NormOptions(seed=0)).lowered


def bent(graph: SlopeGraph) -> int:
    """Entries with more than one slope."""
    return sum(
        int((edge.slope.lo < edge.slope.hi).sum())
        for vertex in without_fixed(graph)
        for edge in vertex.edges
        if isinstance(edge.slope, Between)
    )


def test_a_maximum_compared_with_itself_does_not_bend() -> None:
    assert bent(lowered(Shared(), 0.1)) == 0


def test_what_differs_by_a_rounding_of_a_weight_bends() -> None:
    """The operand moves, if by 1e-16 alone: it is no constant."""
    assert bent(lowered(Shared(1 + 2.0**-52), 0.1)) == 1


def test_nothing_cancels_where_the_winner_is_open() -> None:
    assert bent(lowered(Shared(), 10.0)) == 3


def test_what_arrives_at_the_input_or_at_a_neuron_is_no_constant() -> None:
    def differences(x: torch.Tensor) -> torch.Tensor:
        h = torch.relu(x)
        return torch.cat([x[:, :2] - x[:, 1:3], h[:, :1] - x[:, :1] + x[:, :1], x - x], 1)

    capture = capture_model(differences, (CENTRE,))
    graph = Problem.pose(capture.graph, Everywhere(), Norm.L2, Norm.L2, NormOptions()).slopes
    suspects = torch.ones(graph[graph.output].shape, dtype=torch.bool)
    nil = cancelled(graph.vertices, graph.output, suspects)
    assert nil.tolist() == [[False, False, False, True, True, True, True]]
