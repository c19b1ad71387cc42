"""The inputs that vary: one, or several that vary together as one vector."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from autolip.capture.checks import check_varying
from autolip.operators.operator import DTYPE

Which = int | str | Sequence[int | str]
"""An input, or several, by position or name."""


def listed(which: Which) -> tuple[int | str, ...]:
    """One input as a list of it."""
    return (which,) if isinstance(which, int | str) else tuple(which)


@dataclass(frozen=True)
class Varying:
    """Inputs by name, with their places among the leaves of all arguments, their shapes and types.

    One is itself the point at which the network is taken.  Several are one vector: their entries in
    this order, each flattened, so that a norm of the point is the norm of all entries together.
    """

    names: tuple[str, ...]
    places: tuple[int, ...]
    shapes: tuple[torch.Size, ...]
    types: tuple[torch.dtype, ...]

    @staticmethod
    def among(leaves: Sequence[object], names: Sequence[str], places: Sequence[int]) -> "Varying":
        """Those at these places; InputError unless they are tensors of floating-point numbers."""
        tensors = list[Tensor]()
        for place in places:
            leaf = leaves[place]
            check_varying(leaf, names[place])
            assert isinstance(leaf, Tensor)
            tensors.append(leaf)
        chosen = tuple(names[place] for place in places)
        shapes = tuple(tensor.shape for tensor in tensors)
        return Varying(chosen, tuple(places), shapes, tuple(tensor.dtype for tensor in tensors))

    def __str__(self) -> str:
        return " and ".join(self.names)

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many entries each has."""
        return tuple(shape.numel() for shape in self.shapes)

    @property
    def shape(self) -> torch.Size:
        """That of the point."""
        return self.shapes[0] if len(self.shapes) == 1 else torch.Size([sum(self.sizes)])

    @property
    def dtype(self) -> torch.dtype:
        """The least precise of their types."""
        return max(self.types, key=lambda dtype: torch.finfo(dtype).eps)

    @property
    def by_name(self) -> dict[str, torch.Size]:
        """The shape of each."""
        return dict(zip(self.names, self.shapes, strict=True))

    def point(self, leaves: Sequence[Tensor]) -> Tensor:
        """The point at which they have their values among all leaves, in float64."""
        values = [leaves[place].detach().cpu().to(DTYPE) for place in self.places]
        return values[0] if len(values) == 1 else torch.cat([x.reshape(-1) for x in values])

    def apart(self, x: Tensor, dtype: torch.dtype | None = None) -> list[Tensor]:
        """Their values at a point, in one type or each in its own."""
        parts = [x] if len(self.shapes) == 1 else list(x.reshape(-1).split(self.sizes))
        return [
            part.reshape(shape).to(dtype or own)
            for part, shape, own in zip(parts, self.shapes, self.types, strict=True)
        ]
