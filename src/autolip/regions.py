"""Where the input may lie: everywhere, in a box, in a ball."""

import json
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from autolip.arguments import array, number, shown
from autolip.errors import AutolipError, InputError, printable
from autolip.intervals import TINY, UNIT, Interval
from autolip.norms import Norm, one_norm

FINEST = 2**1074
"""Every double is a whole multiple of 1 / FINEST."""

LEAST, LARGEST = 1e-140, 1e140
"""Between these, sums of squares neither overflow nor lose digits by underflow."""


class Region(ABC):
    """A convex set of inputs."""

    @abstractmethod
    def interval(self, shape: torch.Size) -> Interval:
        """The smallest representable box around the region."""

    @abstractmethod
    def contains(self, x: Float[Tensor, "*shape"]) -> bool:
        """Whether the doubles x are a point of the region: decided exactly, never by a tolerance.

        A lower bound holds only between two points of the region, so this is asked of every
        witness.
        """

    @abstractmethod
    def project(self, x: Float[Tensor, "k *shape"]) -> Float[Tensor, "k *shape"]:
        """The nearest points of the region (l2), up to rounding."""

    @abstractmethod
    def sample(
        self, count: int, example: Tensor, generator: torch.Generator
    ) -> Float[Tensor, "k *shape"]:
        """Random points of the region, shaped like `example`, float64."""

    @abstractmethod
    def describe(self) -> dict[str, object]:
        """Plain data for reports: its `kind`, and the numbers that fix it."""

    def inward(self, x: Float[Tensor, "k *shape"]) -> Float[Tensor, "k *shape"]:
        """The projections of x, moved inwards by what rounding them may have moved them out."""
        return self.project(x)

    def shaped(self, shape: torch.Size) -> Self:
        """The same region of inputs of this shape; InputError where its points do not have it."""
        self.interval(shape)
        return self


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

    def describe(self) -> dict[str, object]:
        return {"kind": "everywhere"}


@dataclass(frozen=True, eq=False)
class Box(Region):
    """The inputs with lo <= x <= hi, elementwise.

    The ends are tensors, NumPy arrays, lists or numbers; a single number holds for every entry:
    `Box(0, 1)`.
    """

    lo: Float[Tensor, "*shape"]
    hi: Float[Tensor, "*shape"]

    def __init__(self, lo: Any, hi: Any) -> None:
        lo, hi = array(lo, "the box's lower end"), array(hi, "the box's upper end")
        if 0 in (lo.dim(), hi.dim()):
            lo, hi = (end.clone() for end in torch.broadcast_tensors(lo, hi))
        if lo.shape != hi.shape:
            raise InputError(
                f"the box's ends have shapes {tuple(lo.shape)} and {tuple(hi.shape)}: "
                "give two of one shape"
            )
        if not (lo.isfinite().all() and hi.isfinite().all()):
            raise InputError("the box has NaN or infinite ends: give finite numbers")
        if (lo > hi).any():
            raise InputError(
                f"the box is empty in {int((lo > hi).sum())} entries: lower ends must not "
                "exceed upper ends"
            )
        object.__setattr__(self, "lo", lo)
        object.__setattr__(self, "hi", hi)

    def interval(self, shape: torch.Size) -> Interval:
        return Interval(_fitted("box", self.lo, shape), _fitted("box", self.hi, shape))

    def shaped(self, shape: torch.Size) -> "Box":
        ends = self.interval(shape)
        return Box(ends.lo, ends.hi)

    def contains(self, x: Tensor) -> bool:
        return self.interval(x.shape).contains(x)

    def project(self, x: Tensor) -> Tensor:
        ends = self.interval(x.shape[1:])
        return torch.minimum(torch.maximum(x, ends.lo), ends.hi)

    def sample(self, count: int, example: Tensor, generator: torch.Generator) -> Tensor:
        unit = torch.rand((count, *example.shape), generator=generator, dtype=torch.float64)
        ends = self.interval(example.shape)
        return self.project(ends.lo + unit * (ends.hi - ends.lo))

    def describe(self) -> dict[str, object]:
        return {"kind": "box", "lo": self.lo.flatten().tolist(), "hi": self.hi.flatten().tolist()}


