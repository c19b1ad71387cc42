"""ONNX operators on images: sampling at places, crops, windows put together, response norms, p-norm
pooling."""

import torch
import torch.nn.functional as F
from torch import Tensor

from autolip.capture.onnx.layers import pooling_padding
from autolip.capture.onnx.operators import onnx_operator
from autolip.errors import UnsupportedOperation

SAMPLING = {
    "bilinear": "bilinear",
    "linear": "bilinear",
    "nearest": "nearest",
    "bicubic": "bicubic",
    "cubic": "bicubic",
}
"""Modes of GridSample, in opset 16 and from 20 on."""


@onnx_operator("GridSample", since=16)
def grid_sample(
    x: Tensor,
    grid: Tensor,
    *,
    mode: str = "linear",
    padding_mode: str = "zeros",
    align_corners: int = 0,
) -> Tensor:
    if mode not in SAMPLING:
        raise UnsupportedOperation(f"sampling by {mode}")
    return F.grid_sample(x, grid, SAMPLING[mode], padding_mode, bool(align_corners))


@onnx_operator("AffineGrid", since=20)
def affine_grid(theta: Tensor, size: list[int], *, align_corners: int = 0) -> Tensor:
    return F.affine_grid(theta, size, align_corners=bool(align_corners))


@onnx_operator("CenterCropPad", since=18)
def center_crop_pad(x: Tensor, shape: list[int], *, axes: list[int] | None = None) -> Tensor:
    """Every axis is cut, or filled with zeros, evenly at both ends; an odd one falls to the end."""
    chosen = range(x.dim()) if axes is None else [axis % x.dim() for axis in axes]
    for axis, size in zip(chosen, shape, strict=True):
        missing = size - x.shape[axis]
        if missing < 0:
            x = x.narrow(axis, -missing // 2, size)
        amounts = [0, 0] * (x.dim() - 1 - axis) + [missing // 2, missing - missing // 2]
        x = F.pad(x, amounts) if missing > 0 else x
    return x


@onnx_operator("Col2Im", since=18)
def columns_to_image(
    x: Tensor,
    image_shape: list[int],
    block_shape: list[int],
    *,
    dilations: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    if len(image_shape) != 2:
        raise UnsupportedOperation(f"it has {len(image_shape)} spatial axes; 2 are supported")
    before, after = (pads or [0] * 4)[:2], (pads or [0] * 4)[2:]
    if before != after:
        raise UnsupportedOperation("different pads before and after an axis")
    shapes = (tuple(image_shape), tuple(block_shape))
    steps = (tuple(dilations or [1, 1]), tuple(before), tuple(strides or [1, 1]))
    return F.fold(x, *shapes, *steps)


@onnx_operator("LRN")
def local_response_norm(
    x: Tensor, *, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0
) -> Tensor:
    """`x / (bias + alpha / size sum x^2)^beta`, over (size - 1) / 2 channels on both sides, rounded
    down before and up after."""
    before = (size - 1) // 2
    squares = (x * x).movedim(1, -1)
    padded = F.pad(squares, [before, size - 1 - before])
    sums = padded.unfold(-1, size, 1).sum(-1).movedim(-1, 1)
    return x / torch.pow(bias + alpha / size * sums, beta)


@onnx_operator("GlobalLpPool", since=2)
def global_lp_pool(x: Tensor, *, p: int = 2) -> Tensor:
    return torch.linalg.vector_norm(x, p, list(range(2, x.dim())), keepdim=True)


@onnx_operator("LpPool", since=2)
def lp_pool(
    x: Tensor,
    *,
    kernel_shape: list[int],
    p: int = 2,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    """The p-norm of each window, zeros beyond the border."""
    if ceil_mode or any(dilation != 1 for dilation in dilations or []):
        raise UnsupportedOperation("p-norm pooling with dilation, or in ceil mode")
    axes = len(kernel_shape)
    strides = strides or [1] * axes
    before, after = pooling_padding(x.shape[2:], kernel_shape, strides, auto_pad, pads)
    amounts = [n for pair in zip(before[::-1], after[::-1], strict=True) for n in pair]
    x = F.pad(x, amounts)
    for axis, (size, stride) in enumerate(zip(kernel_shape, strides, strict=True)):
        x = x.unfold(2 + axis, size, stride)
    return torch.linalg.vector_norm(x, p, list(range(-axes, 0)))
