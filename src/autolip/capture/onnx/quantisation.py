"""ONNX operators of quantised networks: numbers on a grid, held as floating-point numbers."""

import torch
from torch import Tensor

from autolip.capture.onnx.operators import onnx_operator
from autolip.errors import UnsupportedOperation

RANGES = {
    torch.uint8: (0, 255),
    torch.int8: (-128, 127),
    torch.int16: (-32768, 32767),
    torch.int32: (0, 65535),
}
"""Integers of a zero point's type; 16 bits without a sign are held in 32."""


def _along(parameter: Tensor, x: Tensor, axis: int, block: int) -> Tensor:
    """A number, one for each place of an axis, or one for each block of it."""
    if parameter.dim() == 0 or parameter.numel() == 1:
        return parameter.reshape(())
    if block:
        wide = parameter.repeat_interleave(block, axis)
        return wide.narrow(axis, 0, x.shape[axis])
    shape = [1] * x.dim()
    shape[axis] = -1
    return parameter.reshape(shape)


@onnx_operator("DequantizeLinear", since=10)
def dequantize(
    x: Tensor,
    scale: Tensor,
    zero_point: Tensor | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
    like: Tensor,
) -> Tensor:
    """`(x - zero_point) scale`."""
    numbers = x.to(like.dtype)
    if zero_point is not None:
        numbers = numbers - _along(zero_point, x, axis, block_size).to(like.dtype)
    return numbers * _along(scale, x, axis, block_size)


@onnx_operator("QuantizeLinear", since=10)
def quantize(
    x: Tensor,
    scale: Tensor,
    zero_point: Tensor | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
    precision: int = 0,
    saturate: int = 1,
    like: Tensor,
) -> Tensor:
    """`round(x / scale) + zero_point`, clipped to the integers of the zero point's type."""
    if output_dtype and zero_point is None:
        raise UnsupportedOperation("an output type without a zero point: give a zero point")
    low, high = RANGES.get(torch.uint8 if zero_point is None else zero_point.dtype, (0, -1))
    if low > high:
        raise UnsupportedOperation("quantisation to a floating type")
    numbers = torch.round(x / _along(scale, x, axis, block_size))
    if zero_point is not None:
        numbers = numbers + _along(zero_point, x, axis, block_size).to(like.dtype)
    return torch.clamp(numbers, low, high)
