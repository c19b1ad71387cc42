"""LipSDP against exact constants, its own relaxation, AutoLip and badly scaled networks."""

import pytest
import torch
from torch import Tensor, nn

from autolip.budget import Budget
from autolip.errors import Refusal
from autolip.methods import AutoLip, LipSDP
from autolip.methods.method import Bound, Problem
from autolip.regions import Ball
from autolip.values import Certainty, Upper
from tests.methods.lipsdp.conftest import mlp, patterns, pose


def value(problem: Problem, **options: float) -> float:
    bound = LipSDP(**options).bound(problem)  # type: ignore[arg-type]
    assert isinstance(bound, Bound) and isinstance(bound.value, Upper), bound
    assert bound.value.certainty is Certainty.PROVED
    return bound.value.value


def weights(model: nn.Sequential) -> list[Tensor]:
    return [layer.weight.detach() for layer in model if isinstance(layer, nn.Linear)]


@pytest.mark.parametrize("seed", range(6))
def test_between_the_worst_activation_pattern_and_autolip(seed: int) -> None:
    model = mlp(3, 4, 4, 2, seed=seed)
    problem = pose(model, (1, 3))
    product = AutoLip().bound(problem)
    assert isinstance(product, Bound) and isinstance(product.value, Upper)
    assert patterns(weights(model)) <= value(problem) < 0.9 * product.value.value


def test_without_time_the_bound_is_that_of_autolip_and_says_so() -> None:
    problem = pose(mlp(3, 40, 40, 2), (1, 3))
    late = problem.with_budget(Budget.of(-10))
    product, found = AutoLip().bound(problem), LipSDP().bound(late)
    assert isinstance(product, Bound) and isinstance(found, Bound)
    assert found.value.value == product.value.value and not found.complete
    assert found.notes[-1].startswith("AutoLip's bound: no time left")
    assert isinstance(LipSDP(solver="cvxpy")._least(Refusal("no optimum"), product), Refusal)


def test_its_own_seconds_are_no_budget_that_ended_early() -> None:
    """Nobody asked for a limit: a slow machine prints AutoLip's bound, says why, and has not
    failed."""
    found = LipSDP(seconds=1e-9).bound(pose(mlp(3, 40, 40, 2), (1, 3)))
    assert isinstance(found, Bound) and found.complete
    assert found.notes[-1].startswith("AutoLip's bound: no time left")


def test_a_worse_bound_gives_way_to_that_of_autolip() -> None:
    """Along matrices of one sign the product may be exact, and a first step is not."""
    problem = pose(mlp(4, 6, 5, 3), (1, 4))
    base, other = AutoLip().bound(problem), Bound(Upper(1e3))
    chosen = LipSDP()._least(other, base)
    assert isinstance(base, Bound) and isinstance(chosen, Bound)
    assert chosen.value == base.value and chosen.proof == base.proof
    assert chosen.notes == ("AutoLip's bound, below the 1000 that was proved",)


def test_one_hidden_neuron_is_exact() -> None:
    """The relaxation of a single neuron is tight: |w2| |w1|."""
    model = mlp(4, 1, 3)
    first, second = weights(model)
    exact = (first.norm() * second.norm()).item()
    assert exact <= value(pose(model, (1, 4)), tolerance=1e-6) <= exact * (1 + 2e-6)


