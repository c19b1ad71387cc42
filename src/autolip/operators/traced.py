"""Any other linear function of one tensor."""

from collections.abc import Callable

import torch
from torch import Tensor

from autolip.operators.algebra import compose
from autolip.operators.diagonal import Diagonal
from autolip.operators.operator import DTYPE, Operator


class Traced(Operator):
    """A linear map given as a function of one tensor; the adjoint by automatic differentiation.

    `nonnegative` promises that no entry of its matrix is negative.
    """

    def __init__(
        self,
        function: Callable[[Tensor], Tensor],
        in_shape: tuple[int, ...],
        *,
        terms: int,
        nonnegative: bool = False,
    ) -> None:
        probe = function(torch.zeros(in_shape, dtype=DTYPE))
        super().__init__(in_shape, probe.shape)
        self.function = function
        self.nonnegative = nonnegative
        self._terms = terms

    def _mv(self, x: Tensor) -> Tensor:
        return torch.vmap(self.function)(x)

    def _rmv(self, y: Tensor) -> Tensor:
        shape = (y.shape[0], *self.in_shape)
        zeros = torch.zeros(shape, dtype=y.dtype, device=y.device)
        batched = torch.vmap(self.function)
        pull = torch.func.vjp(batched, zeros)[1]
        return pull(y)[0]

    @property
    def terms(self) -> int:
        return self._terms

    @property
    def work(self) -> float:
        return float(self._terms * self.out_size)

    @property
    def is_nonnegative(self) -> bool:
        return self.nonnegative

    def split(self) -> tuple[Operator, Operator] | None:
        if not self.nonnegative:
            return None
        nothing = torch.zeros((), dtype=DTYPE)
        zero = Diagonal(nothing, self.out_shape)
        return self, compose(zero, self)
