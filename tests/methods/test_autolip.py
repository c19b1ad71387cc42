"""AutoLip: the product along chains, sums over operands, changes of norm, infinite culprits."""

import math

import pytest
import torch
from torch import Tensor, nn

from autolip import Box, lipschitz
from autolip.methods import AutoLip


def upper(model: object, x: Tensor, **options: object) -> float:
    bound = lipschitz(model, (x,), lower=(), **options).upper  # type: ignore[arg-type]
    assert bound is not None
    return bound.value


def chain() -> nn.Sequential:
    torch.manual_seed(0)
    return (
        nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 4), nn.Tanh(), nn.Linear(4, 3))
        .double()
        .eval()
    )


def product(model: nn.Sequential, order: float) -> float:
    return math.prod(torch.linalg.matrix_norm(layer.weight, order).item() for layer in model[::2])


@pytest.mark.parametrize(("norm", "order"), [("l2", 2), ("l1", 1), ("linf", math.inf)])
@pytest.mark.parametrize("fuse", [True, False])
def test_a_chain_gives_the_product_of_norms(norm: str, order: float, fuse: bool) -> None:
    model = chain()
    value = upper(model, torch.zeros(1, 5).double(), norm=norm, method=AutoLip(fuse=fuse))
    assert product(model, order) <= value <= product(model, order) * (1 + 1e-8)


def test_operands_add_up() -> None:
    assert upper(lambda x: torch.relu(x) + 2 * torch.tanh(x), torch.zeros(3)) == pytest.approx(3)


def test_affine_subgraphs_are_one_map() -> None:
    model = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 2)).double().eval()
    exact = torch.linalg.matrix_norm(model[2].weight @ model[1].weight @ model[0].weight, 2).item()
    x = torch.zeros(1, 6).double()
    assert exact <= upper(model, x) <= exact * (1 + 1e-7)
    assert upper(model, x, method="autolip-raw") > 1.05 * exact


@pytest.mark.parametrize("norm", ["linf:l2", "l1:l2", "l2:linf", "l1:linf", "linf:l1", "l2:l1"])
def test_mixed_norms_of_a_linear_map(norm: str) -> None:
    torch.manual_seed(0)
    model = nn.Linear(6, 4).double().eval()
    value = upper(model, torch.zeros(1, 6).double(), norm=norm)
    p, q = ({"l1": 1.0, "l2": 2.0, "linf": math.inf}[name] for name in norm.split(":"))
    x = torch.randn(5000, 6, dtype=torch.float64)
    x = torch.cat([x, x.sign(), torch.eye(6).double()])
    attained = (
        (torch.linalg.vector_norm(x @ model.weight.T, q, 1) / torch.linalg.vector_norm(x, p, 1))
        .max()
        .item()
    )
    assert attained * (1 - 1e-12) <= value <= 2.5 * attained


def test_products_are_finite_on_a_region_only() -> None:
    square = lambda x: x * x  # noqa: E731
    x = torch.full((1, 2), 2.0)
    result = lipschitz(square, (x,), lower=())
    assert result.upper is not None and result.upper.value == math.inf
    assert "infinite through aten.mul" in result.upper.notes[0]
    assert upper(square, x, region=Box(x - 1, x + 1)) == pytest.approx(6)


def test_components_and_differences() -> None:
    model = nn.Linear(3, 4).double().eval()
    x = torch.zeros(1, 3).double()
    w = model.weight
    assert upper(model, x, output="2") == pytest.approx(w[2].norm().item(), rel=1e-8)
    assert upper(model, x, output="0-3") == pytest.approx((w[0] - w[3]).norm().item(), rel=1e-8)
    pairs = lipschitz(model, (x,), output="pairs", lower=()).pairs
    assert len(pairs) == 6
    for pair in pairs:
        assert pair.upper is not None
        assert pair.upper.value == pytest.approx((w[pair.i] - w[pair.j]).norm().item(), rel=1e-8)
