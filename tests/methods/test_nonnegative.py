"""Networks of one sign: a bound for all, the constant itself where the pattern is reached, and only
then called so.

Covers autolip.operators.norms.nonnegative too.
"""

import itertools
from fractions import Fraction

import pytest
import torch
from torch import Tensor, nn

from autolip.capture.torch.export import capture_model
from autolip.errors import Refusal
from autolip.graph.evaluate import evaluate
from autolip.graph.signs import consistent_signs
from autolip.methods import Bound, Nonnegative, Problem
from autolip.methods.nonnegative import _modulus_of
from autolip.norms import Norm
from autolip.operators import Dense, Operator, compose
from autolip.operators.norms import NormOptions
from autolip.operators.norms.nonnegative import nonnegative_norm, perron
from autolip.regions import Ball, Everywhere, Region
from autolip.values import Upper

PAIRS = list(itertools.product(Norm, Norm))


def posed(
    model: nn.Module,
    x: Tensor,
    p: Norm = Norm.L2,
    q: Norm | None = None,
    region: Region | None = None,
) -> Problem:
    graph = capture_model(model.double().eval(), (x.double(),)).graph
    return Problem.pose(graph, region or Everywhere(), p, q or p, NormOptions())


def answer(problem: Problem) -> tuple[float, bool]:
    """The bound, and whether it is called exact."""
    assert Nonnegative().accepts(problem) is None
    bound = Nonnegative().bound(problem)
    assert isinstance(bound, Bound) and isinstance(bound.value, Upper)
    return bound.value.value, any(note.startswith("exact") for note in bound.notes)


