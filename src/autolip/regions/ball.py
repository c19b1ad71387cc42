"""The points within a distance of a centre, in l1, l2 or linf."""

import math
import sys
from dataclasses import dataclass
from typing import Any, assert_never

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.arguments import array, number
from autolip.errors import InputError
from autolip.intervals import Interval
from autolip.norms import Norm, one_norm
from autolip.regions.region import Region, fitted, flat, known_or_infinite, lengths, region
from autolip.roundoff import TINY, lowered, units
from autolip.values import Upper

FINEST = 2**1074
"""Defined: every double is a whole multiple of 1 / FINEST."""

LEAST, LARGEST = 1e-140, 1e140
"""Proved: between these, sums of squares neither overflow nor lose digits by underflow."""

MARGIN = 1e-12
"""Proved: relative distance that an l2 projection keeps from the sphere: more than its rounding."""


@region("ball")
@dataclass(frozen=True, eq=False)
class Ball(Region):
    """The inputs with ||x - center||_norm <= radius (l1, l2 or linf).

    The centre is a tensor, a NumPy array, a list, or one number for every entry; `norm` a `Norm` or
    its name.
    """

    center: Float[Tensor, "*shape"]
    radius: float
    norm: Norm

    def __init__(self, center: Any, radius: Any, norm: Any = Norm.L2) -> None:
        center = array(center, "the ball's centre")
        if not center.isfinite().all():
            raise InputError("the ball's centre has NaN or infinite entries: give finite numbers")
        radius = number(radius, "the ball's radius")
        if not 0 <= radius < math.inf:
            raise InputError(f"the ball's radius is {radius}: give a finite number >= 0")
        norm = one_norm(norm, "the ball's norm")
        for name, value in (("center", center), ("radius", radius), ("norm", norm)):
            object.__setattr__(self, name, value)

    @classmethod
    def examples(cls) -> tuple[Region, ...]:
        """Of one point, small beside its centre, with squares that underflow or overflow."""
        numbers = ((0, 0.7), (3, 0), (1e6, 1e-9), (-0.1, 1e-170), (1e300, 1e300))
        return tuple(cls(center, radius, norm) for norm in Norm for center, radius in numbers)

    def describe(self) -> dict[str, object]:
        return {
            "kind": "ball",
            "norm": self.norm.value,
            "radius": self.radius,
            "center": self.center.flatten().tolist(),
        }

    def centre(self, shape: torch.Size) -> Tensor:
        """Its centre."""
        return fitted("ball", self.center, shape)

    def shaped(self, shape: torch.Size) -> "Ball":
        return Ball(self.centre(shape), self.radius, self.norm)

    # What bounds it

    def interval(self, shape: torch.Size) -> Interval:
        center = self.centre(shape)
        return Interval(center - self.radius, center + self.radius).widen()

    def reach(self, shape: torch.Size) -> Tensor:
        """The radius."""
        return torch.full(shape, self.radius, dtype=torch.float64)

    def support(self, rows: Tensor) -> Tensor:
        """radius ||row||, in the dual norm: attained; NaN, not 0, for a row that overflowed."""
        forms = lengths(rows, self.norm.dual)
        product = self.radius * forms
        above = product.nextafter(torch.full_like(product, math.inf))
        none = (forms == 0) | (self.radius == 0)
        return torch.where(none, 0.0, known_or_infinite(above))

    def spread(self, norm: Norm, shape: torch.Size) -> Upper:
        """The radius times the constant of norm equivalence: attained."""
        return Upper(self.radius) * self.norm.equivalence(norm, shape.numel())

    def settled(self, shape: torch.Size) -> Tensor:
        """All of them where the radius is 0, none otherwise."""
        return torch.full(shape, self.radius == 0)

    def stride(self, shape: torch.Size) -> Tensor:
        """n^(-1/p) times the radius: half of a side of the cube inside."""
        n = max(1, shape.numel())
        share = {Norm.L1: float(n), Norm.L2: math.sqrt(n), Norm.LINF: 1.0}[self.norm]
        return torch.full(shape, self.radius / share, dtype=torch.float64)

    # Its points

    def contains(self, x: Tensor) -> bool:
        """||x - center|| <= radius: by doubles where their rounding leaves no doubt, else by whole
        numbers."""
        if not bool(x.isfinite().all()):
            return False
        center = self.centre(x.shape)
        clear = self._clearly((x - center).abs().flatten())
        return self._exactly(x, center) if clear is None else clear

    def _clearly(self, sizes: Float[Tensor, " n"]) -> bool | None:
        """Whether rounded differences are inside; None where their rounding leaves that in doubt.

        Each is within u of the exact one, each square within 4 u; a sum is rounded once.
        """
        largest = float(sizes.max()) if sizes.numel() else 0.0
        match self.norm:
            case Norm.LINF:  # rounding is monotone: only equality is in doubt
                return None if largest == self.radius else largest < self.radius
            case Norm.L1:
                if not largest <= LARGEST:
                    return None
                return below(math.fsum(sizes.tolist()), self.radius)
            case Norm.L2:
                if not (LEAST <= self.radius <= LARGEST and largest <= LARGEST):
                    return None
                return below(math.fsum((sizes * sizes).tolist()), self.radius * self.radius)
            case _:
                assert_never(self.norm)

    def _exactly(self, x: Tensor, center: Tensor) -> bool:
        """The same in units of 1 / FINEST."""
        pairs = zip(x.flatten().tolist(), center.flatten().tolist(), strict=True)
        sizes = [abs(_multiple(a) - _multiple(b)) for a, b in pairs]
        radius = _multiple(self.radius)
        match self.norm:
            case Norm.LINF:
                return max(sizes, default=0) <= radius
            case Norm.L1:
                return sum(sizes) <= radius
            case Norm.L2:
                return sum(size * size for size in sizes) <= radius * radius
            case _:
                assert_never(self.norm)

    def project(self, x: Tensor) -> Tensor:
        center = self.centre(x.shape[1:])
        largest = sys.float_info.max
        offset = (x - center).nan_to_num(0.0, largest, -largest)
        match self.norm:
            case Norm.LINF:
                return center + offset.clamp(-self.radius, self.radius)
            case Norm.L1:
                return center + _onto_l1(flat(offset), self.radius).reshape(offset.shape)
            case Norm.L2:
                return center + _onto_l2(offset, self.radius)
            case _:
                assert_never(self.norm)

    def inward(self, x: Tensor) -> Tensor:
        """One step towards the centre: centre + offset was rounded to half a unit in the last place
        of each entry."""
        projected = self.project(x)
        return projected.nextafter(self.centre(x.shape[1:]).expand_as(projected))

    def sample(self, count: int, example: Tensor, generator: torch.Generator) -> Tensor:
        noise = torch.randn((count, *example.shape), generator=generator, dtype=torch.float64)
        reach = torch.rand(count, generator=generator, dtype=torch.float64) * 2 * self.radius
        length = self.norm.of_rows(noise)
        step = noise * (reach / length).view(-1, *[1] * example.dim())
        return self.project(self.centre(example.shape) + step)


