"""What is eliminated first changes the cost of a proof, not what it proves."""

from functools import cache

import numpy as np
import pytest
import torch
from scipy import linalg
from torch import Tensor, nn

from autolip.errors import Refusal
from autolip.graph.views import SlopeGraph
from autolip.methods.lipsdp.elimination import LARGEST_GROUP
from autolip.methods.lipsdp.proof import Proved, holds, least_factor, prove_form
from autolip.methods.lipsdp.quadratic_form import Form, form_of, layout, size_of
from autolip.methods.lipsdp.statement import Statement, nonlinear
from autolip.norms import Norm
from tests.methods.lipsdp.conftest import mlp, pose, stated


class Residual(nn.Module):
    """A convolution, its pooled maxima, and a convolution around which they go."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.a, self.b, self.c = (
            nn.Conv2d(1, 3, 3, 2, 1),
            nn.Conv2d(3, 3, 3, padding=1),
            nn.Linear(12, 2),
        )
        self.activation, self.pool = activation, nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.pool(self.activation(self.a(x)))
        return self.c((y + self.activation(self.b(y))).flatten(1))


@cache
def graph(name: str) -> SlopeGraph:
    torch.manual_seed(0)
    if name == "dense":
        return stated(pose(mlp(5, 9, 8, 7, 3), (1, 5)))
    activation = {"relu": nn.ReLU(), "leaky": nn.LeakyReLU(0.2), "gelu": nn.GELU()}[name]
    return stated(pose(Residual(activation).double().eval(), (1, 1, 8, 8)))


def network(name: str, seed: int) -> Statement:
    """With multipliers that grow towards the input, with noise."""
    generator, size, lam = torch.Generator().manual_seed(seed), 1.0, dict[str, Tensor]()
    for vertex in reversed(list(nonlinear(graph(name)))):
        size *= 6.0
        lam[vertex.name] = size * torch.exp(
            torch.randn(vertex.shape, generator=generator, dtype=torch.float64) * 0.3
        )
    return Statement(graph(name), Norm.L2, Norm.L2, lam, None, size**0.5)


def least(form: Form) -> float:
    """The least tau for which H + tau diag(weights) >= 0, by the dense matrix."""
    matrix, free = form.matrix.toarray(), form.matrix.shape[0] - form.inputs
    cross, root = matrix[:free, free:], form.weights.numpy() ** 0.5
    schur = (
        cross.T @ linalg.solve(matrix[:free, :free], cross, assume_a="pos") - matrix[free:, free:]
    )
    return float(np.linalg.eigvalsh(schur / root / root[:, None])[-1])


@pytest.mark.parametrize("name", ["dense", "relu", "leaky", "gelu"])
def test_what_is_proved_is_what_the_dense_matrix_shows(name: str) -> None:
    for seed in range(3):
        made = network(name, seed)
        form = form_of(made)
        assert isinstance(form, Form)
        exact, found, proved = least(form), least_factor(form), prove_form(made)
        assert found == pytest.approx(exact, rel=1e-9)
        assert isinstance(proved, Proved) and exact <= proved.bound.value**2 <= exact * (1 + 1e-7)
        assert not holds(form, exact * (1 - 1e-9)) and holds(form, exact * (1 + 1e-7))


@pytest.mark.parametrize("name", ["dense", "relu", "leaky"])
def test_h_without_t_is_the_form_by_hand(name: str) -> None:
    """The least over t, at random x and z, is value^2 |x|^2 + ... - |y|^2 of `statement`, here by
    passes."""
    made = network(name, 5)
    form, plan = form_of(made), layout(made.graph)
    assert isinstance(form, Form) and not isinstance(plan, Refusal)
    matrix, scale = form.matrix.toarray(), scales(made, plan.places)
    generator = torch.Generator().manual_seed(0)
    free = {
        k: torch.randn(plan.graph[k or plan.graph.output].shape, generator=generator).double()
        for k in plan.places
    }
    values = {k: v for k, v in free.items() if k}
    by_hand = torch.zeros((), dtype=torch.float64)
    for vertex in plan.graph:
        if vertex.name not in values:
            terms = [e.slope.operator.mv(values[e.source][None])[0] for e in vertex.edges]  # type: ignore[union-attr]
            values[vertex.name] = sum(terms)  # type: ignore[assignment]
        elif vertex.edges:
            v, z, slope = values[vertex.edges[0].source], values[vertex.name], vertex.edges[0].slope
            by_hand -= (
                made.multipliers[vertex.name] * (z - slope.lo * v) * (slope.hi * v - z)
            ).sum()  # type: ignore[union-attr]
    y = values[plan.graph.output]
    free[""] = y
    point = torch.cat([free[k].flatten() for k in plan.places]).numpy() / scale
    assert point @ matrix @ point == pytest.approx((by_hand - (y * y).sum()).item(), rel=1e-9)


def scales(made: Statement, places: dict[str, slice]) -> np.ndarray:
    """What a variable of H is multiplied by: the power of two near 1 / sqrt of its weight."""
    sizes = {name: made.multipliers.get(name, torch.ones(())) for name in places}
    sizes[made.graph.input] = torch.tensor(made.value**2)
    full = [
        sizes[k].broadcast_to(made.graph[k].shape).flatten() if k else torch.ones(p.stop - p.start)
        for k, p in places.items()
    ]
    return torch.exp2(-(torch.log2(torch.cat(full).double()) / 2).round()).numpy()


def test_layers_are_eliminated_as_long_as_their_groups_are_small() -> None:
    """All of a convolution's windows, so that the input and t remain; of dense layers every second
    one."""
    pooled = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * 49, 3)
    )
    assert size_of(stated(pose(pooled.double().eval(), (1, 1, 16, 16)))) == 256 + 3
    width = LARGEST_GROUP // 2 + 1
    assert size_of(stated(pose(mlp(4, width, width, width, 2), (1, 4)))) == 4 + width + 2


def test_a_layer_that_is_coupled_is_not_eliminated_blindly() -> None:
    """Of a matrix that couples two blocks nothing is proved."""
    form = form_of(network("dense", 0))
    assert isinstance(form, Form) and form.complement(form.diagonal + 10) is not None
    first, *_ = form.blocks.eliminated
    kept = form.blocks.kept[form.blocks.kept != first[0]]
    split = type(form.blocks)((first[:1], first[1:], kept[:1]), kept[1:])
    assert split.complement(form.matrix, form.diagonal.numpy() + 10) is None
