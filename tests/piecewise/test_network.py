"""A network in matrices is the network."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from autolip.capture.torch.export import capture_model
from autolip.errors import Refusal
from autolip.norms import Norm
from autolip.piecewise.network import network_of
from autolip.piecewise.points import Derivatives
from autolip.regions import Box, Everywhere
from tests.piecewise.drawn import relu_chain, written


class Skips(nn.Module):
    """A residual sum, a concatenation, a maximum."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(11, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.a(x))
        z = nn.functional.leaky_relu(self.b(y), 0.1) + y
        return self.c(torch.cat([torch.maximum(z, y), z, x], 1))


def test_derivatives_are_those_of_the_model() -> None:
    torch.manual_seed(0)
    model = Skips().double().eval()
    network = written(model, 3)
    points = 2 * torch.randn(50, 3, dtype=torch.float64)
    derivatives = Derivatives(network, Norm.L2, Norm.L2)
    found = derivatives.jacobians(derivatives.pattern(points))
    for x, matrix in zip(points, found, strict=True):
        known = torch.func.jacrev(lambda one: model(one.unsqueeze(0))[0])(x)
        assert torch.allclose(matrix, known.detach(), atol=1e-13)


def test_a_chain_of_stored_matrices_is_without_error() -> None:
    network = written(relu_chain(3, 5, 4, 2), 3)
    assert all(x.is_exact for layer in network.layers for x in layer.maps.values())
    assert network.neurons == 9 and network.places == (slice(0, 5), slice(5, 9))


def test_entries_that_do_not_move_are_left_out_of_differences() -> None:
    box = Box([[0.0, 1.0, -1.0]], [[1.0, 1.0, 1.0]])
    network = written(relu_chain(3, 5, 2), 3, box)
    assert network.moving.tolist() == [True, False, True]
    assert network.difference_layers[0][0].value.shape == (5, 2)


def test_a_region_settles_neurons() -> None:
    model = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 1)).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0], [-1.0]]))
        model[0].bias.copy_(torch.tensor([0.5, 5.0]))
    network = written(model.eval(), 1, Box([[0.0]], [[1.0]]))
    assert network.first.tolist() == network.last.tolist() == [1, 1]


def test_what_a_region_decides_is_refused() -> None:
    class Chosen(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.where(x > 0, torch.relu(x) + 1, x)

    x = torch.ones(1, 2, dtype=torch.float64)
    capture = capture_model(Chosen(), (x,))
    refused = network_of(capture.graph, Box(0.5, 1.0), {})
    assert isinstance(refused, Refusal) and "decided by the region" in refused.reason


def test_an_affine_network_is_refused() -> None:
    capture = capture_model(nn.Linear(2, 2).double(), (torch.ones(1, 2, dtype=torch.float64),))
    refused = network_of(capture.graph, Everywhere(), {})
    assert isinstance(refused, Refusal) and "affine" in refused.reason


SELECTED: dict[str, Callable[[Tensor], Tensor]] = {
    "topk": lambda pair: pair.topk(1, 1)[0],
    "kthvalue": lambda pair: pair.kthvalue(2, 1, True)[0],
    "median": lambda pair: torch.cat([pair, 9 + 0 * pair[:, 1:]], 1).median(1, True)[0],
    "gather": lambda pair: pair.gather(1, pair.argmax(1, True)),
}


@pytest.mark.parametrize("name", SELECTED)
def test_what_the_region_selects_has_no_offset(name: str) -> None:
    """The larger of x - 5 and 0 is x - 5 above 5, and -5 is not what it is at 0."""

    def function(x: Tensor) -> Tensor:
        pair = torch.cat([x - 5, torch.zeros_like(x)], 1)
        return torch.relu(1.5 - SELECTED[name](pair))

    graph = capture_model(function, (torch.full((1, 1), 6.5, dtype=torch.float64),)).graph
    refused = network_of(graph, Box([[6.0]], [[7.0]]), {})
    assert isinstance(refused, Refusal) and "decided by the region" in refused.reason
