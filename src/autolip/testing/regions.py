"""The law of a region: its answers fit each other."""

import json

import torch
from torch import Tensor

from autolip.regions import Region
from autolip.testing.violation import LawViolation


def check_region(region: Region, shape: torch.Size, *, seed: int = 0, points: int = 100) -> None:
    """What a region samples and moves inwards it contains; what it contains lies in its interval,
    and is finite.

    Tried at samples, at projections of points near and far from it, and at points beside these.
    Raises LawViolation with the point.
    """
    generator = torch.Generator().manual_seed(seed)
    example = torch.zeros(shape, dtype=torch.float64)
    noise = torch.randn((points, *shape), generator=generator, dtype=torch.float64)
    samples = region.sample(points, example, generator)
    scale = torch.logspace(-3, 6, points, dtype=torch.float64).reshape(-1, *[1] * len(shape))
    inward = region.inward(torch.cat([samples, samples + scale * noise]))
    for x in inward:
        _require(region.contains(x), "what it moves inwards it must contain", x)
    box = region.interval(shape)
    for x in torch.cat(
        [samples, inward, inward + 1e-3 * noise.repeat(2, *[1] * len(shape)), scale * noise]
    ):
        _require(
            not region.contains(x) or box.contains(x),
            "what it contains must lie in its interval",
            x,
        )
    for value in (float("nan"), float("inf")):
        _require(
            not region.contains(torch.full(shape, value)), "only finite points are inputs", value
        )
    described = region.describe()
    _require("kind" in described, "its description must have a kind", described)
    json.dumps(described, allow_nan=False)


def _require(holds: bool, law: str, counterexample: Tensor | object) -> None:
    if not holds:
        raise LawViolation(f"{law}: {counterexample}")