def below(value: float, limit: float) -> bool | None:
    """Whether a number >= 0 is at most another; None where 16 units are more than what is between
    them."""
    return None if abs(value - limit) <= units(16, max(value, limit)) else value < limit


def _onto_l2(offset: Float[Tensor, "k *shape"], radius: float) -> Float[Tensor, "k *shape"]:
    """The offsets, the longer ones shortened to the radius; no square under- or overflows."""
    column = (-1, *[1] * (offset.dim() - 1))
    size = Norm.LINF.of_rows(offset).clamp(min=TINY).view(column)
    length = Norm.L2.of_rows(offset / size).clamp(min=1.0).view(column)
    return offset * ((radius / size / length).clamp(max=1.0) * (1 - MARGIN))


def _onto_l1(offset: Float[Tensor, "k n"], radius: float) -> Float[Tensor, "k n"]:
    """The nearest offsets v (l2) with ||v||_1 a little below the radius.

    With m the largest modulus and d_i = m - |offset_i|, that is |v_i| = max(t - d_i, 0), where

        t = (radius + d_(1) + ... + d_(j)) / j    for the last j with t > d_(j), d in rising order

    (J. Duchi, S. Shalev-Shwartz, Y. Singer and T. Chandra, ICML 2008, Figure 1, for t in place of
    m - t, which would cancel where the radius is far below m).  Here in units of the radius, in
    which no d_i above 1 counts.
    """
    radius = lowered(radius, 2 * offset.shape[1] + 18)
    if not radius > 0 or not offset.numel():
        return torch.zeros_like(offset)
    sizes = offset.abs()
    drop = ((sizes.amax(1, keepdim=True) - sizes) / radius).clamp(max=1.0)
    rising = drop.sort(1).values
    count = torch.arange(1, offset.shape[1] + 1, dtype=torch.float64)
    tops = (1 + rising.cumsum(1)) / count
    last = (tops > rising).sum(1, keepdim=True) - 1
    kept = (tops.gather(1, last) - drop).clamp(min=0.0)
    nearest = kept / kept.sum(1, keepdim=True).clamp(min=1.0) * radius * offset.sign()
    inside = Norm.L1.of_rows(offset).unsqueeze(1) <= radius
    return torch.where(inside, offset, nearest)


def _multiple(value: float) -> int:
    """The double in units of 1 / FINEST, exactly."""
    numerator, denominator = value.as_integer_ratio()
    return numerator * (FINEST // denominator)
