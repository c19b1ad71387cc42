"""A region as searches see it that move in units: u where the input is s u.

Nothing that is said about a network rests on its answers: they steer searches, and what these find
is taken back to the user's own numbers, whose region decides.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from autolip.intervals import Interval
from autolip.regions import Box, Region


@dataclass(frozen=True, eq=False)
class InUnits(Region):
    """The points u with s u in a region."""

    own: Region
    scale: Float[Tensor, "*shape"]

    def interval(self, shape: torch.Size) -> Interval:
        box = self.own.interval(shape)
        return Interval(box.lo / self.scale, box.hi / self.scale).widen()

    def contains(self, x: Float[Tensor, "*shape"]) -> bool:
        """Up to rounding."""
        return self.own.contains(x * self.scale)

    def project(self, x: Float[Tensor, "k *shape"]) -> Float[Tensor, "k *shape"]:
        return self.own.project(x * self.scale) / self.scale

    def inward(self, x: Float[Tensor, "k *shape"]) -> Float[Tensor, "k *shape"]:
        """Those of the region."""
        return self.own.inward(x * self.scale) / self.scale

    def sample(self, count: int, example: Tensor, generator: torch.Generator) -> Tensor:
        return self.own.sample(count, example * self.scale, generator) / self.scale

    def describe(self) -> dict[str, object]:
        return self.own.describe()

    def centre(self, shape: torch.Size) -> Float[Tensor, "*shape"] | None:
        """That of the region."""
        centre = self.own.centre(shape)
        return None if centre is None else centre / self.scale

    def settled(self, shape: torch.Size) -> Bool[Tensor, "*shape"]:
        """Those of the region."""
        return self.own.settled(shape)

    def stride(self, shape: torch.Size) -> Float[Tensor, "*shape"]:
        """Those of the region."""
        return self.own.stride(shape) / self.scale

    def within(self, part: Region) -> Region:
        """A box in units is a box."""
        own = Box(part.lo * self.scale, part.hi * self.scale) if isinstance(part, Box) else part
        return InUnits(self.own.within(own), self.scale)
