"""Every network of the external zoo gets a bracket; known constants lie inside; published figures are reproduced."""

import math

import pytest
import torch

from autolip import Ball, Norm, lipschitz
from autolip.result import Result

from .zoo_networks import NETWORKS, ZOO

pytestmark = pytest.mark.skipif(not ZOO.is_dir(), reason=f"the external zoo {ZOO} is not here")

PRODUCTS = {
    "iris": 17.0820,
    "wine": 5.8616,
    "lipsdp_random": 43.3056,
    "fnn_tanh": 114.106,
    "fnn_sigmoid": 91.856,
    "ai2_fnn": 44.828,
    "mlp_L33_W16": 1.054,
    "mlp_L65_W16": 1.015,
}
"""Published products of norms, to the printed digits (reference tables of the peers)."""

EXACT = {"iris": 11.634355134, "wine": 1.74337}
"""Constants known exactly: by enumeration of all linear regions."""


def bracket(name: str, **options: object) -> Result:
    factory, shape = NETWORKS[name]
    model = factory()
    x = torch.rand(shape, generator=torch.Generator().manual_seed(0)).to(next(model.parameters()).dtype)
    return lipschitz(model, (x,), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NETWORKS)
def test_everything_is_bracketed(name: str) -> None:
    result = bracket(name, time_budget=15.0)
    assert result.upper is not None and result.lower is not None
    assert 0 < result.lower.value <= result.upper.value < math.inf
    if name in PRODUCTS:
        product = next(row.value for row in result.bounds if row.method == "autolip")
        assert product == pytest.approx(PRODUCTS[name], rel=6e-5 if PRODUCTS[name] > 2 else 5e-4)
    if name in EXACT:
        assert result.lower.value <= EXACT[name] * (1 + 3e-6) and EXACT[name] <= result.upper.value


def test_the_product_of_the_lipsdp_example() -> None:
    upper = bracket("lipsdp_mnist", method="autolip", lower=()).upper
    assert upper is not None and upper.certainty == "proved"
    assert 31.50350684 <= upper.value <= 31.503507 * (1 + 1e-6)


def test_published_norms_that_are_too_small_are_exceeded() -> None:
    """Four of six published convolution norms lie below the true norm, and so do the products; ours lies above."""
    names = ("local_lipschitz_cifar", "local_lipschitz_mnist")
    cifar, mnist = (bracket(name, method="autolip", lower=()).upper for name in names)
    assert cifar is not None and cifar.value > 18246.61
    assert mnist is not None and mnist.value > 103820.96


def test_the_attained_norm_of_a_published_layer() -> None:
    factory, _ = NETWORKS["local_lipschitz_cifar"]
    first = factory().conv1
    result = lipschitz(first.double(), (torch.zeros(1, 3, 32, 32).double(),))
    assert result.upper is not None and result.upper.value >= 3.07629
    assert result.lower is not None and result.lower.value > 3.06428


def test_local_is_not_above_global() -> None:
    factory, shape = NETWORKS["cart_pole"]
    x = torch.full(shape, 0.5)
    near = lipschitz(factory(), (x,), region=Ball(x, 0.01, Norm.LINF)).upper
    far = lipschitz(factory(), (x,)).upper
    assert near is not None and far is not None and near.value <= far.value
