"""Entrywise scaling."""

from collections.abc import Callable

import torch
from torch import Tensor

from autolip.operators.operator import DTYPE, Operator, largest
from autolip.operators.scaling import product


class Diagonal(Operator):
    """x -> d * x, with `scale` broadcast to `shape`; entries known up to `relative_error`."""

    def __init__(self, scale: Tensor, shape: tuple[int, ...], relative_error: float = 0.0) -> None:
        if torch.broadcast_shapes(scale.shape, shape) != torch.Size(shape):
            raise ValueError(
                f"a scale of shape {tuple(scale.shape)} does not broadcast to {tuple(shape)}"
            )
        super().__init__(shape, shape)
        self.scale = scale.to(DTYPE)
        self.relative_error = relative_error

    @staticmethod
    def compact(scale: Tensor, shape: tuple[int, ...], relative_error: float = 0.0) -> "Diagonal":
        """The same with one number in place of equal ones: operators next to it can then absorb
        it."""
        first = scale.flatten()[:1]
        equal = bool(len(first)) and bool((scale == first).all())
        return Diagonal(first[0] if equal else scale, shape, relative_error)

    @staticmethod
    def folded(scale: Tensor, relative_error: float = 0.0) -> "Diagonal":
        """That of a tensor, with one number in place of equal ones along each axis: a convolution
        absorbs a scale of its channels."""
        kept = scale
        for axis in range(scale.dim()):
            first = kept.narrow(axis, 0, 1)
            kept = first if bool((kept == first).all()) else kept
        return Diagonal.compact(kept, scale.shape, relative_error)

    def _mv(self, x: Tensor) -> Tensor:
        return x * self.scale

    def _rmv(self, y: Tensor) -> Tensor:
        return y * self.scale

    @property
    def terms(self) -> int:
        return 1

    @property
    def is_isometry(self) -> bool:
        return self.relative_error == 0 and bool((self.scale.abs() == 1).all())

    @property
    def magnitude(self) -> float:
        return largest(self.scale)

    @property
    def T(self) -> Operator:
        return self

    @property
    def diagonal(self) -> Tensor:
        return self.scale

    @property
    def knows_entries(self) -> bool:
        return True

    def entrywise(self, function: Callable[[Tensor], Tensor]) -> Operator:
        return Diagonal(function(self.scale), self.in_shape, self.relative_error)

    def scaled_outputs(self, scale: Tensor, relative_error: float) -> Operator | None:
        both = product(scale, self.scale)
        return None if both is None else Diagonal(both, self.in_shape, relative_error)

    def scaled_inputs(self, scale: Tensor, relative_error: float) -> Operator | None:
        return self.scaled_outputs(scale, relative_error)

    def _cast(self, dtype: torch.dtype, device: torch.device) -> Operator:
        return self._with(scale=self.scale.to(device, dtype))


class Identity(Diagonal):
    """x -> x."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(torch.ones((), dtype=DTYPE), shape)