class Residual(nn.Module):
    """x + B relu(A x), then a concatenation."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.a, self.b, self.c = (nn.Linear(n, m).double() for n, m in ((4, 6), (6, 4), (8, 3)))

    def forward(self, x: Tensor) -> Tensor:
        y = x + self.b(torch.relu(self.a(x)))
        return self.c(torch.cat([y, nn.functional.leaky_relu(y, 0.2)], 1))


CASES = {
    "residual": (Residual(), (1, 4)),
    "conv": (
        nn.Sequential(
            nn.Conv2d(1, 3, 3, 2, 1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 3)
        ).double(),
        (1, 1, 8, 8),
    ),
    "shrinking slopes": (mlp(3, 6, 5, 3, activation=nn.LeakyReLU(-0.3)), (1, 3)),
    "gelu": (mlp(3, 6, 5, 3, activation=nn.GELU()), (1, 3)),
}


def attained(model: nn.Module, shape: tuple[int, ...], p: float, q: float) -> float:
    torch.manual_seed(0)
    x = torch.randn(2000, *shape[1:], dtype=torch.float64)
    y = x + torch.randn_like(x) * torch.logspace(-3, 1, 2000, dtype=torch.float64).reshape(
        -1, *[1] * (len(shape) - 1)
    )
    rise, run = (model(x) - model(y)).flatten(1), (x - y).flatten(1)
    quotients = torch.linalg.vector_norm(rise, q, dim=1) / torch.linalg.vector_norm(run, p, dim=1)
    return quotients.max().item()


EVERY = [(name, norm) for name in CASES for norm in ("l2", "linf:l2", "linf:l1", "l2:linf")]


@pytest.mark.parametrize(
    ("name", "norm"), [case for case in EVERY if case[0] != "conv" or case[1] in ("l2", "linf:l2")]
)
def test_above_what_is_attained_and_below_autolip(name: str, norm: str) -> None:
    model, shape = CASES[name]
    problem = pose(model, shape, norm)
    product = AutoLip().bound(problem)
    assert isinstance(product, Bound) and isinstance(product.value, Upper)
    p, q = (problem.p.p, problem.q.p)
    assert attained(model, shape, p, q) <= value(problem) <= product.value.value * 0.98


def test_a_ball_where_every_neuron_is_stable_is_exact() -> None:
    model = mlp(3, 5, 4, 2)
    point = torch.tensor([[1.0, 2.0, -0.5]], dtype=torch.float64)
    jacobian = torch.func.jacrev(model)(point).reshape(2, 3).detach()
    exact = torch.linalg.matrix_norm(jacobian, 2).item()
    assert exact <= value(pose(model, (1, 3), region=Ball(point, 1e-6))) <= exact * 1.0001


@pytest.mark.slow
@pytest.mark.parametrize(
    "scales", [(1e6, 1e-6, 1e6), (1e-6, 1e6, 1e-6), (1e-6, 1e-6, 1e-6), (1e6, 1e6, 1e6)]
)
def test_badly_scaled_layers_scale_the_bound(scales: tuple[float, float, float]) -> None:
    model = mlp(4, 8, 7, 3)
    plain = value(pose(model, (1, 4)), tolerance=1e-3)
    for layer, scale in zip(model[::2], scales, strict=True):
        layer.weight.data *= scale  # type: ignore[union-attr, operator]
    factor = scales[0] * scales[1] * scales[2]
    assert value(pose(model, (1, 4)), tolerance=1e-3) == pytest.approx(plain * factor, rel=3e-3)


def test_dead_duplicated_and_disconnected_neurons() -> None:
    model = mlp(4, 8, 7, 3)
    plain = value(pose(model, (1, 4)), tolerance=1e-3)
    first, second, third = (layer for layer in model if isinstance(layer, nn.Linear))
    with torch.no_grad():
        wide = mlp(5, 11, 9, 3)
        a, b, c = (layer for layer in wide if isinstance(layer, nn.Linear))
        for layer in (a, b, c):
            layer.weight.zero_()
        a.weight[:8, :4], a.weight[8, :4], a.weight[9, :4] = first.weight, first.weight[0], 1e3
        b.weight[:7, :8], b.weight[7, 0] = second.weight, 0.0
        b.weight[:7, 8], b.weight[:7, 0] = second.weight[:, 0] / 2, second.weight[:, 0] / 2
        c.weight[:, :7] = third.weight
    assert value(pose(wide, (1, 5)), tolerance=1e-3) == pytest.approx(plain, rel=3e-3)


def test_a_zero_layer_has_the_constant_zero() -> None:
    model = mlp(3, 4, 4, 2)
    model[2].weight.data.zero_()  # type: ignore[union-attr, operator]
    found = LipSDP().bound(pose(model, (1, 3)))
    assert isinstance(found, Refusal) or (
        isinstance(found.value, Upper) and found.value.value <= 1e-6
    )


def test_other_norms_are_refused() -> None:
    assert LipSDP().accepts(pose(mlp(3, 4, 2), (1, 3), "l1")) is not None
    assert LipSDP().accepts(pose(mlp(3, 4, 2), (1, 3), "l2:l1")) is not None
    assert LipSDP().accepts(pose(mlp(3, 4, 1), (1, 3), "l2:l1")) is None


def test_of_an_affine_network_the_norm_is_the_constant() -> None:
    """Nothing is relaxed, and nothing searched for."""
    model = nn.Linear(4, 3).double()
    problem = pose(model, (1, 4))
    exact = torch.linalg.matrix_norm(model.weight, 2).item()
    assert exact <= value(problem, steps=0, seconds=0.0) <= exact * (1 + 1e-9)