def flipped(*widths: int, seed: int = 0) -> tuple[nn.Sequential, Tensor]:
    """A relu chain with weights of one sign up to flips of inputs and outputs; its constant's
    matrix."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    matrix = torch.eye(widths[0], dtype=torch.float64)
    for number, (m, n) in enumerate(itertools.pairwise(widths)):
        layer = nn.Linear(m, n).double()
        layer.weight.data = torch.rand(n, m, dtype=torch.float64)
        if number == 0:
            layer.weight.data *= torch.tensor([-1.0, 1.0]).repeat(m)[:m]
        if number == len(widths) - 2:
            layer.weight.data *= torch.tensor([1.0, -1.0]).repeat(n)[:n, None]
        matrix = layer.weight.data @ matrix
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1]), matrix


@pytest.mark.slow
@pytest.mark.parametrize("depth", [1, 2, 20, 100])
def test_random_chains_are_exact(depth: int) -> None:
    model, matrix = flipped(4, *[30] * depth, 3)
    found, exact = answer(posed(model, torch.zeros(1, 4)))
    truth = torch.linalg.matrix_norm(matrix, 2).item()
    assert exact and truth * (1 - 1e-12) <= found <= truth * (1 + 1e-7)


def operator_norm_by_corners(matrix: Tensor, p: Norm, q: Norm) -> float:
    """||A||_{p -> q} for A >= 0 up to flips, by its closed forms."""
    a = matrix.abs()
    if p is Norm.LINF:
        return torch.linalg.vector_norm(a.sum(1), q.p).item()
    if q is Norm.L1:
        return torch.linalg.vector_norm(a.sum(0), p.dual.p).item()
    if p is Norm.L1:
        return torch.linalg.vector_norm(a, q.p, dim=0).max().item()
    return (
        torch.linalg.matrix_norm(a, 2).item()
        if q is Norm.L2
        else torch.linalg.vector_norm(a, dim=1).max().item()
    )


@pytest.mark.parametrize(("p", "q"), PAIRS)
def test_every_pair_of_norms(p: Norm, q: Norm) -> None:
    model, matrix = flipped(3, 6, 5, 4)
    found, exact = answer(posed(model, torch.zeros(1, 3), p, q))
    assert exact and found == pytest.approx(operator_norm_by_corners(matrix, p, q), rel=1e-7)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.a(x))
        return self.c(torch.cat([torch.relu(self.b(y)) + y, y], 1))


def test_a_residual_graph_with_concatenation() -> None:
    model = Residual().double()
    for parameter in model.parameters():
        parameter.data = parameter.data.abs()
    problem = posed(model, torch.zeros(1, 3))
    found, exact = answer(problem)
    x = torch.full((1, 3), 100.0, dtype=torch.float64)
    jacobian = torch.func.jacrev(lambda v: evaluate(problem.graph, v).flatten())(x).flatten(1)
    truth = torch.linalg.matrix_norm(jacobian, 2).item()
    assert exact and truth * (1 - 1e-12) <= found <= truth * (1 + 1e-7)


def test_a_pattern_that_is_never_reached_is_not_called_exact() -> None:
    """relu(x) - relu(-x) = x: signs are consistent, the two are never active together, the constant
    is 1, not 2."""
    model = nn.Sequential(nn.Linear(1, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False))
    model[0].weight.data, model[2].weight.data = (
        torch.tensor([[1.0], [-1.0]]),
        torch.tensor([[1.0, -1.0]]),
    )
    found, exact = answer(posed(model, torch.zeros(1, 1)))
    assert found == pytest.approx(2) and not exact


def test_a_region_where_it_is_not_reached() -> None:
    model, _ = flipped(4, 6, 3)
    model[0].bias.data = torch.full((6,), -100.0, dtype=torch.float64)
    x = torch.zeros(1, 4).double()
    assert answer(posed(model, x))[1]
    found, exact = answer(posed(model, x, region=Ball(x, 60.0)))
    assert not exact or found == 0


def test_mixed_signs_have_none() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    problem = posed(model, torch.zeros(1, 4))
    assert consistent_signs(problem.fused) is None
    assert not answer(problem)[1]


def test_signs_make_every_block_non_negative() -> None:
    """Also where the network falls into two parts."""
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.ReLU(), nn.Linear(4, 2, bias=False))
    model[0].weight.data = torch.block_diag(torch.rand(2, 2), -torch.rand(2, 2))
    model[2].weight.data = torch.tensor([[1.0, 2, 0, 0], [0, 0, 3, -1]]) * torch.tensor(
        [1.0, 1, 1, -1]
    )
    problem = posed(model, torch.zeros(1, 4))
    signs = consistent_signs(problem.fused)
    assert signs is not None
    for vertex in problem.fused:
        for edge in vertex.edges:
            if vertex.is_affine:
                block = edge.slope.operator.matrix()  # type: ignore[union-attr]
                flips = signs[vertex.name].flatten()[:, None] * block * signs[edge.source].flatten()
                assert bool((flips >= 0).all()) and bool(((flips != 0) == (block != 0)).all())


def test_max_pools_are_refused() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2))
    assert isinstance(Nonnegative().accepts(posed(model, torch.zeros(1, 1, 6, 6))), Refusal)


@pytest.mark.parametrize("scale", [1e-80, 1.0, 1e80])
def test_perron_is_above_and_close(scale: float) -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = (
        torch.rand(m, n, generator=generator, dtype=torch.float64)
        for m, n in ((700, 600), (600, 650))
    )
    operator: Operator = compose(Dense(a * scale), Dense(b))
    truth = torch.linalg.matrix_norm(a @ b, 2).item() * scale
    found = perron(operator).value
    assert truth * (1 - 1e-13) <= found <= truth * (1 + 1e-9)
    assert nonnegative_norm(operator, Norm.L2, Norm.L2).value == found  # type: ignore[union-attr]


def test_perron_with_parts_that_do_not_meet() -> None:
    """Reducible: a block that is far smaller, and zero rows and columns."""
    a = torch.block_diag(
        torch.rand(3, 3).double() * 1e-6, torch.rand(4, 4).double(), torch.zeros(2, 2).double()
    )
    truth = torch.linalg.matrix_norm(a, 2).item()
    assert truth <= perron(Dense(a)).value <= truth * (1 + 1e-6)
    assert perron(Dense(torch.zeros(3, 3).double())).value == 0


def test_slopes_count_with_the_larger_of_their_ends() -> None:
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.LeakyReLU(-3.0), nn.Linear(1, 1))
    for layer in model[::2]:
        layer.weight.data.fill_(1.0)
    assert 3 <= answer(posed(model, torch.zeros(1, 1)))[0] <= 3 * (1 + 1e-9)


def test_a_product_of_layers_counts_with_the_moduli_of_its_entries() -> None:
    """x_1 - x_2 by two layers: 2 in linf; and the product's own rounding is above."""
    model = nn.Sequential(nn.Linear(2, 1, bias=False), nn.Linear(1, 1, bias=False))
    model[0].weight.data = torch.tensor([[1.0, -1.0]])
    model[1].weight.data = torch.tensor([[1.0]])
    assert 2 <= answer(posed(model, torch.zeros(1, 2), Norm.LINF))[0] <= 2 * (1 + 1e-9)
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 20, 20, generator=generator, dtype=torch.float64)
    found = _modulus_of(compose(Dense(a), Dense(b)))
    assert found is not None
    for above, row in zip(found.matrix().tolist(), a.tolist(), strict=True):
        for value, column in zip(above, b.T.tolist(), strict=True):
            meant = sum(Fraction(x) * Fraction(y) for x, y in zip(row, column, strict=True))
            assert Fraction(value) >= abs(meant)
