"""Several inputs that vary together, each in a region of its own."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from autolip.arguments import shown
from autolip.errors import InputError
from autolip.intervals import Interval
from autolip.norms import Norm
from autolip.regions.ball import Ball
from autolip.regions.box import Box
from autolip.regions.everywhere import Everywhere
from autolip.regions.region import REGIONS, Region, region
from autolip.values import Upper


@dataclass(frozen=True, eq=False)
class Part:
    """One of the inputs: its name or place, where it lies, and its shape, where that is known."""

    input: str
    region: Region
    shape: torch.Size | None = None


def _described(part: Part) -> dict[str, object]:
    shape = None if part.shape is None else list(part.shape)
    return {"input": part.input, "shape": shape, "region": part.region.describe()}


def _read(described: Any) -> Part:
    if not isinstance(described, dict) or described.keys() != {"input", "shape", "region"}:
        raise InputError("a part of a product of regions has an input, a shape and a region")
    name, sizes, inner = described["input"], described["shape"], described["region"]
    known = sizes is None or (
        isinstance(sizes, list) and all(type(size) is int and size >= 0 for size in sizes)
    )
    if not isinstance(name, str) or not known or not isinstance(inner, dict):
        raise InputError(f"{shown(described)} is no part of a product of regions")
    numbers = {key: value for key, value in inner.items() if key != "kind"}
    found = REGIONS.named(inner.get("kind")).read(numbers)
    return Part(name, found, None if sizes is None else torch.Size(sizes))


@region("product")
@dataclass(frozen=True, eq=False)
class Product(Region):
    """The inputs whose entries lie, part by part in their order, each part in its region.

    Parts without a shape share the entries that the others leave, the first ones what is over.
    """

    parts: tuple[Part, ...]

    def __init__(self, parts: Sequence[Part]) -> None:
        if not parts or not all(isinstance(part, Part) for part in parts):
            raise InputError("a product of regions has parts: give a region for each input")
        if any(isinstance(part.region, type(self)) for part in parts):
            raise InputError("a part of a product of regions is none itself: list all parts in one")
        object.__setattr__(self, "parts", tuple(parts))

    @classmethod
    def examples(cls) -> tuple[Region, ...]:
        """One part, two of different kinds, one of a single point, and one without end."""
        pairs = (
            (Box(-1, 2), Ball(0.5, 0.7)),
            (Ball(1, 0.3, Norm.L1), Box(1, 1)),
            (Ball(0, 0, Norm.LINF), Ball(1e6, 1e-9)),
            (Box(0, 1), Everywhere()),
        )
        whole = cls([Part("x", Ball(0.1, 2))])
        return whole, *(cls([Part("x", a), Part("y", b)]) for a, b in pairs)

    def describe(self) -> dict[str, object]:
        return {"kind": "product", "parts": list(map(_described, self.parts))}

    @classmethod
    def read(cls, numbers: Mapping[str, Any]) -> Region:
        if numbers.keys() != {"parts"} or not isinstance(numbers["parts"], list):
            raise InputError("a product of regions is written with parts, a list of them")
        return cls([_read(part) for part in numbers["parts"]])

    def over(self, inputs: Mapping[str, torch.Size]) -> "Product":
        """The same where the inputs that vary have these names and shapes, in their order.

        One without a region may lie everywhere.  InputError where there is no such input.
        """
        places = {str(number): name for number, name in enumerate(inputs)}
        places |= {name: name for name in inputs}
        named = {places.get(part.input, part.input): part for part in self.parts}
        if len(named) < len(self.parts):
            raise InputError("an input has two regions: give one for each")
        unknown = [name for name in named if name not in inputs]
        if unknown:
            raise InputError(
                f"there is a region for the input {unknown[0]!r}: those that vary are "
                f"{', '.join(inputs)}"
            )
        found = []
        for name, shape in inputs.items():
            part = named.get(name, Part(name, Everywhere()))
            found.append(Part(name, part.region.shaped(shape), shape))
        return Product(found)

    def shaped(self, shape: torch.Size) -> "Product":
        sizes = self._sizes(shape)
        parts = [
            replace(part, region=part.region.shaped(own), shape=own)
            for part, own in zip(self.parts, sizes, strict=True)
        ]
        return Product(parts)

    # What bounds it

    def interval(self, shape: torch.Size) -> Interval:
        boxes = [part.interval(own) for part, own in self._each(shape)]
        lows, highs = [box.lo for box in boxes], [box.hi for box in boxes]
        return Interval(_joined(lows, shape), _joined(highs, shape))

    def centre(self, shape: torch.Size) -> Float[Tensor, "*shape"] | None:
        """The centres of all parts; None where one has none."""
        found = [part.centre(own) for part, own in self._each(shape)]
        known = [centre for centre in found if centre is not None]
        return _joined(known, shape) if len(known) == len(found) else None

    def reach(self, shape: torch.Size) -> Float[Tensor, "*shape"]:
        """Those of all parts."""
        if self.centre(shape) is None:
            return super().reach(shape)
        return _joined([part.reach(own) for part, own in self._each(shape)], shape)

    def support(self, rows: Float[Tensor, "k *shape"]) -> Float[Tensor, " k"]:
        """The sum of those of all parts: a form is largest on each by itself."""
        shape = rows.shape[1:]
        if self.centre(shape) is None:
            return super().support(rows)
        total = torch.zeros(len(rows), dtype=torch.float64)
        for (part, own), columns in zip(self._each(shape), self._split(rows), strict=True):
            term = part.support(columns.reshape(len(rows), *own))
            above = (total + term).nextafter(torch.full_like(total, math.inf))
            total = torch.where(term == 0, total, above)
        return total

    def spread(self, norm: Norm, shape: torch.Size) -> Upper:
        """The norm of those of all parts."""
        if self.centre(shape) is None:
            return super().spread(norm, shape)
        spreads = [part.spread(norm, own) for part, own in self._each(shape)]
        if norm is Norm.LINF:
            return Upper(max(spread.value for spread in spreads))
        total = Upper(0.0)
        for spread in spreads:
            total = total + (spread * spread if norm is Norm.L2 else spread)
        return total.sqrt() if norm is Norm.L2 else total

    def settled(self, shape: torch.Size) -> Bool[Tensor, "*shape"]:
        """Those of all parts."""
        return _joined([part.settled(own) for part, own in self._each(shape)], shape)

    def stride(self, shape: torch.Size) -> Float[Tensor, "*shape"]:
        """Those of all parts."""
        return _joined([part.stride(own) for part, own in self._each(shape)], shape)

    def within(self, part: Region) -> Region:
        """Each where its own searches move, in its entries of a box."""
        if not isinstance(part, Box):
            return self
        boxes = [part] * len(self.parts)
        if part.lo.dim():
            ends = zip(*(self._split(end.unsqueeze(0)) for end in (part.lo, part.hi)), strict=True)
            sizes = self._sizes(part.lo.shape)
            boxes = [
                Box(lo.reshape(own), hi.reshape(own))
                for own, (lo, hi) in zip(sizes, ends, strict=True)
            ]
        each = zip(self.parts, boxes, strict=True)
        return Product([replace(one, region=one.region.within(box)) for one, box in each])

    # Its points

    def contains(self, x: Float[Tensor, "*shape"]) -> bool:
        pieces = self._split(x.unsqueeze(0))
        each = zip(self._each(x.shape), pieces, strict=True)
        return all(part.contains(piece.reshape(own)) for (part, own), piece in each)

    def project(self, x: Float[Tensor, "k *shape"]) -> Float[Tensor, "k *shape"]:
        return self._mapped(x, lambda part, piece: part.project(piece))

    def inward(self, x: Float[Tensor, "k *shape"]) -> Float[Tensor, "k *shape"]:
        """Those of all parts."""
        return self._mapped(x, lambda part, piece: part.inward(piece))

    def sample(self, count: int, example: Tensor, generator: torch.Generator) -> Tensor:
        def drawn(part: Region, piece: Tensor) -> Tensor:
            return part.sample(count, piece[0], generator)

        return self._mapped(example.unsqueeze(0), drawn)

    # Part by part

    def _sizes(self, shape: torch.Size) -> list[torch.Size]:
        """The shapes of all parts; InputError where they do not make up the input."""
        known = sum(part.shape.numel() for part in self.parts if part.shape is not None)
        rest = shape.numel() - known
        open_ones = sum(part.shape is None for part in self.parts)
        if rest < 0 or (rest and not open_ones):
            told = ", ".join(
                str(tuple(part.shape)) for part in self.parts if part.shape is not None
            )
            raise InputError(
                f"regions of shapes {told} do not make up the input of shape {tuple(shape)}"
            )
        shares = iter(-(-(rest - number) // open_ones) for number in range(open_ones))
        return [
            torch.Size([next(shares)]) if part.shape is None else part.shape for part in self.parts
        ]

    def _each(self, shape: torch.Size) -> list[tuple[Region, torch.Size]]:
        """Every part's region and shape."""
        regions = [part.region for part in self.parts]
        return list(zip(regions, self._sizes(shape), strict=True))

    def _split(self, x: Float[Tensor, "k *shape"]) -> tuple[Tensor, ...]:
        """The columns of every part."""
        sizes = [size.numel() for size in self._sizes(x.shape[1:])]
        return x.reshape(len(x), x.shape[1:].numel()).split(sizes, dim=1)

    def _mapped(self, x: Tensor, act: Callable[[Region, Tensor], Tensor]) -> Tensor:
        """A map of points that acts on every part by itself."""
        each = zip(self._each(x.shape[1:]), self._split(x), strict=True)
        images = list[Tensor]()
        for (part, own), piece in each:
            image = act(part, piece.reshape(len(piece), *own))
            images.append(image.reshape(len(image), own.numel()))
        return torch.cat(images, 1).reshape(len(images[0]), *x.shape[1:])


def _joined(tensors: Sequence[Tensor], shape: torch.Size) -> Tensor:
    """The entries of all parts in the shape of the input."""
    return torch.cat([x.reshape(-1) for x in tensors]).reshape(shape)
