"""What a region answers: a convex set of inputs, by its points and by what bounds them."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Self, final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from autolip.errors import AutolipError, InputError
from autolip.intervals import Interval, centre_and_radius, difference_up
from autolip.norms import Norm
from autolip.registry import Registry, home_of, require_docstring
from autolip.rounded import Rounded
from autolip.values import Upper


class Region(ABC):
    """A convex set of inputs.

    Five answers are its own: `interval`, `contains`, `project`, `sample`, `describe`.  All others
    follow from its interval, and a region may give tighter ones.  Those that bound something are
    rounded outward, forms and distances taken from `origin`, which need not be a point of the
    region.
    """

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

    def over(self, inputs: Mapping[str, torch.Size]) -> "Region":
        """The same where the inputs that vary have these names and shapes: of several the region
        is one of all their entries, unless it says which is for which."""
        return self

    def centre(self, shape: torch.Size) -> Float[Tensor, "*shape"] | None:
        """The middle; None where some entry has no bound."""
        box = self.interval(shape)
        return centre_and_radius(box.lo, box.hi)[0] if box.is_bounded else None

    @final
    def origin(self, shape: torch.Size) -> Float[Tensor, "*shape"]:
        """What forms and distances are taken from: the centre, or 0 where there is none."""
        centre = self.centre(shape)
        return torch.zeros(shape, dtype=torch.float64) if centre is None else centre

    def reach(self, shape: torch.Size) -> Float[Tensor, "*shape"]:
        """At least |x_i - origin_i| for every x of the region, entry by entry."""
        box, about = self.interval(shape), self.origin(shape)
        return torch.maximum(difference_up(box.hi, about), difference_up(about, box.lo))

    def support(self, rows: Float[Tensor, "k *shape"]) -> Float[Tensor, " k"]:
        """At least max <row, x - origin> over the points x of the region, for every row.

        Infinite where no bound is known, and for rows that are not finite (but 0 inf = 0).
        """
        return weighted_sums(rows, self.reach(rows.shape[1:]))

    def spread(self, norm: Norm, shape: torch.Size) -> Upper:
        """At least ||x - origin|| for every x of the region; any two are at most twice as far
        apart."""
        return Upper.at_most(lengths(self.reach(shape).unsqueeze(0), norm).item())

    def settled(self, shape: torch.Size) -> Bool[Tensor, "*shape"]:
        """Which entries are the same for all points of the region."""
        box = self.interval(shape)
        return box.lo == box.hi

    @final
    def is_bounded(self, shape: torch.Size) -> bool:
        """Whether every entry has a bound on both sides."""
        return self.interval(shape).is_bounded

    def within(self, part: "Region") -> "Region":
        """Where searches move that keep to some part of all inputs: a subset of the region, by
        default all of it."""
        return self

    @final
    def moving(self, shape: torch.Size) -> int:
        """In how many entries two points of the region differ, at most."""
        return int((~self.settled(shape)).sum())

    def stride(self, shape: torch.Size) -> Float[Tensor, "*shape"]:
        """About how far each entry goes from the middle where all go alike: for searches, no
        bound."""
        box = self.interval(shape)
        return (box.hi - box.lo) / 2

    @classmethod
    def read(cls, numbers: Mapping[str, Any]) -> "Region":
        """The region of this kind with these numbers, as `describe` gives them.

        Raises InputError where some are missing, or have no place in it.
        """
        wanted = inspect.signature(cls).parameters
        if numbers.keys() != wanted.keys():
            raise InputError(
                f"a {cls.__name__} is written with {', '.join(wanted) or 'nothing else'}, not "
                f"with {', '.join(map(str, numbers)) or 'nothing'}"
            )
        return cls(**numbers)

    @classmethod
    def examples(cls) -> tuple["Region", ...]:
        """Regions of this kind for inputs of any shape, on which its laws are tried."""
        return ()


REGIONS: Registry[str, type[Region]] = Registry("region")
"""Kind, as `describe` says it -> class."""


def region(kind: str) -> Callable[[type[Region]], type[Region]]:
    """Register a kind of region under the name that `describe` gives it.

    It is then read from files, taken without examining its answers, and held to `check_region` at
    its `examples`.  AutolipError where it has none, no docstring, or does not read what it
    describes.
    """

    def register(cls: type[Region]) -> type[Region]:
        require_docstring("region", cls)
        examples = cls.examples()
        if not examples:
            raise AutolipError(f"the region {home_of(cls)} has no `examples` to try its laws on")
        for example in examples:
            described = example.describe()
            if described.get("kind") != kind:
                raise AutolipError(f"the region {home_of(cls)} describes itself as {described}")
            if again(cls, described) != described:
                raise AutolipError(f"the region {home_of(cls)} is not read as it is described")
        REGIONS.enter(kind, cls, cls)
        return cls

    return register


def again(cls: type[Region], described: Mapping[str, Any]) -> dict[str, object]:
    """How a region describes itself that was read from a description."""
    return cls.read({name: value for name, value in described.items() if name != "kind"}).describe()


def weighted_sums(
    rows: Float[Tensor, "k *shape"], reach: Float[Tensor, "*shape"]
) -> Float[Tensor, " k"]:
    """At least sum_i |row_i| reach_i, with 0 * inf = 0."""
    sizes, reach = flat(rows).abs(), reach.reshape(-1)
    is_open = reach.isinf()
    closed = torch.where(is_open, 0.0, reach).unsqueeze(1)
    sums = (Rounded.exact(sizes) @ Rounded.exact(closed)).size[:, 0]
    return torch.where((sizes[:, is_open] > 0).any(1), torch.inf, known_or_infinite(sums))


def known_or_infinite(bounds: Tensor) -> Tensor:
    """The bounds, infinite where they are NaN."""
    return torch.where(bounds.isnan(), torch.inf, bounds)


def lengths(rows: Float[Tensor, "k *shape"], norm: Norm) -> Float[Tensor, " k"]:
    """At least the norm of every row."""
    return Rounded.exact(flat(rows)).lengths(1, norm)


def flat(rows: Float[Tensor, "k *shape"]) -> Float[Tensor, "k n"]:
    """Doubles, every row a vector."""
    return rows.detach().double().reshape(len(rows), rows.shape[1:].numel())


def fitted(name: str, given: Tensor, shape: torch.Size) -> Tensor:
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
