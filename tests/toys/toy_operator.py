"""A linear operator that nothing else of the package knows of: x_i + 2 x_{i+1} around a circle."""

import torch
from torch import Tensor

from autolip.operators.operator import Operator


class ToyCircle(Operator):
    """(A x)_i = x_i + 2 x_{i+1}, around a circle of n entries."""

    def __init__(self, n: int) -> None:
        super().__init__((n,), (n,))

    def _mv(self, x: Tensor) -> Tensor:
        return x + 2 * x.roll(-1, 1)

    def _rmv(self, y: Tensor) -> Tensor:
        return y + 2 * y.roll(1, 1)

    @property
    def terms(self) -> int:
        return 2

    @property
    def is_nonnegative(self) -> bool:
        return True

    def _cast(self, dtype: torch.dtype, device: torch.device) -> Operator:
        return self

    @classmethod
    def examples(cls) -> tuple[Operator, ...]:
        return cls(3), cls(5)
