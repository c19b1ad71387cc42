"""Activations in pieces are put together, and only they."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from autolip.capture.torch.export import capture_model
from autolip.graph.composites import recognised, softsign, tanhshrink
from autolip.graph.evaluate import evaluate
from autolip.graph.graph import Graph
from autolip.regions import Everywhere
from autolip.rules import slopes_on
from autolip.slopes import Between

aten = torch.ops.aten


def whole(function: Callable[[Tensor], Tensor]) -> Graph:
    return recognised(capture_model(function, (torch.linspace(-2, 2, 8).reshape(2, 4),)).graph)


PIECES = {
    "softsign": (nn.Softsign(), softsign, (0.0, 1.0)),
    "softsign by hand": (lambda x: x / (1 + torch.abs(x)), softsign, (0.0, 1.0)),
    "tanhshrink": (nn.Tanhshrink(), tanhshrink, (0.0, 1.0)),
    "softshrink": (nn.Softshrink(0.3), aten.softshrink.default, (0.0, 1.0)),
    "hardshrink of 0": (nn.Hardshrink(0.0), aten.hardshrink.default, (1.0, 1.0)),
    "silu by hand": (lambda x: torch.sigmoid(x) * x, aten.silu.default, (-0.09984, 1.09984)),
    "mish by hand": (
        lambda x: x * torch.tanh(nn.functional.softplus(x)),
        aten.mish.default,
        (-0.11253, 1.08850),
    ),
}


@pytest.mark.parametrize("name", PIECES)
def test_an_activation_in_pieces_is_one_node(name: str) -> None:
    function, target, (lo, hi) = PIECES[name]
    graph = whole(function)
    assert [node.target for node in graph] == [target]
    x = torch.linspace(-3, 3, 8, dtype=torch.float64).reshape(2, 4)
    assert torch.allclose(evaluate(graph, x), function(x), rtol=1e-14, atol=1e-15)
    slope = slopes_on(graph, Everywhere()).vertices[-1].edges[0].slope
    assert isinstance(slope, Between)
    assert (slope.lo.min().item(), slope.hi.max().item()) == pytest.approx((lo, hi), abs=1e-5)


NOT_THEM: dict[str, Callable[[Tensor], Tensor]] = {
    "another numerator": lambda x: x.flip(0) / (1 + x.abs()),
    "another number": lambda x: x / (2 + x.abs()),
    "a step": lambda x: torch.sub(x, torch.tanh(x), alpha=2),
    "two gates": lambda x: x * torch.sigmoid(2 * x),
    "a hard softplus": lambda x: x * torch.tanh(nn.functional.softplus(x, beta=2.0)),
    "a level below 0": lambda x: torch.where(x.abs() > -1, x - torch.sign(x) * -1, x * 0),
    "two levels": lambda x: torch.where(x.abs() > 0.5, x - torch.sign(x) * 0.25, x * 0),
}


@pytest.mark.parametrize("name", NOT_THEM)
def test_what_only_resembles_stays_as_it_is(name: str) -> None:
    captured = capture_model(NOT_THEM[name], (torch.linspace(-2, 2, 8).reshape(2, 4),)).graph
    assert recognised(captured) == captured


def test_a_part_that_is_used_elsewhere_stays() -> None:
    def gated(x: Tensor) -> Tensor:
        gate = torch.sigmoid(x)
        return x * gate + gate

    graph = whole(gated)
    assert [node.target for node in graph] == [
        aten.sigmoid.default,
        aten.silu.default,
        aten.add.Tensor,
    ]


def test_a_composite_can_be_differentiated_and_mapped() -> None:
    x = torch.linspace(-3, 3, 7, dtype=torch.float64)
    slopes = torch.vmap(torch.func.grad(softsign))(x)
    assert torch.allclose(slopes, (1 + x.abs()) ** -2)
    assert str(softsign) == "autolip.softsign"
