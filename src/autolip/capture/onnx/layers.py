"""ONNX operators with weights or windows: matrix products, convolutions, pooling."""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from autolip.capture.onnx.operators import onnx_operator
from autolip.errors import UnsupportedOperation

CONVOLUTION: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSED: dict[int, Callable[..., Tensor]] = {
    1: F.conv_transpose1d,
    2: F.conv_transpose2d,
    3: F.conv_transpose3d,
}
MAX_POOL: dict[int, Callable[..., Tensor]] = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
AVERAGE_POOL: dict[int, Callable[..., Tensor]] = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


@onnx_operator("MatMul")
def matmul(a: Tensor, b: Tensor) -> Tensor:
    return torch.matmul(a, b)


@onnx_operator("Gemm")
def gemm(
    a: Tensor,
    b: Tensor,
    c: Tensor | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
    broadcast: int = 0,
) -> Tensor:
    """`alpha A B + beta C`, the matrices transposed on request and C broadcast."""
    a = a.t() if transA else a
    b = b.t() if transB else b
    if c is not None:
        return torch.addmm(c, a, b, beta=beta, alpha=alpha)
    return torch.mm(a, b) if alpha == 1.0 else alpha * torch.mm(a, b)


@onnx_operator("Einsum")
def einsum(*tensors: Tensor, equation: str) -> Tensor:
    return torch.einsum(equation, *tensors)


def _for_rank(table: dict[int, Callable[..., Tensor]], axes: int) -> Callable[..., Tensor]:
    if axes not in table:
        raise UnsupportedOperation(f"it has {axes} spatial axes; 1 to 3 are supported")
    return table[axes]


