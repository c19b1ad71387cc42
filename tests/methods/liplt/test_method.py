"""LipLT: the published formula on chains, never above AutoLip, any graph, matrices and matrix-free
alike.

Covers autolip.methods.liplt.linear_part too.
"""

import itertools

import pytest
import torch
from torch import Tensor, nn

from autolip.budget import UNLIMITED, Budget, Meter
from autolip.capture.torch.export import capture_model
from autolip.methods import AutoLip, Bound, LipLT, Problem
from autolip.methods.liplt.linear_part import (
    DENSE_WORK,
    Centres,
    Matrices,
    MatrixFree,
    matrices_suffice,
)
from autolip.methods.liplt.method import _affordable
from autolip.norms import Norm
from autolip.operators.norms import NormOptions
from autolip.regions import Ball, Everywhere, Region
from autolip.values import Upper


def posed(
    model: nn.Module, x: Tensor, norm: Norm = Norm.L2, region: Region | None = None
) -> Problem:
    graph = capture_model(model.double().eval(), (x.double(),)).graph
    return Problem.pose(graph, region or Everywhere(), norm, norm, NormOptions())


def value(bound: object) -> float:
    assert isinstance(bound, Bound) and isinstance(bound.value, Upper)
    return bound.value.value


def chain(*widths: int, activation: nn.Module, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    layers = [x for m, n in itertools.pairwise(widths) for x in (nn.Linear(m, n), activation)]
    return nn.Sequential(*layers[:-1])


def published(weights: list[Tensor], centre: float, radius: float, order: float) -> float:
    """l_k = ||c^(k-1) W_k ... W_1|| + sum_j r c^(k-j-1) ||W_k ... W_{j+1}|| l_j."""
    levels: list[float] = []
    for k in range(len(weights)):
        product, total = weights[k], 0.0
        for j in range(k - 1, -1, -1):
            total += radius * torch.linalg.matrix_norm(product, order).item() * levels[j]
            product = centre * product @ weights[j]
        levels.append(total + torch.linalg.matrix_norm(product, order).item())
    return levels[-1]


@pytest.mark.parametrize(
    ("activation", "lo", "hi"), [(nn.ReLU(), 0, 1), (nn.LeakyReLU(0.2), 0.2, 1), (nn.Tanh(), 0, 1)]
)
@pytest.mark.parametrize(("norm", "order"), [(Norm.L2, 2), (Norm.LINF, float("inf")), (Norm.L1, 1)])
def test_the_published_formula_on_a_chain(
    activation: nn.Module, lo: float, hi: float, norm: Norm, order: float
) -> None:
    """Stretches that do not start at the input may improve on it where there are three layers or
    more."""
    for widths in ((5, 9, 3), (5, 9, 7, 8, 3)):
        model = chain(*widths, activation=activation)
        weights = [
            layer.weight.detach().double() for layer in model if isinstance(layer, nn.Linear)
        ]
        wanted = published(weights, (lo + hi) / 2, (hi - lo) / 2, order)
        mine = value(LipLT().bound(posed(model, torch.zeros(1, 5), norm)))
        assert mine <= wanted * (1 + 1e-7)
        assert wanted <= mine * (1 + 1e-9) or len(widths) > 3


class Graph(nn.Module):
    """A skip, a concatenation, a max-pool and an average."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.c, self.d = nn.Conv2d(8, 3, 3, padding=1), nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.a(x))
        z = nn.functional.leaky_relu(self.b(y) + y, 0.1)
        w = nn.functional.max_pool2d(torch.relu(self.c(torch.cat([y, z], 1))), 2)
        return self.d(torch.flatten(nn.functional.avg_pool2d(w, 3, 1, 1), 1))


@pytest.mark.parametrize("norm", [Norm.L2, Norm.LINF, Norm.L1])
def test_graphs_are_between_what_is_attained_and_autolip(norm: Norm) -> None:
    torch.manual_seed(3)
    x = torch.randn(1, 2, 4, 4)
    problem = posed(Graph(), x, norm)
    mine, product = value(LipLT().bound(problem)), value(AutoLip().bound(problem))
    assert mine < 0.9 * product
    jacobian = torch.func.jacrev(lambda v: evaluated(problem, v))(x.double()).reshape(5, -1)
    assert torch.linalg.matrix_norm(jacobian, norm.p).item() <= mine


def evaluated(problem: Problem, x: Tensor) -> Tensor:
    from autolip.graph.evaluate import evaluate

    return evaluate(problem.graph, x)


def test_matrices_are_formed_where_the_time_allows() -> None:
    assert _affordable(UNLIMITED) == DENSE_WORK
    limits = [_affordable(Budget.of(seconds)) for seconds in (-1.0, 0.1, 1e6)]
    assert limits[0] == 0.0 < limits[1] < limits[2] == DENSE_WORK


def test_matrices_and_products_agree() -> None:
    torch.manual_seed(4)
    problem = posed(Graph(), torch.zeros(1, 2, 4, 4))
    centres = Centres(problem.separated)
    sinks = [vertex.name for vertex in centres.graph if vertex.is_affine and vertex.edges]
    assert matrices_suffice(centres)
    held = Matrices.of(centres, sinks, [Norm.L2, Norm.L1, Norm.LINF])
    free = MatrixFree(problem, centres, Meter(), float("inf"))
    assert isinstance(held, Matrices)
    for norm in (Norm.L2, Norm.L1, Norm.LINF):
        for sink in sinks:
            for source in (centres.graph.input, *centres.remainders):
                mine, other = (
                    held.norm(source, sink, norm).value,
                    free.norm(source, sink, norm).value,
                )
                assert mine <= other * (1 + 1e-6)
                assert other <= mine * (1 + 1e-6) or norm is not Norm.L2


def test_slopes_that_differ_between_neurons() -> None:
    """On a ball some neurons are stable: their radius is 0, that of others 1/2."""
    model = chain(4, 12, 12, 3, activation=nn.ReLU(), seed=5)
    x = torch.ones(1, 4).double()
    near = posed(model, x, region=Ball(x, 0.3))
    far = posed(model, x)
    radii = [r.uniform for r in Centres(near.separated).remainders.values()]
    assert None in radii
    jacobian = torch.func.jacrev(model)(x).reshape(3, 4)
    assert (
        torch.linalg.matrix_norm(jacobian, 2).item()
        <= value(LipLT().bound(near))
        < value(LipLT().bound(far))
    )


def test_the_budget_of_passes_keeps_a_bound() -> None:
    torch.manual_seed(6)
    problem = posed(Graph(), torch.zeros(1, 2, 4, 4))
    centres = Centres(problem.separated)
    free = MatrixFree(problem, centres, Meter(work=1.0), 0.5)
    sink = problem.fused.output
    exact = (
        MatrixFree(problem, centres, Meter(), float("inf"))
        .norm(centres.graph.input, sink, Norm.L2)
        .value
    )
    assert free.exhausted and exact <= free.norm(centres.graph.input, sink, Norm.L2).value


def test_overlapping_windows_count_with_their_gain() -> None:
    """The middle entry is the maximum of three windows, whose sum has slope 3."""
    model = nn.Sequential(nn.MaxPool1d(3, 1), nn.Linear(3, 1, bias=False))
    model[1].weight.data.fill_(1.0)
    for norm in (Norm.L2, Norm.L1):
        found = value(LipLT().bound(posed(model, torch.zeros(1, 1, 5), norm)))
        assert 3 <= found <= 3 * (1 + 1e-9)


def test_remainders_of_the_last_operation_are_terms_too() -> None:
    """Near a point the bound is the norm of the derivative, whatever comes last."""
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(4, 3), nn.Tanh()), torch.randn(1, 4)
    capture = capture_model(model.eval(), (x,))
    problem = Problem.pose(
        capture.graph, Ball(x.double(), 1e-6), Norm.L2, Norm.L2, NormOptions(seed=0)
    )
    jacobian = torch.func.jacrev(lambda v: evaluated(problem, v))(x.double()).reshape(3, 4)
    exact = torch.linalg.matrix_norm(jacobian, 2).item()
    assert exact <= value(LipLT().bound(problem)) <= exact * (1 + 1e-4)
