"""Rewriting for differentiation leaves the function as it is."""

import pytest
import torch
from torch import nn

from autolip import Everywhere, Norm
from autolip.capture.torch.export import capture_model
from autolip.graph.evaluate import evaluate
from autolip.lower import LowerProblem
from autolip.lower.gradients import differentiable, tamed
from autolip.lower.pairs import pulled_back


class Attention(nn.Module):
    def __init__(self, causal: bool) -> None:
        super().__init__()
        self.causal = causal
        self.project = nn.Linear(6, 18)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = (
            part.unflatten(-1, (2, 3)).transpose(1, 2) for part in self.project(x).chunk(3, -1)
        )
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=self.causal)
        return mixed.transpose(1, 2).reshape(x.shape)


def batch_norm(affine: bool) -> nn.Module:
    layer = nn.BatchNorm2d(3, affine=affine)
    layer.running_mean = torch.randn(3)
    layer.running_var = torch.rand(3) + 0.5
    if affine:
        nn.init.normal_(layer.weight)
        nn.init.normal_(layer.bias)
    return nn.Sequential(layer, nn.Flatten(), nn.ReLU())


CASES = {
    "batch norm": (batch_norm(True), (1, 3, 4, 4)),
    "batch norm without weights": (batch_norm(False), (1, 3, 4, 4)),
    "batch norm of vectors": (nn.BatchNorm1d(5), (1, 5)),
    "attention": (Attention(False), (1, 4, 6)),
    "causal attention": (Attention(True), (1, 4, 6)),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_same_function_and_mappable(case: str, capfd: pytest.CaptureFixture[str]) -> None:
    model, shape = CASES[case]
    capture = capture_model(model.eval(), (torch.randn(shape),))
    graph = differentiable(capture.graph)
    x = torch.randn(4, *shape, dtype=torch.float64)
    mapped = torch.vmap(lambda one: evaluate(graph, one))(x)
    for one, value in zip(x, mapped, strict=True):
        torch.testing.assert_close(value, evaluate(capture.graph, one), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(
            value.flatten(), capture.reference(one).flatten(), rtol=1e-12, atol=1e-12
        )
    assert "batching rule" not in capfd.readouterr().err, "an operation is run one sample at a time"


def test_detach_has_the_derivative_of_the_identity() -> None:
    weight = torch.tensor([[1.0, 2.0], [0.0, 1.0]])
    capture = capture_model(lambda x: weight @ x.detach() + x, (torch.ones(2),))
    graph = differentiable(capture.graph)
    x = torch.ones(2, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda x: evaluate(graph, x), x)
    torch.testing.assert_close(jacobian, weight.double() + torch.eye(2, dtype=torch.float64))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.square().sum(-1).sqrt() + x[..., 0],
        lambda x: torch.where(x > 0, x, torch.exp(-1000 * (x - 1)) - 1).sum(-1),
        lambda x: torch.where(x > 0, x, 1 / x).sum(-1),
    ],
)
def test_a_derivative_that_is_not_finite_spoils_no_other(function) -> None:
    """Three points at 0, which is where a root, an overflow and a quotient have none."""
    capture = capture_model(lambda x: function(x.reshape(2, 2)), (torch.zeros(4),))
    plain = differentiable(capture.graph)
    x = torch.tensor([0.0, 0.0, 3.0, 4.0], dtype=torch.float64)
    free = torch.autograd.functional.jacobian(lambda x: evaluate(tamed(plain), x), x)
    torch.testing.assert_close(evaluate(tamed(plain), x), evaluate(plain, x))
    assert bool(free.isfinite().all())
    expected = torch.autograd.functional.jacobian(function, x[2:])
    torch.testing.assert_close(free[1, 2:], expected)


def test_a_gradient_without_a_branch_that_is_not_taken() -> None:
    """Behind a linear layer one entry that is not a number would spoil the whole gradient."""
    weight = torch.tensor([[1.0, 2.0], [0.5, -1.0]], dtype=torch.float64)
    capture = capture_model(
        lambda x: torch.where(weight @ x > 0, weight @ x, torch.exp(weight @ x) - 1),
        (torch.zeros(2),),
    )
    x = torch.tensor([2000.0, 2000.0], dtype=torch.float64)
    plain = differentiable(capture.graph)
    spoilt, whole = (
        torch.autograd.functional.jacobian(lambda x, g=graph: evaluate(g, x), x)
        for graph in (plain, tamed(plain))
    )
    assert bool(spoilt[0].isnan().any())
    torch.testing.assert_close(whole, weight * torch.tensor([[1.0], [0.0]]))


PLACES = torch.tensor([[0, 1, 2], [2, 0, 1]])
WITHOUT = {
    "heaviside": (lambda x: torch.heaviside(x, torch.tensor([0.5])) + x, 1.0),
    "floor_divide": (lambda x: x // 2 + x, 1.0),
    "number of entries that are not 0": (lambda x: x.norm(p=0, dim=0, keepdim=True) + x, 1.0),
    "scatter": (lambda x: x.reshape(3, 4).relu().scatter(0, PLACES, x.reshape(3, 4)), None),
    "scatter_add": (lambda x: torch.zeros(3, 4).scatter_add(0, PLACES, x.reshape(3, 4)), None),
    "scatter_reduce": (
        lambda x: torch.ones(3, 4).scatter_reduce(0, PLACES, x.reshape(3, 4), "sum"),
        None,
    ),
}
"""Functions with an operation of which PyTorch has no derivative; steps have the derivative 0."""


@pytest.mark.parametrize("case", WITHOUT)
def test_where_pytorch_has_no_derivative(case: str) -> None:
    function, slope = WITHOUT[case]
    problem = LowerProblem.of(
        capture_model(function, (torch.ones(12),)), Everywhere(), Norm.L2, Norm.L2
    )
    x = torch.linspace(0.2, 1.7, 12, dtype=torch.float64)[None]
    u = torch.randn(problem.values(x).shape, dtype=torch.float64)
    found = pulled_back(problem, x, u).flatten()
    if slope is not None:
        torch.testing.assert_close(found, slope * u.flatten())
        return
    moved = problem.values(x + torch.eye(12, dtype=torch.float64)) - problem.values(x)
    torch.testing.assert_close(found, moved.flatten(1) @ u.flatten())