@dataclass(frozen=True, eq=False)
class Ball(Region):
    """The inputs with ||x - center||_norm <= radius (l2 or linf).

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
        if norm is Norm.L1:
            raise InputError(
                "an l1 ball is not supported as a region: use the l2 or linf ball around it"
            )
        for name, value in (("center", center), ("radius", radius), ("norm", norm)):
            object.__setattr__(self, name, value)

    def interval(self, shape: torch.Size) -> Interval:
        center = _fitted("ball", self.center, shape)
        return Interval(center - self.radius, center + self.radius).widen()

    def shaped(self, shape: torch.Size) -> "Ball":
        return Ball(_fitted("ball", self.center, shape), self.radius, self.norm)

    def contains(self, x: Tensor) -> bool:
        """||x - center|| <= radius: by doubles where their rounding leaves no doubt, else by whole
        numbers."""
        if not bool(x.isfinite().all()):
            return False
        center = _fitted("ball", self.center, x.shape)
        clear = self._in_linf(x - center) if self.norm is Norm.LINF else self._in_l2(x - center)
        return self._in_exactly(x, center) if clear is None else clear

    def _in_linf(self, offset: Tensor) -> bool | None:
        """The rounded difference is on the same side of the radius as the exact one, or equal to
        the radius."""
        largest = float(offset.abs().max()) if offset.numel() else 0.0
        return None if largest == self.radius else largest < self.radius

    def _in_l2(self, offset: Tensor) -> bool | None:
        """Each rounded square is within 4u of the exact one, the sum rounded once, the radius
        squared once."""
        if not LEAST <= self.radius <= LARGEST or bool((offset.abs() > LARGEST).any()):
            return None
        square, limit = math.fsum((offset * offset).flatten().tolist()), self.radius * self.radius
        return None if abs(square - limit) <= 16 * UNIT * max(square, limit) else square < limit

    def _in_exactly(self, x: Tensor, center: Tensor) -> bool:
        pairs = zip(x.flatten().tolist(), center.flatten().tolist(), strict=True)
        offsets = [_multiple(a) - _multiple(b) for a, b in pairs]
        radius = _multiple(self.radius)
        if self.norm is Norm.LINF:
            return all(abs(offset) <= radius for offset in offsets)
        return sum(offset * offset for offset in offsets) <= radius * radius

    def project(self, x: Tensor) -> Tensor:
        center = _fitted("ball", self.center, x.shape[1:])
        if self.norm is Norm.LINF:
            return center + (x - center).clamp(-self.radius, self.radius)
        offset = x - center
        size = Norm.LINF.of_rows(offset).clamp(min=TINY).view(-1, *[1] * center.dim())
        length = (
            Norm.L2.of_rows(offset / size).clamp(min=1.0).view_as(size)
        )  # no square under- or overflows
        shrink = (self.radius / size / length).clamp(max=1.0) * (1 - 1e-12)
        return center + offset * shrink

    def inward(self, x: Tensor) -> Tensor:
        """One step towards the centre: centre + offset was rounded to half a unit in the last place
        of each entry."""
        projected = self.project(x)
        return projected.nextafter(_fitted("ball", self.center, x.shape[1:]).expand_as(projected))

    def sample(self, count: int, example: Tensor, generator: torch.Generator) -> Tensor:
        noise = torch.randn((count, *example.shape), generator=generator, dtype=torch.float64)
        reach = torch.rand(count, generator=generator, dtype=torch.float64) * 2 * self.radius
        length = self.norm.of_rows(noise)
        step = noise * (reach / length).view(-1, *[1] * example.dim())
        return self.project(_fitted("ball", self.center, example.shape) + step)

    def describe(self) -> dict[str, object]:
        return {
            "kind": "ball",
            "norm": self.norm.value,
            "radius": self.radius,
            "center": self.center.flatten().tolist(),
        }


@dataclass(frozen=True, eq=False)
class OfTheUser(Region):
    """A region of the user's own: the same answers, each of them examined before it is believed."""

    own: Region

    def interval(self, shape: torch.Size) -> Interval:
        box = self._answer("interval", shape)
        if not isinstance(box, Interval) or box.shape != shape or not box.lo.is_floating_point():
            raise self._useless("interval", box, f"an Interval of shape {tuple(shape)}")
        if not bool((box.lo <= box.hi).all()):
            raise self._useless("interval", box, "lower ends that do not exceed the upper ones")
        return Interval(box.lo.detach().double(), box.hi.detach().double())

    def contains(self, x: Tensor) -> bool:
        answer = self._answer("contains", x)
        if not isinstance(answer, bool | np.bool_) and not (
            isinstance(answer, Tensor) and answer.dim() == 0
        ):
            raise self._useless("contains", answer, "True or False")
        return bool(answer)

    def project(self, x: Tensor) -> Tensor:
        return self._points("project", x.shape, x)

    def inward(self, x: Tensor) -> Tensor:
        return self._points("inward", x.shape, x)

    def sample(self, count: int, example: Tensor, generator: torch.Generator) -> Tensor:
        return self._points(
            "sample", torch.Size((count, *example.shape)), count, example, generator
        )

    def describe(self) -> dict[str, object]:
        plain = self._answer("describe")
        if (
            not isinstance(plain, dict)
            or not isinstance(plain.get("kind"), str)
            or not _is_json(plain)
        ):
            raise self._useless(
                "describe", plain, "a dictionary of plain data whose 'kind' is a text"
            )
        return plain

    def _points(self, method: str, shape: torch.Size, *arguments: Any) -> Tensor:
        found = self._answer(method, *arguments)
        if not isinstance(found, Tensor) or found.shape != shape or not found.is_floating_point():
            raise self._useless(method, found, f"floating-point numbers of shape {tuple(shape)}")
        return found.detach().double()

    def _answer(self, method: str, *arguments: Any) -> Any:
        try:
            return getattr(self.own, method)(*arguments)
        except AutolipError:
            raise
        except (Exception, SystemExit) as error:
            said = printable(" ".join(str(error).split()))
            raise InputError(
                f"{type(self.own).__name__}.{method} failed with {type(error).__name__} "
                f"({said}): repair the region"
            ) from error

    def _useless(self, method: str, answer: Any, wanted: str) -> InputError:
        return InputError(
            f"{type(self.own).__name__}.{method} answered {shown(answer)}: it must return {wanted}"
        )


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True


def as_region(value: Any) -> Region:
    """The region that is meant: None is everywhere; one of the user's own is examined at every
    answer."""
    if value is None or value is Everywhere:
        return Everywhere()
    if not isinstance(value, Region):
        raise InputError(
            f"region is {shown(value)}: give Everywhere(), Box(lo, hi) or Ball(center, radius)"
        )
    return value if type(value) in (Everywhere, Box, Ball, OfTheUser) else OfTheUser(value)


def _multiple(value: float) -> int:
    """The double in units of 1 / FINEST, exactly."""
    numerator, denominator = value.as_integer_ratio()
    return numerator * (FINEST // denominator)


def _fitted(name: str, given: Tensor, shape: torch.Size) -> Tensor:
    """The numbers in the shape of the input, one number repeated; InputError where they are more or
    fewer."""
    if given.dim() == 0:
        return given.expand(shape)
    if given.numel() != shape.numel():
        raise InputError(
            f"the {name} has {given.numel()} entries, shape {tuple(given.shape)}; the "
            f"input has shape {tuple(shape)}"
        )
    return given.reshape(shape)
