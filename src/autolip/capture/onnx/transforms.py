"""ONNX operators that transform along an axis: complex numbers are pairs along the last one."""

import torch
from torch import Tensor

from autolip.capture.onnx.operators import onnx_operator
from autolip.errors import UnsupportedOperation


@onnx_operator("DFT", since=17)
def transform_of_axis(
    x: Tensor,
    length: int | None = None,
    *,
    axis: int = 1,
    inverse: int = 0,
    onesided: int = 0,
) -> Tensor:
    """Before opset 20 the axis is an attribute."""
    return transform(x, length, axis, inverse=inverse, onesided=onesided)


@onnx_operator("DFT", since=20)
def transform(
    x: Tensor,
    length: int | None = None,
    axis: int = -2,
    *,
    inverse: int = 0,
    onesided: int = 0,
) -> Tensor:
    """The discrete Fourier transform of real numbers, or of pairs."""
    if onesided and inverse:
        raise UnsupportedOperation("the inverse of a one-sided transform: give both sides")
    place = axis % x.dim()
    is_real = x.shape[-1] == 1
    value = x.squeeze(-1) if is_real else torch.view_as_complex(x.contiguous())
    if inverse:
        result = torch.fft.ifft(value, length, place)
    else:
        result = (torch.fft.rfft if onesided else torch.fft.fft)(value, length, place)
    return torch.view_as_real(result.resolve_conj())
