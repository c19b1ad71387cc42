"""A tiny data set in MNIST's format, and two tiny networks."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from autolip.regions import Box
from autolip.reproduce.subject import Subject
from tests.reproduce.test_idx import idx


@pytest.fixture
def mnist(tmp_path: Path) -> Callable[..., Path]:
    """A folder with so many random images in the four files, two of them compressed."""

    def write(count: int = 20, side: int = 28) -> Path:
        folder = tmp_path / "tiny"
        folder.mkdir()
        generator = torch.Generator().manual_seed(0)
        for part in ("train", "t10k"):
            images = torch.randint(256, (count, side, side), generator=generator, dtype=torch.uint8)
            labels = torch.arange(count, dtype=torch.uint8) % 10
            (folder / f"{part}-images-idx3-ubyte").write_bytes(idx(images))
            (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))
        return folder

    return write


@pytest.fixture
def subjects() -> list[Subject]:
    """ReLU networks x -> 2 relu(x) and x -> relu(relu(2 x)) on [-1, 1], with constant 2."""
    found = []
    for depth, gains in ((2, (1.0, 2.0)), (3, (2.0, 1.0, 1.0))):
        linear = [nn.Linear(1, 1) for _ in gains]
        for layer, gain in zip(linear, gains, strict=True):
            layer.weight.data, layer.bias.data = torch.full((1, 1), gain), torch.zeros(1)
        model = nn.Sequential(*[m for layer in linear for m in (layer, nn.ReLU())][:-1]).eval()
        one, data = torch.ones(1, 1), torch.linspace(-1, 1, 5)[:, None, None]
        found.append(
            Subject(
                f"{depth} layers",
                depth,
                model,
                torch.zeros(1, 1),
                Box(-one, one),
                data,
                {"loss": 0.5},
            )
        )
    return found
