"""SeqLip and its relatives on every external network: no bound is below what is attained, none
above the product."""

import pytest
import torch

from autolip import lipschitz
from autolip.lower import Ascent
from autolip.methods import SeqLip

from .zoo_networks import NETWORKS, ZOO

pytestmark = [
    pytest.mark.skipif(not ZOO.is_dir(), reason=f"the external zoo {ZOO} is not here"),
    pytest.mark.slow,
]

SMALL = (
    "iris",
    "wine",
    "lipsdp_mnist",
    "lipsdp_random",
    "fnn_tanh",
    "fnn_sigmoid",
    "ai2_fnn",
    "cart_pole",
)
QUICK = (*SMALL, "mlp_L33_W16", "local_lipschitz_mnist")
REST = tuple(name for name in NETWORKS if name not in (*QUICK, "crepe_tiny"))
"""10 to 20 s each; the norms of crepe_tiny's kernels of 64 and 512 taps alone take minutes."""


@pytest.mark.parametrize(
    "name",
    [
        *QUICK,
        *(pytest.param(name, marks=pytest.mark.long) for name in REST),
    ],
)
def test_lower_is_below_every_upper(name: str) -> None:
    factory, shape = NETWORKS[name]
    model = factory()
    x = torch.rand(shape, generator=torch.Generator().manual_seed(0)).to(
        next(model.parameters()).dtype
    )
    methods = [
        "autolip",
        "frobenius",
        "theorem3",
        SeqLip(seconds=1.0),
        SeqLip("relaxed", rank=10, seconds=1.0),
    ]
    result = lipschitz(model, (x,), method=methods, lower=Ascent(seconds=0.1))
    assert result.lower is not None and result.lower.value is not None
    uppers = {
        row.method: row.value
        for row in result.bounds
        if row.kind == "upper" and row.value is not None
    }
    assert {"autolip", "frobenius", "theorem3", "seqlip"} <= set(uppers)
    assert result.lower.value <= min(uppers.values())
    assert (
        max(uppers["seqlip"], uppers["theorem3"])
        <= uppers["autolip"] * (1 + 1e-3)
        <= uppers["frobenius"] * 1.01
    )
