"""A matrix along the last axis."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.operators.operator import DTYPE, Operator, largest
from autolip.operators.scaling import along, product


class Dense(Operator):
    """x -> W x along the last axis, with one matrix for all leading positions or one for each.

    `weight` is (*batch, m, n), its batch broadcast against the leading axes of `in_shape` (*lead,
    n). `relative_error` says how far each entry may be from the exact one (from folding constants).
    """

    def __init__(
        self,
        weight: Float[Tensor, "*batch m n"],
        in_shape: tuple[int, ...] | None = None,
        relative_error: float = 0.0,
    ) -> None:
        own = (*weight.shape[:-2], weight.shape[-1])
        shape = tuple(in_shape) if in_shape is not None else own
        if shape[-1] != weight.shape[-1]:
            raise ValueError(
                f"a matrix {tuple(weight.shape)} does not act on the last axis of {shape}"
            )
        lead = (
            torch.broadcast_shapes(weight.shape[:-2], shape[:-1])
            if weight.dim() > 2
            else shape[:-1]
        )
        if tuple(lead) != tuple(shape[:-1]):
            raise ValueError(f"matrices {tuple(weight.shape)} do not broadcast against {shape}")
        super().__init__(shape, (*shape[:-1], weight.shape[-2]))
        self.weight = weight.to(DTYPE)
        self.relative_error = relative_error

    def _mv(self, x: Tensor) -> Tensor:
        return self._apply(self.weight, x)

    def _rmv(self, y: Tensor) -> Tensor:
        return self._apply(self.weight.mT, y)

    @staticmethod
    def _apply(weight: Tensor, x: Tensor) -> Tensor:
        if weight.dim() == 2:
            return x @ weight.T
        return (weight @ x.unsqueeze(-1)).squeeze(-1)

    @property
    def terms(self) -> int:
        return max(self.weight.shape[-2:])

    @property
    def work(self) -> float:
        return float(math.prod(self.in_shape[:-1]) * self.weight.shape[-1] * self.weight.shape[-2])

    @property
    def magnitude(self) -> float:
        return largest(self.weight)

    @property
    def T(self) -> Operator:
        return Dense(self.weight.mT, self.out_shape, self.relative_error)

    @property
    def matrices(self) -> Tensor:
        return self.weight

    @property
    def knows_entries(self) -> bool:
        return True

    def entrywise(self, function: Callable[[Tensor], Tensor]) -> Operator:
        return Dense(function(self.weight), self.in_shape, self.relative_error)

    def scaled_outputs(self, scale: Tensor, relative_error: float) -> Operator | None:
        factors = along(scale, self.out_shape, -1)
        weight = None if factors is None else product(self.weight, factors.unsqueeze(-1))
        return None if weight is None else Dense(weight, self.in_shape, relative_error)

    def scaled_inputs(self, scale: Tensor, relative_error: float) -> Operator | None:
        factors = along(scale, self.in_shape, -1)
        weight = None if factors is None else product(self.weight, factors)
        return None if weight is None else Dense(weight, self.in_shape, relative_error)

    def _cast(self, dtype: torch.dtype, device: torch.device) -> Operator:
        return self._with(weight=self.weight.to(device, dtype))
