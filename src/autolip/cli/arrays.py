"""Arrays from files: `--point`, `--data`, `--fix`, and the units of entries."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autolip.errors import InputError, printable
from autolip.files import check_readable, read_text

Given = tuple[float, ...] | Path | None
"""Numbers, or a file of them."""

LARGEST = 2**28
"""Chosen: bytes of a file of numbers."""


def read_array(path: Path) -> Tensor:
    """The numbers in a .npy file; floating ones as they are stored, pickled objects refused."""
    check_readable(path)
    try:
        array = np.load(path, allow_pickle=False)
    except (
        Exception
    ) as error:  # a file that says what it is not: each part of NumPy's reader fails in its own way
        raise InputError(
            f"{printable(str(path))} is not a .npy file of numbers, or it is damaged: write it "
            "with numpy.save"
        ) from error
    if not isinstance(array, np.ndarray):
        raise InputError(f"{printable(str(path))} holds several arrays: give a .npy file with one")
    if array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
        raise InputError(
            f"{printable(str(path))} holds {array.dtype}: give floating-point or whole numbers"
        )
    return torch.from_numpy(np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="))))


def read_point(path: Path | None) -> Tensor | None:
    """The point of a file, where one is named."""
    return None if path is None else read_array(path)


def scale_of(given: Given) -> Any:
    """What `lipschitz` takes: a number, numbers, or an array of the file's shape; of an .npz file
    with several arrays one by the name of each input.

    Raises InputError where a file does not hold numbers.
    """
    if not isinstance(given, Path):
        return given[0] if given is not None and len(given) == 1 else given
    suffix = given.suffix.lower()
    if suffix == ".npy":
        return read_array(given)
    return _archived(given) if suffix == ".npz" else _listed(given)


def take_arrays(options: dict[str, Any]) -> None:
    """Read the units, and the matrix of an output, among a command's options."""
    for name in ("input_scale", "output_scale"):
        options[name] = scale_of(options[name])
    options["output"] = output_of(options["output"])


def output_of(given: str | Path) -> Any:
    """What is measured: words, or the matrix of a file."""
    return read_array(given) if isinstance(given, Path) else given


def _archived(path: Path) -> Any:
    check_readable(path)
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except Exception as error:  # each part of NumPy's reader fails in its own way
        raise InputError(
            f"{printable(str(path))} is not an .npz file of numbers: write it with numpy.savez"
        ) from error
    return next(iter(arrays.values())) if len(arrays) == 1 else arrays


def _listed(path: Path) -> list[float]:
    """Numbers separated by commas, blanks and lines."""
    text = read_text(path, "numbers", LARGEST)
    words = re.split(r"[\s,;]+", text.strip())
    try:
        return list(map(float, words))
    except ValueError as error:
        raise InputError(
            f"{printable(str(path))} holds no numbers: write them with commas or lines between, or "
            "give a .npy file"
        ) from error
