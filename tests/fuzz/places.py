"""Where inputs may lie, in the fuzz's own terms: points of a region, and whether a point is in
it."""

import random
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
import torch
from torch import Tensor

INSIDE = 1 - 2.0**-20
"""Points are moved this much towards the centre, so that steps in all directions stay in the
region."""


@dataclass(frozen=True)
class Place:
    """Everywhere ("everywhere"), the box lo <= x <= hi ("box"), or a ball about the centre ("l2",
    "linf")."""

    kind: str
    lo: Tensor
    hi: Tensor
    centre: Tensor
    radius: float

    @staticmethod
    def everywhere(shape: tuple[int, ...]) -> "Place":
        zero = torch.zeros(shape, dtype=torch.float64)
        return Place("everywhere", zero, zero, zero, 0.0)

    @staticmethod
    def box(lo: Tensor, hi: Tensor) -> "Place":
        return Place("box", lo, hi, (lo + hi) / 2, 0.0)

    @staticmethod
    def ball(kind: str, centre: Tensor, radius: float) -> "Place":
        return Place(kind, centre - radius, centre + radius, centre, radius)

    @staticmethod
    def draw(rng: random.Random, shape: tuple[int, ...]) -> "Place":
        generator = torch.Generator().manual_seed(rng.randrange(2**31))
        centre = torch.randn(shape, generator=generator).double() * rng.choice(
            [0.0, 1.0, 1.0, 10.0]
        )
        width = torch.rand(shape, generator=generator).double() * rng.choice([1e-3, 0.1, 1.0, 5.0])
        kind = rng.choice(["everywhere", "everywhere", "box", "box", "l2", "linf"])
        if kind == "everywhere":
            return Place.everywhere(shape)
        if kind != "box":
            return Place.ball(kind, centre, rng.choice([0.0, 1e-6, 0.01, 0.3, 2.0, 30.0]))
        form = rng.random()
        if form < 0.15:
            width[torch.rand(shape, generator=generator) < 0.5] = 0.0
        elif form < 0.3:
            return Place.box(torch.zeros_like(width), width)
        elif form < 0.4:
            return Place.box(-width, torch.zeros_like(width))
        return Place.box(centre, centre + width)

    @property
    def free(self) -> Tensor:
        """Which entries may vary."""
        return (
            self.lo < self.hi
            if self.kind != "everywhere"
            else torch.ones(self.lo.shape, dtype=torch.bool)
        )

    def points(self, count: int, generator: torch.Generator) -> Tensor:
        """Random points strictly inside, near the corners among them."""
        shape = (count, *self.lo.shape)
        noise = torch.randn(shape, generator=generator, dtype=torch.float64)
        if self.kind == "everywhere":
            scale = 10 ** (torch.rand(count, generator=generator, dtype=torch.float64) * 5 - 2)
            return noise * scale.view(-1, *[1] * self.lo.dim())
        unit = 2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1
        unit[::4] = unit[::4].sign()
        offset = unit * (self.hi - self.lo) / 2
        if self.kind == "l2":
            length = noise.reshape(count, -1).norm(dim=1)
            reach = torch.rand(count, generator=generator, dtype=torch.float64) ** 0.3
            offset = noise * (self.radius * reach / length).view(-1, *[1] * self.lo.dim())
        return self.centre + INSIDE * offset

    def holds(self, x: np.ndarray) -> bool:
        """Whether a point, given to many digits, lies in the region."""
        if self.kind == "everywhere":
            return True
        flat, ends = (
            x.reshape(-1),
            zip(self.lo.flatten().tolist(), self.hi.flatten().tolist(), strict=True),
        )
        if self.kind == "box":
            return all(lo <= value <= hi for value, (lo, hi) in zip(flat, ends, strict=True))
        offsets = [
            value - centre
            for value, centre in zip(flat, self.centre.flatten().tolist(), strict=True)
        ]
        length: Any = mpmath.norm(offsets, 2 if self.kind == "l2" else mpmath.inf)
        return bool(length <= self.radius)

    def code(self) -> str:
        """The region as an expression with autolip's names."""
        tensor = lambda x: f"torch.tensor({x.tolist()}, dtype=torch.float64)"  # noqa: E731
        if self.kind == "everywhere":
            return "autolip.Everywhere()"
        if self.kind == "box":
            return f"autolip.Box({tensor(self.lo)}, {tensor(self.hi)})"
        return f"autolip.Ball({tensor(self.centre)}, {self.radius!r}, autolip.Norm({self.kind!r}))"
