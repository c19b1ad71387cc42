"""Bounds up to each vertex: those of the network cut there, between what is attained and AutoLip's
product."""

import math

import pytest
import torch
from torch import nn

from autolip import Ball, lipschitz
from autolip.errors import Refusal
from autolip.layers import stretches
from autolip.lower import Random
from autolip.methods.autolip import gains_of
from autolip.methods.prefixes import bounds_up_to, up_to
from autolip.result import Result
from autolip.values import Upper


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def dense() -> nn.Sequential:
    layers = (nn.Linear(4, 12), nn.ReLU(), nn.Linear(12, 12), nn.ReLU(), nn.Linear(12, 3))
    return nn.Sequential(*layers).eval()


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.head = dense(), nn.Linear(4, 2)
        self.inner.append(nn.Linear(3, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.tanh(x + self.inner(x)))


def found(model: nn.Module, **asked: object) -> Result:
    asked = {"lower": Random(points=200), "region": Ball(torch.zeros(1, 4), 0.7), **asked}
    return lipschitz(model.eval(), torch.zeros(1, 4), **asked)


@pytest.mark.parametrize("norm", ["l2", "linf", "linf:l2", "l1:linf"])
@pytest.mark.parametrize("make", [dense, Residual])
@pytest.mark.parametrize("method", ["auto", "liplt"])
def test_between_what_is_attained_and_the_product(make, norm: str, method: str) -> None:
    result = found(make(), norm=norm, method=method)
    problem = result.problem
    product = gains_of(problem, problem.fused)
    bounds = bounds_up_to(problem, result.upper.method, result.upper.answer)
    assert not isinstance(product, Refusal) and not isinstance(bounds, Refusal)
    assert bounds[problem.fused.output] is result.upper.answer
    attained = stretches(problem, result.lower.witness)
    for name, bound in bounds.items():
        assert attained.get(name, 0.0) <= bound.value * (1 + 1e-12)
        if name != problem.fused.output:
            assert bound.value <= product[name][problem.q].value


def test_they_are_the_bounds_of_the_network_cut_there() -> None:
    model = dense()
    result = found(model, method="lipsdp", output="0-1")
    bounds = bounds_up_to(result.problem, "lipsdp", result.upper.answer)
    inside = [vertex.name for vertex in result.problem.fused if vertex.links][1]
    cut = found(model[:3], method="lipsdp").upper.value
    assert bounds[inside].value == pytest.approx(cut, rel=0.02)
    product = found(model[:3], method="autolip").upper.value
    assert bounds[inside].value < 0.97 * product
    part = up_to(result.problem, inside)
    assert part.graph.output == part.fused.output == inside and part.readouts == ()
    assert len(part.graph.nodes) < len(result.problem.graph.nodes)


def test_what_carries_a_smaller_bound_on_has_one() -> None:
    """A relu passes on what the method says before it."""
    result = found(dense(), method="lipsdp")
    bounds = bounds_up_to(result.problem, "lipsdp")
    product = gains_of(result.problem, result.problem.fused)
    assert not isinstance(product, Refusal) and not isinstance(bounds, Refusal)
    second = [vertex for vertex in result.problem.fused if "relu" in vertex.operation][1]
    (edge,) = second.edges
    assert (
        bounds[second.name].value
        <= bounds[edge.source].value
        < product[edge.source][result.problem.q].value
    )


def test_a_bound_that_was_taken_is_the_last_whatever_it_is() -> None:
    result = found(dense(), method="autolip")
    bounds = bounds_up_to(result.problem, "of somebody's own", Upper(math.inf))
    assert not isinstance(bounds, Refusal)
    assert bounds[result.problem.fused.output].value == math.inf
