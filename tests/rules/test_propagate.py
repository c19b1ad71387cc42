"""One pass of the rules: ranges travel, slopes narrow with them, and what has no rule is named."""

import pytest
import torch
from torch import nn

from autolip.capture.torch.export import capture_model
from autolip.errors import UnsupportedOperation
from autolip.graph.graph import Graph
from autolip.intervals import Interval
from autolip.regions import Box, Everywhere
from autolip.rules.propagate import range_of, slopes_on
from autolip.slopes import Between


def captured(model: nn.Module, inputs: int) -> Graph:
    return capture_model(model.double().eval(), [torch.zeros(1, inputs).double()]).graph


def clipped() -> nn.Module:
    """x -> relu(x - 1) relu(-x): the two are never active together."""
    layer = nn.Linear(1, 1)
    layer.weight.data.fill_(1.0)
    layer.bias.data.fill_(-1.0)
    return nn.Sequential(layer, nn.ReLU())


def test_a_region_decides_a_slope() -> None:
    graph = captured(clipped(), 1)
    for lo, hi, slopes in ((-1.0, 0.5, (0, 0)), (1.5, 2.0, (1, 1)), (0.0, 2.0, (0, 1))):
        region = Box(torch.tensor([[lo]]), torch.tensor([[hi]]))
        vertex = slopes_on(graph, region)[graph.output]
        ((slope),) = [edge.slope for edge in vertex.edges]
        assert isinstance(slope, Between)
        assert (slope.lo.item(), slope.hi.item()) == slopes


def test_the_range_of_the_output_is_exact_for_one_neuron() -> None:
    region = Box(torch.tensor([[0.0]]), torch.tensor([[3.0]]))
    found = range_of(captured(clipped(), 1), region)
    assert found.lo.item() == 0.0
    assert 2.0 <= found.hi.item() <= 2.0 + 1e-12


def test_an_interval_that_is_known_meets_the_one_that_the_rules_find() -> None:
    graph = captured(clipped(), 1)
    first = graph.nodes[0].name
    known = {first: Interval.uniform(-5.0, -0.25, (1, 1))}
    vertex = slopes_on(graph, Everywhere(), known)[graph.output]
    (edge,) = vertex.edges
    assert isinstance(edge.slope, Between)
    assert edge.slope.lo.item() == edge.slope.hi.item() == 0.0


def test_an_operation_without_a_rule_is_named_with_its_place() -> None:
    class Odd(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.special.bessel_j0(x)

    with pytest.raises(UnsupportedOperation, match=r"no rule for 1 operation.*\n.*bessel_j0"):
        slopes_on(captured(Odd(), 2), Everywhere())
