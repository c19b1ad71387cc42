"""Inputs that are images, as PNG files."""

import struct
import zlib

import torch
from torch import Tensor

SMALLEST = 4
"""Chosen: pixels in each direction below which an input is a list of numbers."""

CHANNELS = {1: 0, 3: 2}
"""Defined by PNG: number of channels -> type of colour."""


def is_image(shape: torch.Size) -> bool:
    """Whether an input of this shape is one image: 1 x ... x channels x height x width, grey or in
    colours."""
    if len(shape) < 3:
        return False
    *leading, channels, height, width = shape
    usable = channels in CHANNELS and min(height, width) >= SMALLEST
    return usable and all(size == 1 for size in leading)


def png(image: Tensor, low: float, high: float) -> bytes:
    """An image of floating-point numbers, `low` black and `high` white (one and the same: grey).

    The format is that of ISO/IEC 15948: a header, the rows deflated, an end.
    """
    channels, height, width = image.shape[-3:]
    scaled = (image - low) / (high - low) if high > low else torch.full_like(image, 0.5)
    bytes_ = (255 * scaled.clamp(0, 1)).round().to(torch.uint8)
    rows = bytes_.reshape(channels, height, width).permute(1, 2, 0).reshape(height, -1)
    raw = b"".join(b"\x00" + bytes(row.tolist()) for row in rows)
    header = struct.pack(">IIBBBBB", width, height, 8, CHANNELS[channels], 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(raw, 9)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum
