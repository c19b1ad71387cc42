"""The start that the symbol gives, against symbols and against dense references."""

import math

import pytest
import torch

from autolip.operators import Convolution, Geometry
from autolip.operators.norms import NormOptions
from autolip.operators.norms.symbol.bound import symbol_norm
from autolip.operators.norms.symbol.wave import reached, wave
from autolip.values import Upper


def convolution(weight: tuple[int, ...], image: tuple[int, ...], **geometry: object) -> Convolution:
    generator = torch.Generator().manual_seed(sum(weight))
    kernel = torch.randn(weight, generator=generator, dtype=torch.float64)
    dims = len(image) - 1
    chosen = {"stride": (1,) * dims, "padding": (1,) * dims, "dilation": (1,) * dims} | geometry
    return Convolution(kernel, image, Geometry(**chosen))  # type: ignore[arg-type]


SHAPES = {
    "outward": convolution((3, 5, 3, 3), (5, 40, 48)),
    "inward": convolution((6, 2, 3, 3), (2, 40, 40)),
    "strided": convolution((4, 3, 4, 4), (3, 80, 80), stride=(2, 2)),
    "few channels in, strided": convolution(
        (20, 1, 2, 2), (1, 80, 80), stride=(2, 2), padding=(0, 0)
    ),
    "dilated": convolution((3, 3, 3, 3), (3, 60, 60), dilation=(2, 3)),
    "dilated, inward": convolution((6, 2, 3, 3), (2, 60, 60), dilation=(2, 2)),
    "strided and dilated": convolution((2, 3, 3, 3), (3, 120, 120), stride=(4, 4), dilation=(2, 6)),
    "grouped": convolution((4, 2, 3, 3), (4, 40, 40), groups=2),
    "depthwise": convolution((3, 1, 5, 5), (3, 60, 60), groups=3),
    "transposed": convolution((3, 5, 3, 3), (3, 40, 40), transposed=True),
    "transposed, inward": convolution((5, 2, 3, 3), (5, 40, 40), transposed=True, stride=(1, 1)),
    "transposed, strided": convolution((3, 4, 4, 4), (3, 30, 30), transposed=True, stride=(2, 2)),
    "a row": convolution((3, 2, 1, 5), (2, 10, 60), padding=(0, 2)),
    "a point": convolution((3, 2, 1, 1), (2, 10, 10), padding=(0, 0)),
    "a line": convolution((3, 2, 7), (2, 100)),
    "a solid": convolution((2, 2, 3, 3, 3), (2, 24, 24, 24)),
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_wave_nearly_reaches_the_symbol(name: str) -> None:
    operator = SHAPES[name]
    x = wave(operator)
    gain = (operator.mv(x).norm() / x.norm()).item()
    symbol = symbol_norm(operator, NormOptions())
    assert isinstance(symbol, Upper) and gain <= symbol.value
    assert gain >= symbol.value * (
        0.6 if name == "few channels in, strided" else 0.97
    )  # there the channels are random
    after = reached(operator, 12).value
    assert 0.97 * symbol.value <= after <= symbol.value


@pytest.mark.parametrize("name", ["outward", "inward"])
def test_what_is_reached_is_below_the_norm_and_close(name: str) -> None:
    whole = SHAPES[name]
    operator = Convolution(whole.weight, (whole.image_shape[0], 6, 5), whole.geometry)
    matrix = operator.mv(
        torch.eye(operator.in_size, dtype=torch.float64).reshape(-1, *operator.in_shape)
    ).flatten(1)
    norm = torch.linalg.matrix_norm(matrix, 2).item()
    values = [reached(operator, steps).value for steps in (1, 4, 30)]
    assert values == sorted(values) and values[-1] == pytest.approx(norm, rel=1e-9)


def test_enough_ends_the_steps_and_scale_does_not_matter() -> None:
    operator = SHAPES["outward"]
    assert (
        reached(operator, 30, enough=0.1).value
        == reached(operator, 1).value
        < reached(operator, 30).value
    )
    for exponent in (-600, 600):
        scaled = Convolution(operator.weight * 2.0**exponent, operator.in_shape, operator.geometry)
        assert reached(scaled, 3).value == math.ldexp(reached(operator, 3).value, exponent)


def test_a_kernel_of_zeros_or_of_undefined_numbers_reaches_nothing() -> None:
    for entry in (0.0, math.nan, math.inf):
        weight = torch.full((2, 2, 3, 3), entry, dtype=torch.float64)
        operator = Convolution(weight, (2, 5, 5), SHAPES["outward"].geometry)
        assert reached(operator, 3).value == 0
