"""The Frobenius bound: that of the operators, rounded up, whatever they are made of."""

import math

import pytest
import torch
from torch import Tensor, nn

from autolip import lipschitz
from autolip.methods.frobenius import Frobenius, frobenius_norm
from autolip.operators.algebra import compose
from autolip.operators.convolution import Convolution
from autolip.operators.dense import Dense
from autolip.operators.norms import NormOptions
from autolip.values import Upper


def bound_of(model: nn.Module, x: Tensor) -> float:
    upper = lipschitz(model, (x,), method=Frobenius(), lower=()).upper
    assert upper is not None and upper.certainty == "proved"
    return float(upper.value)


def test_a_chain_gives_the_product_of_frobenius_norms() -> None:
    torch.manual_seed(0)
    model = (
        nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 4), nn.Tanh(), nn.Linear(4, 3))
        .double()
        .eval()
    )
    product = math.prod(
        layer.weight.norm().item() for layer in model if isinstance(layer, nn.Linear)
    )
    assert product <= bound_of(model, torch.zeros(1, 5).double()) <= product * (1 + 1e-12)


def test_a_convolution_counts_at_every_place() -> None:
    """Its whole matrix: the kernel's own Frobenius norm is no bound once kernels overlap."""
    torch.manual_seed(0)
    conv = nn.Conv2d(1, 2, 3, padding=1, bias=False).double().eval()
    conv.weight.data.abs_()
    x = torch.zeros(1, 1, 9, 9).double()
    matrix = torch.func.jacrev(conv)(x).reshape(2 * 81, 81)
    value = bound_of(conv, x)
    assert matrix.norm().item() <= value <= matrix.norm().item() * (1 + 1e-12)
    assert conv.weight.norm() < torch.linalg.matrix_norm(matrix, 2) < value


def composed() -> Convolution | Dense:
    generator = torch.Generator().manual_seed(0)
    return compose(
        *(Dense(torch.randn(6, 6, generator=generator, dtype=torch.float64)) for _ in range(3))
    )  # type: ignore[return-value]


@pytest.mark.parametrize("finite_size", [2048, 1])
def test_compositions_are_formed_or_bounded(finite_size: int) -> None:
    operator = composed()
    exact = operator.matrix().norm().item()
    bound = frobenius_norm(operator, NormOptions(finite_size=finite_size))
    assert isinstance(bound, Upper)
    assert exact <= bound.value
    assert bound.value <= exact * (1 + 1e-9) if finite_size > 1 else bound.value > exact
