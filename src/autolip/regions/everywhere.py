"""All inputs: the global constant."""

from dataclasses import dataclass

import torch
from torch import Tensor

from autolip.intervals import Interval
from autolip.regions.region import Region, region


@region("everywhere")
@dataclass(frozen=True)
class Everywhere(Region):
    """All of R^n: the global constant."""

    def interval(self, shape: torch.Size) -> Interval:
        return Interval.everywhere(shape)

    def contains(self, x: Tensor) -> bool:
        return bool(x.isfinite().all())

    def project(self, x: Tensor) -> Tensor:
        return x

    def sample(self, count: int, example: Tensor, generator: torch.Generator) -> Tensor:
        """Around the example: half near it, half at several times its scale."""
        noise = torch.randn((count, *example.shape), generator=generator, dtype=torch.float64)
        scale = example.double().abs().max().clamp(min=1.0)
        spread = scale * torch.logspace(-2, 1, count, dtype=torch.float64)
        return example.double() + noise * spread.view(-1, *[1] * example.dim())

    def within(self, part: Region) -> Region:
        """That part."""
        return part

    def describe(self) -> dict[str, object]:
        return {"kind": "everywhere"}

    @classmethod
    def examples(cls) -> tuple[Region, ...]:
        return (cls(),)