def pooling_padding(
    sizes: Sequence[int],
    spans: Sequence[int],
    strides: Sequence[int],
    auto_pad: str,
    pads: list[int] | None,
) -> tuple[list[int], list[int]]:
    """Padding before and after each spatial axis, for windows that cover `spans` elements."""
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        totals = [
            max(0, (math.ceil(size / stride) - 1) * stride + span - size)
            for size, span, stride in zip(sizes, spans, strides, strict=True)
        ]
        halves = [total // 2 for total in totals]
        rests = [total - total // 2 for total in totals]
        return (halves, rests) if auto_pad == "SAME_UPPER" else (rests, halves)
    if auto_pad not in ("NOTSET", "VALID"):
        raise UnsupportedOperation(f"auto_pad = {auto_pad}")
    if auto_pad == "NOTSET" and pads:
        return pads[: len(spans)], pads[len(spans) :]
    return [0] * len(spans), [0] * len(spans)


def _pad(x: Tensor, before: Sequence[int], after: Sequence[int], value: float = 0.0) -> Tensor:
    amounts = [
        amount for pair in zip(reversed(before), reversed(after), strict=True) for amount in pair
    ]
    return F.pad(x, amounts, value=value) if any(amounts) else x


def _spans(kernel: Sequence[int], dilations: Sequence[int]) -> list[int]:
    return [dilation * (size - 1) + 1 for size, dilation in zip(kernel, dilations, strict=True)]


@onnx_operator("Conv")
def convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    axes = weight.dim() - 2
    strides = strides or [1] * axes
    dilations = dilations or [1] * axes
    spans = _spans(weight.shape[2:], dilations)
    spatial = x.shape[2:]
    before, after = pooling_padding(spatial, spans, strides, auto_pad, pads)
    if before != after:
        x = _pad(x, before, after)
        before = [0] * axes
    return _for_rank(CONVOLUTION, axes)(x, weight, bias, strides, before, dilations, group)


def _cropping(
    full: list[int], target: list[int] | None, auto_pad: str, pads: list[int] | None
) -> tuple[list[int], list[int]]:
    """What a transposed convolution cuts off at both ends of each axis of its full output.

    An odd amount is refused: version 1 and version 11 of the operator put the odd element at
    opposite ends.
    """
    if target is None:
        return pooling_padding(full, full, full, auto_pad, pads)
    totals = [size - wanted for size, wanted in zip(full, target, strict=True)]
    if any(total < 0 or total % 2 for total in totals):
        raise UnsupportedOperation(
            f"it must cut {totals} elements in all, which is ambiguous; use explicit pads"
        )
    return [total // 2 for total in totals], [total // 2 for total in totals]


@onnx_operator("ConvTranspose")
def transposed_convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    output_padding: list[int] | None = None,
    output_shape: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    axes = weight.dim() - 2
    sizes = list(x.shape[2:])
    strides = strides or [1] * axes
    dilations = dilations or [1] * axes
    extra = output_padding or [0] * axes
    spans = _spans(weight.shape[2:], dilations)
    geometry = zip(sizes, strides, spans, extra, strict=True)
    full = [(size - 1) * stride + span + more for size, stride, span, more in geometry]
    same = [size * stride for size, stride in zip(sizes, strides, strict=True)]
    target = output_shape or (same if auto_pad.startswith("SAME") else None)
    before, after = _cropping(full, target, auto_pad, pads)
    transposed = _for_rank(TRANSPOSED, axes)
    if before == after:
        return transposed(x, weight, bias, strides, before, extra, group, dilations)
    nothing = [0] * axes
    y = transposed(x, weight, bias, strides, nothing, extra, group, dilations)
    cuts = zip(before, full, after, strict=True)
    kept = [slice(cut, size - end) for cut, size, end in cuts]
    return y[(slice(None), slice(None), *kept)]


def _overhang(
    sizes: Sequence[int],
    spans: Sequence[int],
    strides: Sequence[int],
    before: Sequence[int],
    after: Sequence[int],
    ceil_mode: int,
) -> list[int]:
    """How far the last window of each axis reaches beyond the data: the padding that is really
    needed there.

    In ceil mode a window is dropped if it would start in the padding at the end.
    """
    overhang = []
    for size, span, stride, head, tail in zip(sizes, spans, strides, before, after, strict=True):
        padded = size + head + tail
        room = padded - span
        steps = -(-room // stride) if ceil_mode else room // stride
        last = steps * stride
        if ceil_mode and last >= size + head:
            last -= stride
        overhang.append(max(0, last + span - size - head))
    return overhang


@onnx_operator("MaxPool")
def max_pool(
    x: Tensor,
    *,
    kernel_shape: list[int],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: list[int] | None = None,
    pads: list[int] | None = None,
    storage_order: int = 0,
    strides: list[int] | None = None,
) -> Tensor:
    axes = len(kernel_shape)
    strides = strides or [1] * axes
    dilations = dilations or [1] * axes
    spans = _spans(kernel_shape, dilations)
    pool = _for_rank(MAX_POOL, axes)
    before, after = pooling_padding(x.shape[2:], spans, strides, auto_pad, pads)
    if before == after and _fits(before, kernel_shape):
        return pool(x, kernel_shape, strides, before, dilations, bool(ceil_mode))
    tail = _overhang(x.shape[2:], spans, strides, before, after, ceil_mode)
    return pool(_pad(x, before, tail, -math.inf), kernel_shape, strides, 0, dilations)


@onnx_operator("AveragePool")
def average_pool(
    x: Tensor,
    *,
    kernel_shape: list[int],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    dilations: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    axes = len(kernel_shape)
    if any(dilation != 1 for dilation in dilations or []):
        raise UnsupportedOperation("average pooling with dilation; write it as a convolution")
    strides = strides or [1] * axes
    pool = _for_rank(AVERAGE_POOL, axes)
    before, after = pooling_padding(x.shape[2:], kernel_shape, strides, auto_pad, pads)
    if before == after and _fits(before, kernel_shape):
        return pool(x, kernel_shape, strides, before, bool(ceil_mode), bool(count_include_pad))
    tail = _overhang(x.shape[2:], kernel_shape, strides, before, after, ceil_mode)
    counted = _counted(x, before, after, tail, count_include_pad)
    return pool(_pad(x, before, tail), kernel_shape, strides) / pool(counted, kernel_shape, strides)


def _counted(
    x: Tensor, before: list[int], after: list[int], tail: list[int], count_include_pad: int
) -> Tensor:
    """One where an element counts in its window's mean, else zero; `tail` cuts or extends the
    end."""
    data = torch.ones(1, 1, *x.shape[2:], dtype=x.dtype, device=x.device)
    ones = _pad(data, before, after, float(count_include_pad))
    beyond = [needed - given for needed, given in zip(tail, after, strict=True)]
    return _pad(ones, [0] * len(before), beyond)


def _fits(padding: Sequence[int], kernel: Sequence[int]) -> bool:
    """torch pools pad by at most half a window."""
    return all(2 * amount <= size for amount, size in zip(padding, kernel, strict=True))


@onnx_operator("GlobalAveragePool")
def global_average_pool(x: Tensor) -> Tensor:
    return torch.mean(x, list(range(2, x.dim())), keepdim=True)


@onnx_operator("GlobalMaxPool")
def global_max_pool(x: Tensor) -> Tensor:
    return torch.amax(x, list(range(2, x.dim())), keepdim=True)
