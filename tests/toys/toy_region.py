"""A kind of region that nothing else of the package knows of: a cube with a corner at 0."""

from dataclasses import dataclass

import torch
from torch import Tensor

from autolip.intervals import Interval
from autolip.regions.region import Region, region


@region("toy-cube")
@dataclass(frozen=True)
class ToyCube(Region):
    """The inputs with entries between 0 and `side`."""

    side: float = 1.0

    def interval(self, shape: torch.Size) -> Interval:
        zeros = torch.zeros(shape, dtype=torch.float64)
        return Interval(zeros, zeros + self.side)

    def contains(self, x: Tensor) -> bool:
        return bool(((x >= 0) & (x <= self.side)).all())

    def project(self, x: Tensor) -> Tensor:
        return x.clamp(0.0, self.side)

    def sample(self, count: int, example: Tensor, generator: torch.Generator) -> Tensor:
        unit = torch.rand((count, *example.shape), generator=generator, dtype=torch.float64)
        return self.project(self.side * unit)

    def describe(self) -> dict[str, object]:
        return {"kind": "toy-cube", "side": self.side}

    @classmethod
    def examples(cls) -> tuple[Region, ...]:
        return cls(), cls(0.25)
