"""Wiring: maps whose matrix has entries 0 and 1."""

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from autolip.operators.operator import DTYPE, Operator


class Incidence(Operator):
    """A linear map with a 0/1 matrix, given as a function of one tensor: reshapes, slices, padding, sums.

    The function is mapped over a batch by `torch.vmap`; the adjoint is its vector-Jacobian product.
    """

    def __init__(
        self,
        function: Callable[[Tensor], Tensor],
        in_shape: tuple[int, ...],
        out_shape: tuple[int, ...] | None = None,
    ) -> None:
        if out_shape is None:
            out_shape = function(torch.zeros(in_shape, dtype=DTYPE, device="meta")).shape
        super().__init__(in_shape, out_shape)
        self.function = function

    def _mv(self, x: Tensor) -> Tensor:
        return torch.vmap(self.function)(x)

    def _rmv(self, y: Tensor) -> Tensor:
        zeros = torch.zeros((y.shape[0], *self.in_shape), dtype=y.dtype, device=y.device)
        pull = torch.func.vjp(torch.vmap(self.function), zeros)[1]
        return pull(y)[0]

    @functools.cached_property
    def out_counts(self) -> Tensor:
        """How many inputs each output adds."""
        return self._mv(torch.ones((1, *self.in_shape), dtype=DTYPE))[0]

    @functools.cached_property
    def in_counts(self) -> Tensor:
        """How many outputs use each input."""
        return self._rmv(torch.ones((1, *self.out_shape), dtype=DTYPE))[0]

    @functools.cached_property
    def terms(self) -> int:
        counts = [c.max().item() for c in (self.out_counts, self.in_counts) if c.numel()]
        return int(max(counts, default=0))

    @functools.cached_property
    def is_selection(self) -> bool:
        """Whether every output copies at most one input."""
        return not self.out_counts.numel() or self.out_counts.max().item() <= 1

    @functools.cached_property
    def is_isometry(self) -> bool:
        return self.in_size == self.out_size and bool((self.out_counts == 1).all() and (self.in_counts == 1).all())

    @property
    def magnitude(self) -> float:
        return float(self.terms > 0)

    def entrywise(self, function: Callable[[Tensor], Tensor]) -> Operator:
        one = function(torch.ones((), dtype=DTYPE))
        if one == 1:
            return self
        from autolip.operators.algebra import compose
        from autolip.operators.diagonal import Diagonal

        return compose(Diagonal(one, self.out_shape), self)
