"""Rewrites of a captured graph leave its function as it is."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from autolip import Box, lipschitz
from autolip.capture.torch.export import capture_model
from autolip.graph.evaluate import evaluate

Function = Callable[[Tensor], Tensor]


def parts(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return torch.sigmoid(x[:, :2]), torch.tanh(x[:, 2:4]), torch.sin(x[:, 4:])


def mixture(x: Tensor) -> Tensor:
    z, a, b = parts(x)
    return (1 - z) * b + z * a


def mixture_by_ones(x: Tensor) -> Tensor:
    z, a, b = parts(x)
    return a * z + b * (torch.ones(1, 2) - z)


def another_number(x: Tensor) -> Tensor:
    z, a, b = parts(x)
    return (2 - z) * b + z * a


def another_share(x: Tensor) -> Tensor:
    z, a, b = parts(x)
    return (1 - z) * b + torch.relu(z) * a


def one_share_for_both(x: Tensor) -> Tensor:
    z, a, b = parts(x)
    first = z[:, :1]
    return (1 - first) * b + first * a


def mixed_by_parts(z: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return (1 - z) * b + z * a


def mixed_by_difference(z: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return b + z * (a - b)


@pytest.mark.parametrize(
    ("function", "subtracts"),
    [
        (mixture, True),
        (mixture_by_ones, True),
        (another_number, False),
        (another_share, False),
        (one_share_for_both, False),
    ],
)
def test_mixtures_read_their_share_once(function: Function, subtracts: bool) -> None:
    graph = capture_model(function, (torch.zeros(1, 6, dtype=torch.float64),)).graph
    assert any(node.name.endswith(".apart") for node in graph) == subtracts
    for x in torch.randn(5, 1, 6, dtype=torch.float64):
        assert torch.allclose(evaluate(graph, x), function(x), rtol=0, atol=1e-15)


@pytest.mark.parametrize("mixed", [mixed_by_parts, mixed_by_difference])
def test_states_that_are_mixed_stay_between(mixed: Callable[..., Tensor]) -> None:
    """A gated state, never beyond 1, does not grow from step to step."""

    def states(x: Tensor) -> Tensor:
        h = torch.tanh(x[:, 0])
        for step in range(1, 5):
            h = mixed(torch.sigmoid(x[:, step]), h, torch.tanh(x[:, step]))
        return h * h

    found = lipschitz(states, (1, 5, 3), region=Box(-1, 1), method="autolip", lower=()).upper
    assert found is not None
    assert found.value < 9  # 8.98; where states grow, 12.2
