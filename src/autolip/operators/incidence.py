"""Wiring: maps whose matrix has entries 0 and 1."""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from autolip.operators.algebra import compose
from autolip.operators.diagonal import Diagonal
from autolip.operators.operator import DTYPE, Operator


@dataclass(frozen=True)
class _Wires:
    """Which entries are copied where, both flattened; None for all of them, in order."""

    sources: Tensor | None
    targets: Tensor | None

    def on(self, device: torch.device) -> "_Wires":
        """The same table on a device."""
        return _Wires(
            *(None if table is None else table.to(device) for table in (self.sources, self.targets))
        )


class Incidence(Operator):
    """A linear map with a 0/1 matrix, given as a function of one tensor: reshapes, slices, padding,
    sums.

    Where every output copies at most one input, products are made by the table of copies; elsewhere
    the function is mapped over a batch by `torch.vmap`, and the adjoint is its vector-Jacobian
    product.
    """

    def __init__(
        self,
        function: Callable[[Tensor], Tensor],
        in_shape: tuple[int, ...],
        out_shape: tuple[int, ...] | None = None,
    ) -> None:
        if out_shape is None:
            probe = torch.zeros(in_shape, dtype=DTYPE, device="meta")
            out_shape = function(probe).shape
        super().__init__(in_shape, out_shape)
        self.function = function

    def _mv(self, x: Tensor) -> Tensor:
        wires = self._wires
        if wires is None or wires.targets is not None:
            return torch.vmap(self.function)(x)
        rows = x.reshape(-1, self.in_size)
        copied = rows if wires.sources is None else rows.index_select(1, wires.sources)
        return copied.reshape(-1, *self.out_shape)

    def _rmv(self, y: Tensor) -> Tensor:
        wires = self._wires
        if wires is None:
            return self._pulled(y)
        rows = y.reshape(-1, self.out_size)
        copied = rows if wires.targets is None else rows.index_select(1, wires.targets)
        if wires.sources is not None:
            none = y.new_zeros((len(y), self.in_size))
            copied = none.index_add_(1, wires.sources, copied)
        return copied.reshape(-1, *self.in_shape)

    def _cast(self, dtype: torch.dtype, device: torch.device) -> Operator:
        """The same map with its table on a device."""
        twin = Incidence(self.function, self.in_shape, self.out_shape)
        twin._wires = self._wires and self._wires.on(device)
        return twin

    @property
    def is_wiring(self) -> bool:
        return True

    def _pulled(self, y: Tensor) -> Tensor:
        """A^T y by differentiation."""
        shape = (y.shape[0], *self.in_shape)
        zeros = torch.zeros(shape, dtype=y.dtype, device=y.device)
        batched = torch.vmap(self.function)
        pull = torch.func.vjp(batched, zeros)[1]
        return pull(y)[0]

    @functools.cached_property
    def _wires(self) -> _Wires | None:
        """Read off the image of 1, 2, 3, ...; None where entries are added, or there are none."""
        if not (self.in_size and self.out_size and self.is_selection):
            return None
        numbered = torch.arange(1, self.in_size + 1, dtype=DTYPE)
        numbers = numbered.reshape(self.in_shape)
        image = self.function(numbers).reshape(-1).long()
        targets = image.nonzero().flatten()
        sources = image[targets] - 1
        in_order = len(sources) == self.in_size and bool(
            (sources == torch.arange(self.in_size)).all()
        )
        return _Wires(
            None if in_order else sources, None if len(targets) == self.out_size else targets
        )

    @functools.cached_property
    def out_counts(self) -> Tensor:
        return self.function(torch.ones(self.in_shape, dtype=DTYPE))

    @functools.cached_property
    def terms(self) -> int:
        counts = [c.max().item() for c in (self.out_counts, self.in_counts) if c.numel()]
        return int(max(counts, default=0))

    @functools.cached_property
    def is_isometry(self) -> bool:
        return self.in_size == self.out_size and bool(
            (self.out_counts == 1).all() and (self.in_counts == 1).all()
        )

    @property
    def magnitude(self) -> float:
        return float(self.terms > 0)

    @property
    def knows_entries(self) -> bool:
        return True

    def entrywise(self, function: Callable[[Tensor], Tensor]) -> Operator:
        one = function(torch.ones((), dtype=DTYPE))
        if one == 1:
            return self
        return compose(Diagonal(one, self.out_shape), self)
