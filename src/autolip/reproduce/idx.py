"""IDX files, the format of MNIST and its relatives, plain or compressed by gzip."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from autolip.errors import InputError

BYTES = 0x08
"""Defined by the IDX format: the type code of unsigned bytes, the only one these data sets use."""


def read_idx(path: Path) -> Tensor:
    """The array in an IDX file of bytes, uint8, any shape; `.gz` files are decompressed.

    The format: two zero bytes, a type code, the number of axes, the sizes as big-endian 32-bit
    numbers, the data. Raises InputError for a file that is not this, or not whole.
    """
    content = _content(path)
    if len(content) < 4 or content[:2] != b"\0\0":
        raise InputError(
            f"{path} is not an IDX file: it does not begin with two zero bytes; download it again"
        )
    kind = content[2]
    axes = content[3]
    if kind != BYTES or axes == 0:
        raise InputError(
            f"{path} holds type {kind:#04x} with {axes} axes, not an array of bytes: is it MNIST's?"
        )
    start = 4 + 4 * axes
    if len(content) < start:
        raise InputError(f"{path} ends within its header: it is damaged, download it again")
    shape = struct.unpack(f">{axes}I", content[4:start])
    if len(content) - start != math.prod(shape):
        raise InputError(
            f"{path} holds {len(content) - start} bytes of data for the shape {shape}: it "
            "is damaged, download it again"
        )
    return torch.from_numpy(np.frombuffer(content, np.uint8, offset=start).reshape(shape).copy())


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(
            f"{path} is not a gzip file, or it is damaged: download it again"
        ) from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
