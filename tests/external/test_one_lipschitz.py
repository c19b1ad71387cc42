"""Networks of the libraries whose layers are built to be 1-Lipschitz: deel-torchlip, orthogonium.

Skipped where they are not installed: `pip install deel-torchlip orthogonium`.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from autolip.training import assert_lipschitz

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def _trained_a_little(model: nn.Module, x: Tensor) -> nn.Module:
    """Its normalisers have seen some batches."""
    model.train()
    for _ in range(5):
        model(torch.randn(4, *x.shape[1:]))
    return model.eval()


DEEL: dict[str, tuple[Callable[[Any], list[nn.Module]], tuple[int, ...]]] = {
    "dense": (
        lambda tl: [
            tl.SpectralLinear(16, 32),
            tl.GroupSort2(),
            tl.SpectralLinear(32, 16),
            tl.FullSort(),
            tl.FrobeniusLinear(16, 1),
        ],
        (16,),
    ),
    "halves": (
        lambda tl: [
            tl.SpectralLinear(16, 16),
            tl.MaxMin(),
            tl.SpectralLinear(32, 16),
            tl.GroupSort(4),
            tl.SpectralLinear(16, 4),
        ],
        (16,),
    ),
    "pools": (
        lambda tl: [
            tl.SpectralConv2d(1, 8, (3, 3), padding=1),
            tl.GroupSort2(),
            tl.ScaledL2NormPool2d((2, 2)),
            tl.SpectralConv2d(8, 8, (3, 3), padding=1),
            tl.GroupSort2(),
            tl.ScaledAvgPool2d((2, 2)),
            nn.Flatten(),
            tl.SpectralLinear(32, 2),
        ],
        (1, 8, 8),
    ),
    "pools over all": (
        lambda tl: [
            tl.SpectralConv2d(1, 8, (3, 3), padding=1),
            tl.GroupSort2(),
            tl.ScaledAdaptativeL2NormPool2d((1, 1)),
            nn.Flatten(),
            tl.SpectralLinear(8, 2),
        ],
        (1, 8, 8),
    ),
    "wired": (
        lambda tl: [
            tl.SpectralConv2d(2, 8, (3, 3), padding=1),
            tl.LPReLU(),
            tl.InvertibleDownSampling(2),
            tl.SpectralConv2d(32, 4, (1, 1)),
            nn.Flatten(),
            tl.SpectralLinear(64, 2),
        ],
        (2, 8, 8),
    ),
}


@pytest.mark.parametrize("name", DEEL)
def test_deel_torchlip(name: str) -> None:
    torchlip = pytest.importorskip("deel.torchlip")
    torch.manual_seed(0)
    layers, shape = DEEL[name]
    x = torch.zeros(1, *shape)
    model = _trained_a_little(torchlip.Sequential(*layers(torchlip)), x)
    assert_lipschitz(model, 1.0, x, tol=1e-5, lower=())


def _orthogonium() -> dict[str, tuple[list[nn.Module], tuple[int, ...]]]:
    from orthogonium.layers import custom_activations as curves
    from orthogonium.layers.conv.AOC import AdaptiveOrthoConv2d
    from orthogonium.layers.conv.SLL import SDPBasedLipschitzResBlock
    from orthogonium.layers.linear.ortho_linear import OrthoLinear

    def convolution(channels: int, more: int, **options: Any) -> nn.Module:
        layer: nn.Module = AdaptiveOrthoConv2d(channels, more, 3, padding=1, **options)
        return layer

    return {
        "dense": (
            [OrthoLinear(16, 16), curves.MaxMin(), OrthoLinear(16, 16), curves.Abs()],
            (16,),
        ),
        "soft": ([OrthoLinear(16, 16), curves.SoftHuber(), OrthoLinear(16, 16)], (16,)),
        "around": (
            [
                convolution(3, 8, padding_mode="circular"),
                curves.MaxMin(),
                convolution(8, 16, stride=2, padding_mode="circular"),
                curves.MaxMin(),
                nn.Flatten(),
                OrthoLinear(256, 10),
            ],
            (3, 8, 8),
        ),
        "padded": (
            [convolution(3, 8, padding_mode="zeros"), curves.MaxMin(), nn.Flatten()],
            (3, 8, 8),
        ),
        "residual": (
            [SDPBasedLipschitzResBlock(4, 1), SDPBasedLipschitzResBlock(4, 2), nn.Flatten()],
            (4, 8, 8),
        ),
    }


@pytest.mark.parametrize("name", ["dense", "soft", "around", "padded", "residual"])
def test_orthogonium(name: str) -> None:
    pytest.importorskip("orthogonium")
    torch.manual_seed(0)
    layers, shape = _orthogonium()[name]
    model = nn.Sequential(*layers).eval()
    result = assert_lipschitz(model, 1.0, torch.zeros(1, *shape), tol=1e-5)
    if name in ("dense", "soft"):
        assert result.lower is not None
        assert result.lower.value is not None
        assert result.lower.value >= 1 - 1e-5
