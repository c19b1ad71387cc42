"""THE CORE: which linear maps can an operation act as on differences?

For an operation f on a region X a *slope set* holds linear maps M with f(x) - f(y) = M (x - y) for
all x, y in X. Three closed kinds suffice.  Slopes are secants, not derivatives: kinks are fine,
differentiability is not needed.

What methods ask of a slope set, each kind answers itself.  The norm of one operator takes an
engine, and which one, for how long, and what it remembers is the asker's: `gain` is given it.
Where a fold does something of its own with each kind it is a `match` that ends in `assert_never`.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.errors import Refusal
from autolip.intervals import Interval, centre_and_radius
from autolip.norms import Norm
from autolip.operators.operator import Operator
from autolip.values import ZERO, Upper

NormOf = Callable[[Operator, Norm, Norm], Upper | Refusal]
"""Upper bound on ||A||_{p -> q}, or why there is none."""


@dataclass(frozen=True)
class Exact:
    """One linear operator."""

    operator: Operator
    is_finite = True
    known_entries: ClassVar[None] = None

    @property
    def in_shape(self) -> torch.Size:
        return self.operator.in_shape

    @property
    def out_shape(self) -> torch.Size:
        return self.operator.out_shape

    def where_moving(self, operand: Interval) -> "Exact":
        """Itself: it is known."""
        return self

    @property
    def entries(self) -> Interval | None:
        """Where the slope of every entry lies; None where the operator is not known to be
        diagonal."""
        scale = self.operator.diagonal
        if self.operator.is_zero and self.in_shape == self.out_shape:
            return Interval.uniform(0.0, 0.0, self.in_shape)
        if scale is None:
            return None
        known = Interval(scale.expand(self.in_shape), scale.expand(self.in_shape))
        error = self.operator.relative_error
        return known.widen(relative=error) if error else known

    def is_at_most(self, size: float) -> bool:
        """Whether every entry's slopes are, in modulus: there is nothing to choose from."""
        return True

    def gain(self, p: Norm, q: Norm, norm_of: NormOf) -> Upper | Refusal:
        """||A||_{p -> q}, as the engine bounds it."""
        return norm_of(self.operator, p, q)


@dataclass(frozen=True)
class Between:
    """Every diagonal map with entries in [lo, hi]; an end that is NaN, hence unknown, becomes
    infinite."""

    lo: Float[Tensor, "*shape"]
    hi: Float[Tensor, "*shape"]

    def __post_init__(self) -> None:
        for name, unknown in (("lo", -math.inf), ("hi", math.inf)):
            end = getattr(self, name)
            if bool(end.isnan().any()):
                object.__setattr__(self, name, torch.where(end.isnan(), unknown, end))

    @property
    def in_shape(self) -> torch.Size:
        return self.lo.shape

    out_shape = in_shape

    @property
    def is_finite(self) -> bool:
        """Whether every end is."""
        return bool(self.lo.isfinite().all() and self.hi.isfinite().all())

    @property
    def known_entries(self) -> int | None:
        """How many entries have one slope alone: neurons that are stable on the region.  None where
        a set of slopes is not entry by entry."""
        return int((self.lo == self.hi).sum())

    @property
    def entries(self) -> Interval | None:
        """Where the slope of every entry lies."""
        return Interval(self.lo, self.hi)

    @property
    def steepest(self) -> Float[Tensor, "*shape"]:
        """The end of larger modulus, entry by entry."""
        return torch.where(self.lo.abs() > self.hi.abs(), self.lo, self.hi)

    def where_moving(self, operand: Interval) -> "Between":
        """The same for entries that can move; elsewhere the least slope alone, any being true of no
        two points.

        What is unknown, or beyond floating point, may move.
        """
        lo, hi = operand.ends()
        still = lo.isfinite() & (lo == hi)
        if not bool(still.any()):
            return self
        least = torch.zeros_like(self.lo).clamp(self.lo, self.hi)
        ends = (torch.where(still, least, end) for end in (self.lo, self.hi))
        return Between(*ends)

    def is_at_most(self, size: float) -> bool:
        """Whether every entry's slopes are, in modulus."""
        return self.largest_modulus().value <= size

    def largest_modulus(self) -> Upper:
        """max(|lo|, |hi|), the p -> p norm for every p (0 for an empty tensor)."""
        return Upper(self.steepest.abs().max().item()) if self.lo.numel() else ZERO

    def centre_and_radius(self) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
        """c and r with [lo, hi] inside [c - r, c + r], exactly; r = inf where an end is."""
        return centre_and_radius(self.lo, self.hi)

    def gain(self, p: Norm, q: Norm, norm_of: NormOf) -> Upper | Refusal:
        """max(|lo|, |hi|) times ||I||_{p -> q}."""
        return self.largest_modulus() * p.equivalence(q, self.out_shape.numel())


@dataclass(frozen=True)
class Gain:
    """Any map of at most this p -> p gain, for each norm p given; blocks along `dims` act apart
    (None: one block)."""

    in_shape: torch.Size
    out_shape: torch.Size
    norms: Mapping[Norm, Upper]
    dims: tuple[int, ...] | None = field(default=None)
    known_entries: ClassVar[None] = None
    entries: ClassVar[None] = None

    @property
    def axes(self) -> tuple[int, ...] | None:
        """`dims` counted from the first axis, of operand and result alike; None where there is one
        block, or an axis of one is none of the other."""
        rank = len(self.in_shape)
        if self.dims is None or len(self.out_shape) != rank:
            return None
        return tuple(sorted({dim % rank for dim in self.dims})) if rank else ()

    def where_moving(self, operand: Interval) -> "Gain":
        """Itself: it says nothing of entries."""
        return self

    def is_at_most(self, size: float) -> bool:
        """Whether every entry's slopes are, in modulus: of entries nothing is known."""
        return False

    @property
    def is_finite(self) -> bool:
        """Whether some norm is."""
        return any(math.isfinite(gain.value) for gain in self.norms.values())

    def gain(self, p: Norm, q: Norm, norm_of: NormOf) -> Upper | Refusal:
        """The p -> p gain times ||I||_{p -> q}; refused where none is known in p."""
        if p not in self.norms:
            return Refusal(f"no {p.value} gain is known")
        return self.norms[p] * p.equivalence(q, self.out_shape.numel())


Slope = Exact | Between | Gain
