"""Where the input may lie: everywhere, in a box, in a ball."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.errors import InputError
from autolip.intervals import Interval
from autolip.norms import Norm


class Region(ABC):
    """A convex set of inputs."""

    @abstractmethod
    def interval(self, shape: torch.Size) -> Interval:
        """The smallest representable box around the region."""

    @abstractmethod
    def project(self, x: Float[Tensor, "k *shape"]) -> Float[Tensor, "k *shape"]:
        """The nearest points of the region (l2)."""

    @abstractmethod
    def sample(self, count: int, example: Tensor, generator: torch.Generator) -> Float[Tensor, "k *shape"]:
        """Random points of the region, shaped like `example`, float64."""

    @abstractmethod
    def describe(self) -> dict[str, object]:
        """Plain data for reports."""

    def check(self, shape: torch.Size) -> None:
        """Raise InputError unless the region's points have this shape."""
        self.interval(shape)


@dataclass(frozen=True)
class Everywhere(Region):
    """All of R^n: the global constant."""

    def interval(self, shape: torch.Size) -> Interval:
        return Interval.everywhere(shape)

    def project(self, x: Tensor) -> Tensor:
        return x

    def sample(self, count: int, example: Tensor, generator: torch.Generator) -> Tensor:
        """Around the example: half near it, half at several times its scale."""
        noise = torch.randn((count, *example.shape), generator=generator, dtype=torch.float64)
        scale = example.double().abs().max().clamp(min=1.0)
        spread = scale * torch.logspace(-2, 1, count, dtype=torch.float64)
        return example.double() + noise * spread.view(-1, *[1] * example.dim())

    def describe(self) -> dict[str, object]:
        return {"kind": "everywhere"}


@dataclass(frozen=True)
class Box(Region):
    """The inputs with lo <= x <= hi, elementwise."""

    lo: Float[Tensor, "*shape"]
    hi: Float[Tensor, "*shape"]

    def __post_init__(self) -> None:
        lo, hi = self.lo.double(), self.hi.double()
        if lo.shape != hi.shape:
            raise InputError(
                f"the box's ends have shapes {tuple(lo.shape)} and {tuple(hi.shape)}: give two of one shape"
            )
        if not (lo.isfinite().all() and hi.isfinite().all()):
            raise InputError("the box has NaN or infinite ends: give finite numbers")
        if (lo > hi).any():
            raise InputError(
                f"the box is empty in {int((lo > hi).sum())} entries: lower ends must not exceed upper ends"
            )
        object.__setattr__(self, "lo", lo)
        object.__setattr__(self, "hi", hi)

    def interval(self, shape: torch.Size) -> Interval:
        _same_shape("box", self.lo.shape, shape)
        return Interval(self.lo.reshape(shape), self.hi.reshape(shape))

    def project(self, x: Tensor) -> Tensor:
        return torch.minimum(torch.maximum(x, self.lo.reshape(x.shape[1:])), self.hi.reshape(x.shape[1:]))

    def sample(self, count: int, example: Tensor, generator: torch.Generator) -> Tensor:
        unit = torch.rand((count, *example.shape), generator=generator, dtype=torch.float64)
        return self.project(self.lo.reshape(example.shape) + unit * (self.hi - self.lo).reshape(example.shape))

    def describe(self) -> dict[str, object]:
        return {"kind": "box", "lo": self.lo.flatten().tolist(), "hi": self.hi.flatten().tolist()}


@dataclass(frozen=True)
class Ball(Region):
    """The inputs with ||x - center||_norm <= radius (l2 or linf)."""

    center: Float[Tensor, "*shape"]
    radius: float
    norm: Norm = Norm.L2

    def __post_init__(self) -> None:
        center = self.center.double()
        if not center.isfinite().all():
            raise InputError("the ball's centre has NaN or infinite entries: give finite numbers")
        if not (math.isfinite(self.radius) and self.radius >= 0):
            raise InputError(f"the ball's radius is {self.radius}: give a finite number >= 0")
        if self.norm is Norm.L1:
            raise InputError("an l1 ball is not supported as a region: use the l2 or linf ball around it")
        object.__setattr__(self, "center", center)

    def interval(self, shape: torch.Size) -> Interval:
        _same_shape("ball", self.center.shape, shape)
        center = self.center.reshape(shape)
        return Interval(center - self.radius, center + self.radius).widen()

    def project(self, x: Tensor) -> Tensor:
        center = self.center.reshape(x.shape[1:])
        if self.norm is Norm.LINF:
            return center + (x - center).clamp(-self.radius, self.radius)
        offset = x - center
        length = Norm.L2.of_rows(offset).clamp(min=1e-300)
        shrink = (self.radius / length).clamp(max=1.0) * (1 - 1e-12)
        return center + offset * shrink.view(-1, *[1] * center.dim())

    def sample(self, count: int, example: Tensor, generator: torch.Generator) -> Tensor:
        noise = torch.randn((count, *example.shape), generator=generator, dtype=torch.float64)
        reach = torch.rand(count, generator=generator, dtype=torch.float64) * 2 * self.radius
        length = self.norm.of_rows(noise)
        step = noise * (reach / length).view(-1, *[1] * example.dim())
        return self.project(self.center.reshape(example.shape) + step)

    def describe(self) -> dict[str, object]:
        return {
            "kind": "ball",
            "norm": self.norm.value,
            "radius": self.radius,
            "center": self.center.flatten().tolist(),
        }


def _same_shape(name: str, given: torch.Size, wanted: torch.Size) -> None:
    if given.numel() != wanted.numel():
        raise InputError(
            f"the {name} has {given.numel()} entries, shape {tuple(given)}; the input has shape {tuple(wanted)}"
        )
