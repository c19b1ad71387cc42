"""Every entry between two numbers."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.arguments import array
from autolip.errors import InputError
from autolip.intervals import Interval
from autolip.regions.region import Region, fitted, region


@region("box")
@dataclass(frozen=True, eq=False)
class Box(Region):
    """The inputs with lo <= x <= hi, elementwise.

    The ends are tensors, NumPy arrays, lists or numbers; a single number holds for every entry:
    `Box(0, 1)`.
    """

    lo: Float[Tensor, "*shape"]
    hi: Float[Tensor, "*shape"]

    def __init__(self, lo: Any, hi: Any) -> None:
        lo = array(lo, "the box's lower end")
        hi = array(hi, "the box's upper end")
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
        return Interval(fitted("box", self.lo, shape), fitted("box", self.hi, shape))

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

    @classmethod
    def examples(cls) -> tuple[Region, ...]:
        """Of one point, of one entry apart, from one double to the next, huge and lopsided."""
        tiny, huge = 5e-324, 1e300
        return cls(0, 1), cls(-2.5, 0.3), cls(1, 1), cls(-tiny, tiny), cls(-huge, 1e-300)
