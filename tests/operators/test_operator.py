"""Operators in other formats and on other devices agree with themselves."""

import pytest
import torch
from torch import Tensor

from autolip.operators import Operator
from autolip.operators.operator import DTYPE

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_products_agree_within_the_format(
    operator: Operator, dtype: torch.dtype, device: str
) -> None:
    twin = operator.cast(dtype, torch.device(device))
    generator = torch.Generator().manual_seed(0)
    for shape, here, there in (
        (operator.in_shape, operator.mv, twin.mv),
        (operator.out_shape, operator.rmv, twin.rmv),
    ):
        x = torch.randn((3, *shape), generator=generator, dtype=DTYPE)
        product: Tensor = there(x.to(device, dtype))
        assert (product.dtype, product.device.type) == (dtype, device)
        expected = here(x)
        assert torch.allclose(
            product.to("cpu", DTYPE),
            expected,
            rtol=0,
            atol=1e-5 * (1 + float(expected.abs().max())),
        )
