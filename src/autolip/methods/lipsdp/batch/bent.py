"""Which entries of nonlinear vertices bend in each sample, and where they stand in a form."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from autolip.methods.lipsdp.batch.operand_rows import flattened
from autolip.methods.lipsdp.relaxation.constraint import Constraint
from autolip.rounded import Rounded


@dataclass(frozen=True)
class Bent:
    """One nonlinear vertex: which entries bend in each sample, and by how much.

    `at` has gaps where `real` is False.  Of a gain (`at` None) all entries do.
    """

    item: Constraint
    radius: Float[Tensor, "s *blocks"]
    at: Int[Tensor, "s n"] | None
    real: Bool[Tensor, "s n"] | None

    @staticmethod
    def of(item: Constraint, radius: Float[Tensor, "s *blocks"]) -> "Bent":
        """Those of positive radius, first in `at`."""
        if item.gain is not None:
            return Bent(item, radius, None, None)
        bends = radius.reshape(len(radius), -1) > 0
        count = int(bends.sum(1).amax()) if bends.numel() else 0
        at = (~bends).to(torch.int8).argsort(dim=1, stable=True)[:, :count]
        return Bent(item, radius, at, bends.gather(1, at))

    @property
    def width(self) -> int:
        """How many columns it has."""
        return self.item.out_shape.numel() if self.at is None else self.at.shape[1]

    def entries(self) -> Int[Tensor, "s n"]:
        """The entries of the operand that have a row."""
        if self.at is not None:
            return self.at
        return torch.arange(self.item.in_shape.numel()).expand(len(self.radius), -1)

    def in_rows(self, h: Float[Tensor, "b *blocks"], samples: Tensor) -> Tensor:
        """h of every row, 1 in a gap."""
        return self._placed(h, samples, self.item.in_shape)

    def in_columns(self, g: Float[Tensor, "b *blocks"], samples: Tensor) -> Tensor:
        """g of every column."""
        return self._placed(g, samples, self.item.out_shape)

    def _placed(self, x: Tensor, samples: Tensor, shape: torch.Size) -> Tensor:
        if self.at is None or self.real is None:
            whole = len(self.item.blocks) != len(shape)
            parts = x.reshape(len(x), *[1] * len(shape)) if whole else x
            return parts.expand(len(x), *shape).reshape(len(x), -1)
        picked = x.reshape(len(x), -1).gather(1, self.at[samples])
        return torch.where(self.real[samples], picked, 1.0)

    def columns(self, rows: Rounded) -> Rounded:
        """The coefficients of what bends, (s, rows, n), of those of every entry of the result."""
        flat = flattened(rows)
        if self.at is None or self.real is None:
            return flat
        at = self.at.unsqueeze(1).expand(-1, flat.value.shape[1], -1)
        real = self.real.unsqueeze(1)
        return Rounded(*(x.gather(2, at) * real for x in (flat.value, flat.error)))

    def taken(self, samples: Tensor) -> "Bent":
        """The same for these samples."""
        parts = (None if x is None else x[samples] for x in (self.at, self.real))
        return Bent(self.item, self.radius[samples], *parts)
