"""Every operator obeys the public law, and the law notices operators that do not.

Covers autolip.testing.operators.

Covers autolip.operators.operator, autolip.operators.dense, autolip.operators.diagonal,
autolip.operators.convolution, autolip.operators.kernel, autolip.operators.incidence,
autolip.operators.block, autolip.operators.scaling, autolip.operators.traced, and the law itself,
autolip.testing.operators.
"""

import pytest
import torch
from torch import Tensor

from autolip.operators import Adjoint, Dense, Diagonal, Operator
from autolip.operators.operator import CPU
from autolip.testing import LawViolation, check_operator

from .conftest import CONVOLUTIONS, convolution


def test_every_operator_is_one_matrix(operator: Operator) -> None:
    check_operator(operator)


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_rows_of_a_convolution_are_read_off(name: str) -> None:
    conv = convolution(name)
    units = torch.eye(conv.out_size, dtype=torch.float64).reshape(-1, *conv.out_shape)
    units = torch.cat([units.flip(0), torch.zeros_like(units[:1])])
    torch.testing.assert_close(conv.rmv_units(units), conv.rmv(units), rtol=0, atol=0)


class Wrong(Dense):
    """A matrix with one mistake."""

    def __init__(self, mistake: str) -> None:
        super().__init__(torch.tensor([[1.0, -2.0], [3.0, 0.5]]))
        self.mistake = mistake

    def _rmv(self, y: Tensor) -> Tensor:
        return y @ (self.weight.T if self.mistake == "adjoint" else self.weight)

    def majorant(self) -> Operator | None:
        return Dense(self.weight) if self.mistake == "majorant" else super().majorant()

    def split(self) -> tuple[Operator, Operator] | None:
        parts = super().split()
        return parts[::-1] if parts and self.mistake == "split" else parts

    @property
    def terms(self) -> int:
        return 1 if self.mistake == "terms" else 2

    @property
    def magnitude(self) -> float:
        return 2.9 if self.mistake == "magnitude" else 3.0

    @property
    def T(self) -> Operator:
        if self.mistake == "is_composite":
            return Adjoint(self)
        return Dense(self.weight if self.mistake == "T" else self.weight.T)

    @property
    def diagonal(self) -> Tensor | None:
        return self.weight.diagonal() if self.mistake == "diagonal" else None

    @property
    def matrices(self) -> Tensor:
        return self.weight + (1e-9 if self.mistake == "matrices" else 0.0)

    @property
    def is_isometry(self) -> bool:
        return self.mistake == "is_isometry"

    @property
    def is_nonnegative(self) -> bool:
        return self.mistake == "is_nonnegative"

    @property
    def is_wiring(self) -> bool:
        return self.mistake == "is_wiring"

    @property
    def is_zero(self) -> bool:
        return self.mistake == "is_zero"

    @property
    def is_composite(self) -> bool:
        return self.mistake == "is_composite"

    @property
    def knows_entries(self) -> bool:
        return self.mistake != "knows_entries"

    def scaled_outputs(self, scale: Tensor, relative_error: float) -> Operator | None:
        return super().scaled_outputs(scale + (self.mistake == "scaled"), relative_error)

    def mv_units(self, units: Tensor) -> Tensor:
        return super().mv_units(units) + (self.mistake == "units")

    def cast(self, dtype: torch.dtype, device: torch.device = CPU) -> Operator:
        wrong = Dense(1.01 * self.weight) if self.mistake == "cast" else super()
        return wrong.cast(dtype, device)

    def entrywise(self, function):  # type: ignore[no-untyped-def]
        return Dense(function(self.weight) + (1e-9 if self.mistake == "entries" else 0.0))


MISTAKES = (
    "adjoint majorant split terms magnitude T entries diagonal matrices is_isometry is_nonnegative "
    "is_wiring is_zero is_composite knows_entries scaled units cast"
)


@pytest.mark.parametrize("mistake", MISTAKES.split())
def test_the_law_notices(mistake: str) -> None:
    check_operator(Wrong("none"))
    with pytest.raises(LawViolation):
        check_operator(Wrong(mistake))


def test_a_product_wants_the_operators_shape() -> None:
    with pytest.raises(ValueError, match="wants"):
        Diagonal(torch.ones(3), (3,)).mv(torch.zeros(1, 4))
