"""A tiny data set in MNIST's format."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.reproduce.test_idx import idx


@pytest.fixture
def mnist(tmp_path: Path) -> Callable[..., Path]:
    """A folder with so many random images in the four files, one of them compressed."""

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
