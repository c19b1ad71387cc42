"""The rescaled product: valid for any weights on any graph, optimal where the optimum is known.

Covers autolip.methods.scalings too.
"""

import itertools

import pytest
import torch
from torch import Tensor, nn

from autolip.capture.torch.export import capture_model
from autolip.graph.evaluate import evaluate
from autolip.methods import AutoLip, Bound, Nonnegative, Problem, Rescaled, rescaled
from autolip.methods.autolip import walk
from autolip.methods.scalings import Weights, scaled, weighted
from autolip.norms import Norm
from autolip.operators import Convolution, Dense, Geometry, Incidence, Operator, compose
from autolip.operators.norms import NormOptions
from autolip.regions import Everywhere
from autolip.values import Upper


class Pooled(nn.Module):
    """A skip, a max-pool, a softmax that no weights pass through, a linear end."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.c, self.d, self.e = nn.Linear(16, 6), nn.Linear(6, 6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.a(x))
        z = nn.functional.max_pool2d(torch.relu(self.b(y) + y), 2)
        return self.e(torch.softmax(self.d(torch.tanh(self.c(torch.flatten(z, 1)))), 1))


def chain(*widths: int, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    layers = [x for m, n in itertools.pairwise(widths) for x in (nn.Linear(m, n), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def posed(model: nn.Module, x: Tensor, p: Norm = Norm.L2, q: Norm | None = None) -> Problem:
    graph = capture_model(model.double().eval(), (x.double(),)).graph
    return Problem.pose(graph, Everywhere(), p, q or p, NormOptions())


def value(bound: object) -> float:
    assert isinstance(bound, Bound) and isinstance(bound.value, Upper)
    return bound.value.value


def steepest(problem: Problem, x: Tensor, norm: Norm) -> float:
    jacobian = torch.func.jacrev(lambda v: evaluate(problem.graph, v).flatten())(
        x.double()
    ).flatten(1)
    return torch.linalg.matrix_norm(jacobian, norm.p).item()


@pytest.mark.parametrize("norm", [Norm.L2, Norm.L1, Norm.LINF])
@pytest.mark.parametrize("seed", range(4))
def test_any_weights_give_a_bound(norm: Norm, seed: int) -> None:
    torch.manual_seed(2)
    x = torch.randn(1, 2, 4, 4)
    problem = posed(Pooled(), x, norm)
    weights = Weights.of(problem.fused)
    generator = torch.Generator().manual_seed(seed)
    for root, ones in weights.values.items():
        weights.values[root] = torch.exp(
            2 * torch.randn(ones.shape, generator=generator, dtype=torch.float64)
        )
    found = walk(problem, weighted(problem.fused, weights))
    assert len(weights.values) == 3
    assert all(value(found) >= steepest(problem, torch.randn(1, 2, 4, 4), norm) for _ in range(5))


def test_what_weights_pass_through() -> None:
    """Channels through a max-pool, nothing through a softmax, nothing at input and output."""
    problem = posed(Pooled(), torch.zeros(1, 2, 4, 4))
    shapes = [tuple(value.shape) for value in Weights.of(problem.fused).values.values()]
    assert shapes == [(1, 4, 1, 1), (1, 4, 1, 1), (1, 6)]


def test_a_pair_of_neurons_by_hand() -> None:
    """[[4, 0], [0, 1]] then [[1, 0], [0, 4]]: the product is 16, weights (1, 4) and the like make
    it 4."""
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    model[0].weight.data, model[2].weight.data = (
        torch.diag(torch.tensor([4.0, 1])),
        torch.diag(torch.tensor([1, 4.0])),
    )
    problem = posed(model, torch.zeros(1, 2))
    assert value(AutoLip().bound(problem)) == pytest.approx(16)
    assert 4 <= value(Rescaled().bound(problem)) <= 4.1


@pytest.mark.parametrize(
    ("p", "q"), [(Norm.LINF, Norm.LINF), (Norm.L1, Norm.L1), (Norm.LINF, Norm.L1)]
)
def test_the_optimum_for_linf_and_l1(p: Norm, q: Norm) -> None:
    """The weights that |W_K| ... |W_1| prescribes make the product its norm; linf to l1 may do
    better."""
    problem = posed(chain(5, 9, 8, 4), torch.zeros(1, 5), p, q)
    limit = value(Nonnegative().bound(problem))
    mine = value(Rescaled().bound(problem))
    assert mine <= limit * (1 + 1e-12)
    assert limit <= mine * (1 + 1e-12) or (p, q) == (Norm.LINF, Norm.L1)
    corners = (
        torch.cartesian_prod(*[torch.tensor([-1.0, 1.0]).double()] * 5)
        if p is Norm.LINF
        else torch.eye(5).double()
    )
    for _ in range(20):
        jacobian = torch.func.jacrev(lambda v: evaluate(problem.graph, v).flatten())(
            torch.randn(1, 5).double()
        )
        assert (corners @ jacobian.flatten(1).T).norm(q.p, dim=1).max().item() <= mine


def test_descent_improves_on_the_product() -> None:
    problem = posed(chain(6, 20, 20, 20, 3), torch.zeros(1, 6))
    product, mine = value(AutoLip().bound(problem)), value(Rescaled().bound(problem))
    assert steepest(problem, torch.randn(1, 6), Norm.L2) <= mine < 0.9 * product


@pytest.mark.parametrize("gain", [False, True])
def test_norms_of_large_networks_are_found_again_only_where_the_bound_falls(
    gain: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Orthogonal layers cannot be rescaled to advantage; after scaling rows by 1 or 30 and columns
    back they can."""
    monkeypatch.setattr(rescaled, "LARGE", 1.0)
    model = chain(12, 12, 12, 12)
    spread = torch.tensor([1.0, 30.0] * 6).double()
    for layer in model[::2]:
        layer.weight.data = torch.linalg.qr(layer.weight.data)[0]
    if gain:
        model[0].weight.data *= spread[:, None]
        model[2].weight.data /= spread
    problem, walks = posed(model, torch.zeros(1, 12)), []
    honest = rescaled.walk
    monkeypatch.setattr(rescaled, "walk", lambda *given: walks.append(given) or honest(*given))
    assert (
        0.999 < value(Rescaled().bound(problem)) < (3.0 if gain else 1.01)
    )  # of a product of 30, or of 1
    assert len(walks) == (2 if gain else 1)


def test_reciprocals_and_wiring() -> None:
    """diag(a) A diag(b)^-1, weights of channels moved past a flattening."""
    weight = torch.randn(3, 8, dtype=torch.float64)
    flat = compose(Dense(weight), Incidence(lambda x: x.flatten(), (2, 2, 2)))
    before = torch.tensor([3.0, 7.0], dtype=torch.float64).reshape(2, 1, 1)
    after = torch.tensor([1.0, 0.3, 11.0], dtype=torch.float64)
    mine = scaled(flat, after, before)
    wanted = after[:, None] * weight / before.expand(2, 2, 2).flatten()
    torch.testing.assert_close(mine.matrix(), wanted)
    conv = Convolution(torch.randn(3, 2, 3, 3), (2, 4, 4), Geometry((1, 1), (1, 1), (1, 1)))
    turned: Operator = scaled(conv, after.reshape(3, 1, 1), before)
    assert isinstance(turned, Convolution) and turned.relative_error > 0
    assert (
        turned.weight * before.reshape(1, 2, 1, 1) / after.reshape(3, 1, 1, 1) - conv.weight
    ).abs().max() < 1e-15
