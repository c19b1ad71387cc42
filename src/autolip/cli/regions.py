"""Arrays and regions from files: `--center`, `--box`, `--data`, `--fix`."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from autolip.cli.vnnlib import read_box
from autolip.errors import InputError
from autolip.norms import Norm
from autolip.regions import Ball, Box, Region

EXAMPLE = "example"
"""In place of a file for --center: the input that ships with the network."""


def read_region(
    center: str | None, radius: float | None, ball: str, box: Path | None, example: Tensor
) -> Region | None:
    """The ball or box asked for on the command line; None for everywhere.

    Raises InputError for options that contradict each other and files that cannot be read.
    """
    if box is not None and (center is not None or radius is not None):
        raise InputError("--box and --center/--radius are two regions: choose one")
    if box is not None:
        return _box(box)
    if center is None and radius is None:
        return None
    if center is None or radius is None:
        raise InputError("a ball needs both --center and --radius")
    return Ball(example if center == EXAMPLE else read_array(Path(center)), radius, Norm(ball))


def read_array(path: Path) -> Tensor:
    """The numbers in a .npy file; floating ones as they are stored, pickled objects refused."""
    try:
        array = np.load(path, allow_pickle=False)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or 'it is not a .npy file'}") from error
    except (ValueError, EOFError) as error:
        raise InputError(f"{path} is not a .npy file of numbers, or it is damaged: write it with numpy.save") from error
    if not isinstance(array, np.ndarray):
        raise InputError(f"{path} holds several arrays: give a .npy file with one")
    if array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
        raise InputError(f"{path} holds {array.dtype}: give floating-point or whole numbers")
    return torch.from_numpy(np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="))))


def _box(path: Path) -> Box:
    if path.suffix == ".npy":
        ends = read_array(path)
        if ends.dim() < 1 or ends.shape[0] != 2:
            raise InputError(f"{path} has shape {tuple(ends.shape)}: a box is (2, n), lower ends and upper ends")
        return Box(ends[0], ends[1])
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as VNN-LIB text: {getattr(error, 'strerror', error)}") from error
    try:
        lower, upper = read_box(text)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return Box(torch.tensor(lower, dtype=torch.float64), torch.tensor(upper, dtype=torch.float64))
