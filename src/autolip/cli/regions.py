"""Regions from options and files: `--center`, `--box`, `--region`."""

import json
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from autolip.cli.arrays import read_array, scale_of
from autolip.cli.hull import above, below
from autolip.cli.options import EXAMPLE
from autolip.cli.vnnlib import read_box
from autolip.errors import InputError, printable
from autolip.files import read_text
from autolip.norms import Norm
from autolip.regions import Ball, Box, Region, ScaledBall, read

LARGEST_TEXT = 2**26
"""Chosen: bytes of a VNN-LIB file; a box of an image of 224 x 224 takes 12 MiB."""


@dataclass(frozen=True)
class AskedRegion:
    """The region that `region_options` describe, None for everywhere, and what must be said about
    it.

    Where `at_example`, the ball is to be put around the network's own example.
    """

    region: Region | None = None
    at_example: bool = False
    notes: tuple[str, ...] = ()

    def around(self, example: Tensor) -> Region | None:
        """The region, where the network's example is known."""
        if self.at_example and isinstance(self.region, Ball | ScaledBall):
            return replace(self.region, center=example)
        return self.region

    @staticmethod
    def taken(options: dict[str, Any]) -> "AskedRegion":
        """From all of a command's options."""
        names = ("center", "radius", "ball", "box", "region")
        scale = scale_of(options.pop("ball_scale"))
        center, radius, ball, box, region = (options.pop(name) for name in names)
        return read_region(center, radius, ball, box, region, scale=scale)


def read_region(
    center: Path | str | tuple[float, ...] | None,
    radius: float | None,
    ball: str,
    box: Path | tuple[tuple[Decimal, Decimal], ...] | None,
    written: Path | None = None,
    scale: Any = None,
) -> AskedRegion:
    """The region asked for on the command line: a ball, a box, or one of any kind from a file.

    Raises InputError for options that contradict each other and files that cannot be read.
    """
    asked = {
        "--center/--radius": any(one is not None for one in (center, radius, scale)),
        "--box": box is not None,
        "--region": written is not None,
    }
    several = [name for name, given in asked.items() if given]
    if len(several) > 1:
        raise InputError(f"{' and '.join(several)}: choose one region")
    if written is not None:
        return _written(written)
    if isinstance(box, tuple):
        return AskedRegion(_inline_box(box))
    if box is not None:
        return _array_box(box) if box.suffix == ".npy" else _text_box(box)
    if center is None and radius is None and scale is None:
        return AskedRegion()
    if center is None or radius is None:
        raise InputError("a ball needs both --center and --radius")
    at_example = center == EXAMPLE
    around: Any = 0.0
    if isinstance(center, tuple):
        around = center[0] if len(center) == 1 else center
    elif not at_example:
        around = read_array(Path(center))
    norm = Norm(ball)
    plain = Ball(around, radius, norm) if scale is None else None
    return AskedRegion(plain or ScaledBall(around, radius, norm, scale), at_example)


def _inline_box(ends: tuple[tuple[Decimal, Decimal], ...]) -> Box:
    """The box between decimal numbers, which are rounded outward; one pair holds for every
    entry."""
    for low, high in ends:
        if low > high:
            raise InputError(f"--box {low}:{high} is empty: write the lower end first")
    lower = [below(low) for low, _ in ends]
    upper = [above(high) for _, high in ends]
    return Box(lower[0], upper[0]) if len(ends) == 1 else Box(lower, upper)


def _written(path: Path) -> AskedRegion:
    """A region of any kind, by itself or within a result."""
    text = read_text(path, "a region in JSON", LARGEST_TEXT)
    try:
        found = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{_name(path)} is no JSON: {printable(str(error))}") from error
    within = isinstance(found, dict) and isinstance(found.get("region"), dict)
    try:
        return AskedRegion(read(found["region"] if within else found))
    except InputError as error:
        raise InputError(f"{_name(path)}: {printable(str(error))}") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; ValueError where a name comes twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name comes twice")
    return found


def _array_box(path: Path) -> AskedRegion:
    ends = read_array(path)
    if ends.dim() < 1 or ends.shape[0] != 2:
        raise InputError(
            f"{_name(path)} has shape {tuple(ends.shape)}: a box is (2, n), lower ends "
            "and upper ends"
        )
    return AskedRegion(Box(ends[0], ends[1]))


def _text_box(path: Path) -> AskedRegion:
    text = read_text(path, "VNN-LIB text", LARGEST_TEXT)
    try:
        found = read_box(text)
        box = Box(
            torch.tensor(found.lower, dtype=torch.float64),
            torch.tensor(found.upper, dtype=torch.float64),
        )
    except InputError as error:
        raise InputError(f"{_name(path)}: {printable(str(error))}") from error
    note = (
        f"{_name(path)} joins {found.joined} boxes by `or`: the region is the box around all "
        "of them"
    )
    return AskedRegion(box, notes=(note,) if found.joined > 1 else ())


def _name(path: Path) -> str:
    return printable(str(path))
