"""Brackets of networks of the external zoo: known constants and published norms lie inside."""

import pytest
import torch

from autolip import Ball, Norm, lipschitz
from autolip.result import Result

from .zoo_networks import NETWORKS, ZOO

pytestmark = pytest.mark.skipif(not ZOO.is_dir(), reason=f"the external zoo {ZOO} is not here")

EXACT = {"iris": 11.634355134, "wine": 1.74337}
"""Constants known exactly: by enumeration of all linear regions."""


def bracket(name: str, **options: object) -> Result:
    factory, shape = NETWORKS[name]
    model = factory()
    x = torch.rand(shape, generator=torch.Generator().manual_seed(0)).to(
        next(model.parameters()).dtype
    )
    return lipschitz(model, (x,), **options)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("name", EXACT)
def test_known_constants_lie_inside(name: str) -> None:
    result = bracket(name)
    assert result.upper is not None and result.lower is not None
    assert result.lower.value <= EXACT[name] * (1 + 3e-6) and EXACT[name] <= result.upper.value
    assert result.upper.value <= 2 * result.lower.value


@pytest.mark.slow
def test_the_attained_norm_of_a_published_layer() -> None:
    factory, _ = NETWORKS["local_lipschitz_cifar"]
    first = factory().conv1
    result = lipschitz(first.double(), (torch.zeros(1, 3, 32, 32).double(),))
    assert result.upper is not None and result.upper.value >= 3.07629
    assert result.lower is not None and result.lower.value > 3.06428


@pytest.mark.slow
def test_local_is_not_above_global() -> None:
    factory, shape = NETWORKS["cart_pole"]
    x = torch.full(shape, 0.5)
    near = lipschitz(factory(), (x,), region=Ball(x, 0.01, Norm.LINF)).upper
    far = lipschitz(factory(), (x,)).upper
    assert near is not None and far is not None and near.value <= far.value
