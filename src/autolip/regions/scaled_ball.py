"""The points within a distance of a centre in a weighted norm: units for every entry."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, assert_never

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from autolip.intervals import Interval
from autolip.norms import Norm
from autolip.regions.ball import LARGEST, LEAST, MARGIN, Ball, below
from autolip.regions.region import Region, fitted, flat, known_or_infinite, lengths, region
from autolip.rounded import Rounded
from autolip.units import checked_units
from autolip.values import Upper


@region("scaled ball")
@dataclass(frozen=True, eq=False)
class ScaledBall(Region):
    """The inputs with ||(x - center) / scale||_norm <= radius (l1, l2 or linf).

    Centre and scale are tensors, arrays, lists, or one number for every entry; the scale is above
    0, and a radius of 1 allows entry i to move by scale_i.
    """

    center: Float[Tensor, "*shape"]
    radius: float
    norm: Norm
    scale: Float[Tensor, "*shape"]

    def __init__(self, center: Any, radius: Any, norm: Any = Norm.L2, scale: Any = 1.0) -> None:
        plain = Ball(center, radius, norm)
        units = checked_units(scale, "the ball's scale")
        own = {"center": plain.center, "radius": plain.radius, "norm": plain.norm, "scale": units}
        for name, value in own.items():
            object.__setattr__(self, name, value)

    @classmethod
    def examples(cls) -> tuple[Region, ...]:
        """Flat and long ones, of one point, small beside the centre, in every norm."""
        numbers = ((0, 0.7, 0.1), (3, 0, 5), (1e6, 1e-9, 3), (-0.1, 2, 1e-20), (0.3, 1e9, 1e20))
        return tuple(cls(c, radius, norm, s) for norm in Norm for c, radius, s in numbers)

    def describe(self) -> dict[str, object]:
        return {
            "kind": "scaled ball",
            "norm": self.norm.value,
            "radius": self.radius,
            "center": self.center.flatten().tolist(),
            "scale": self.scale.flatten().tolist(),
        }

    def centre(self, shape: torch.Size) -> Float[Tensor, "*shape"]:
        """Its centre."""
        return fitted("ball", self.center, shape)

    def shaped(self, shape: torch.Size) -> "ScaledBall":
        return ScaledBall(self.centre(shape), self.radius, self.norm, self._units(shape))

    def _units(self, shape: torch.Size) -> Tensor:
        scale = self.scale if self.scale.numel() != 1 else self.scale.reshape(())
        return fitted("ball's scale", scale, shape)

    @property
    def _plain(self) -> Ball:
        """The ball of the differences in their units."""
        return Ball(0.0, self.radius, self.norm)

    # What bounds it

    def interval(self, shape: torch.Size) -> Interval:
        center, reach = self.centre(shape), self.reach(shape)
        return Interval(center - reach, center + reach).widen()

    def reach(self, shape: torch.Size) -> Float[Tensor, "*shape"]:
        """radius scale_i."""
        product = self.radius * self._units(shape)
        above = product.nextafter(torch.full_like(product, math.inf))
        return above if self.radius else torch.zeros_like(product)

    def support(self, rows: Float[Tensor, "k *shape"]) -> Float[Tensor, " k"]:
        """radius ||scale row||, in the dual norm: attained; infinite for a row that overflowed."""
        units = flat(self._units(rows.shape[1:]).unsqueeze(0))
        forms = (Rounded.exact(flat(rows)) * Rounded.exact(units)).lengths(1, self.norm.dual)
        product = self.radius * forms
        above = product.nextafter(torch.full_like(product, math.inf))
        none = (forms == 0) | (self.radius == 0)
        return torch.where(none, 0.0, known_or_infinite(above))

    def spread(self, norm: Norm, shape: torch.Size) -> Upper:
        """radius max ||scale u||_norm over ||u|| <= 1: the largest unit, or where the norm is less
        strict the length of all units in the norm with 1 / r = 1 / norm - 1 / own."""
        units = self._units(shape).reshape(1, shape.numel())
        power = 1 / norm.p - 1 / self.norm.p
        exponent = {1.0: Norm.L1, 0.5: Norm.L2}.get(power, Norm.LINF)
        return Upper(self.radius) * Upper.at_most(lengths(units, exponent).item())

    def settled(self, shape: torch.Size) -> Bool[Tensor, "*shape"]:
        """All of them where the radius is 0, none otherwise."""
        return torch.full(shape, self.radius == 0)

    def stride(self, shape: torch.Size) -> Float[Tensor, "*shape"]:
        """n^(-1/p) times the radius, in units."""
        return self._plain.stride(shape) * self._units(shape)

    # Its points

    def contains(self, x: Float[Tensor, "*shape"]) -> bool:
        """||(x - center) / scale|| <= radius: by doubles where their rounding leaves no doubt, else
        in fractions."""
        if not bool(x.isfinite().all()):
            return False
        center, units = self.centre(x.shape), self._units(x.shape)
        clear = self._clearly(((x - center).abs() / units).flatten().tolist())
        return self._exactly(x, center, units) if clear is None else clear

    def _clearly(self, sizes: list[float]) -> bool | None:
        """Whether rounded quotients are inside; None where their rounding leaves that in doubt.

        Each is within 3 u of the exact one, or of 0 by less than any double above 0.
        """
        largest = max(sizes, default=0.0)
        if not (LEAST <= self.radius <= LARGEST and largest <= LARGEST):
            return None
        match self.norm:
            case Norm.LINF:
                return below(largest, self.radius)
            case Norm.L1:
                return below(math.fsum(sizes), self.radius)
            case Norm.L2:
                squares = math.fsum(size * size for size in sizes)
                return below(squares, self.radius * self.radius)
            case _:
                assert_never(self.norm)

    def _exactly(self, x: Tensor, center: Tensor, units: Tensor) -> bool:
        rows = zip(*(map(Fraction, y.flatten().tolist()) for y in (x, center, units)), strict=True)
        sizes = [abs(a - c) / s for a, c, s in rows]
        radius = Fraction(self.radius)
        match self.norm:
            case Norm.LINF:
                return max(sizes, default=Fraction(0)) <= radius
            case Norm.L1:
                return sum(sizes, Fraction(0)) <= radius
            case Norm.L2:
                return sum((size * size for size in sizes), Fraction(0)) <= radius * radius
            case _:
                assert_never(self.norm)

    def project(self, x: Float[Tensor, "k *shape"]) -> Float[Tensor, "k *shape"]:
        """The points that are nearest in units."""
        center, units = self.centre(x.shape[1:]), self._units(x.shape[1:])
        return center + self._plain.project((x - center) / units) * units

    def inward(self, x: Float[Tensor, "k *shape"]) -> Float[Tensor, "k *shape"]:
        """A little less far from the centre, then one step towards it: the first is more than the
        products were rounded by, the second than the sum."""
        center = self.centre(x.shape[1:])
        projected = self.project(x)
        nearer = center + (projected - center) * (1 - MARGIN)
        return nearer.nextafter(center.expand_as(nearer))

    def sample(self, count: int, example: Tensor, generator: torch.Generator) -> Tensor:
        center, units = self.centre(example.shape), self._units(example.shape)
        drawn = self._plain.sample(count, torch.zeros_like(example), generator)
        return self.inward(center + drawn * units)
