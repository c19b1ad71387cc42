"""THE CORE: which linear maps can an operation act as on differences?

For an operation f on a region X a *slope set* holds linear maps M with f(x) - f(y) = M (x - y) for
all x, y in X. Three closed kinds suffice.  Slopes are secants, not derivatives: kinks are fine,
differentiability is not needed.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.norms import Norm
from autolip.operators.operator import Operator
from autolip.values import ZERO, Upper


@dataclass(frozen=True)
class Exact:
    """One linear operator."""

    operator: Operator

    @property
    def in_shape(self) -> torch.Size:
        return self.operator.in_shape

    @property
    def out_shape(self) -> torch.Size:
        return self.operator.out_shape


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

    def norm(self) -> Upper:
        """max(|lo|, |hi|), the p -> p norm for every p (0 for an empty tensor)."""
        if not self.lo.numel():
            return ZERO
        return Upper(torch.maximum(self.lo.abs().max(), self.hi.abs().max()).item())


@dataclass(frozen=True)
class Gain:
    """Any map of at most this p -> p gain, for each norm p given; blocks along `dims` act apart
    (None: one block)."""

    in_shape: torch.Size
    out_shape: torch.Size
    norms: Mapping[Norm, Upper]
    dims: tuple[int, ...] | None = field(default=None)

    @property
    def axes(self) -> tuple[int, ...] | None:
        """`dims` counted from the first axis, of operand and result alike; None where there is one
        block, or an axis of one is none of the other."""
        rank = len(self.in_shape)
        if self.dims is None or len(self.out_shape) != rank:
            return None
        return tuple(sorted({dim % rank for dim in self.dims})) if rank else ()


Slope = Exact | Between | Gain
