"""IDX files: read as numpy would write them, refused in a sentence where they are damaged."""

import gzip
import struct
from pathlib import Path

import pytest
import torch

from autolip.errors import InputError
from autolip.reproduce.idx import read_idx


def idx(values: torch.Tensor) -> bytes:
    """The IDX form of an array of bytes."""
    head = struct.pack(f">HBB{values.dim()}I", 0, 8, values.dim(), *values.shape)
    return head + values.numpy().tobytes()


IMAGES = torch.arange(2 * 3 * 4, dtype=torch.uint8).reshape(2, 3, 4)


@pytest.mark.parametrize(
    "values", [IMAGES, IMAGES.flatten(), IMAGES[:0]], ids=["images", "labels", "empty"]
)
@pytest.mark.parametrize("compressed", [False, True])
def test_what_was_written_is_read(values: torch.Tensor, compressed: bool, tmp_path: Path) -> None:
    path = tmp_path / ("images.gz" if compressed else "images")
    path.write_bytes(gzip.compress(idx(values)) if compressed else idx(values))
    read = read_idx(path)
    assert read.dtype is torch.uint8 and read.shape == values.shape and torch.equal(read, values)


DAMAGED = {
    "empty": (b"", "does not begin with two zero bytes"),
    "another format": (b"\x89PNG\r\n", "does not begin with two zero bytes"),
    "floats": (struct.pack(">HBBI", 0, 0x0D, 1, 1) + b"\0" * 4, "holds type 0x0d with 1 axes"),
    "no axes": (struct.pack(">HBB", 0, 8, 0), "type 0x08 with 0 axes"),
    "half a header": (struct.pack(">HBBI", 0, 8, 3, 2), "ends within its header"),
    "too short": (idx(IMAGES)[:-1], r"holds 23 bytes of data for the shape \(2, 3, 4\)"),
    "too long": (idx(IMAGES) + b"\0", "holds 25 bytes of data"),
    "an enormous shape": (
        struct.pack(">HBB3I", 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1),
        "holds 0 bytes of data",
    ),
}


@pytest.mark.parametrize("content, reason", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_file_is_refused(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "images"
    path.write_bytes(content)
    with pytest.raises(InputError, match=reason):
        read_idx(path)


@pytest.mark.parametrize(
    "content", [b"", b"no gzip", gzip.compress(idx(IMAGES))[:-9]], ids=["empty", "text", "cut"]
)
def test_a_damaged_gzip_file_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "images.gz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"images\.gz is not an? (gzip|IDX) file"):
        read_idx(path)


def test_a_missing_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_idx(tmp_path / "absent")
