"""ONNX Resize and Upsample: separable interpolation, one constant matrix per axis."""

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from autolip.capture.onnx.operators import onnx_operator
from autolip.errors import UnsupportedOperation

ROUNDING: dict[str, Callable[[float], int]] = {
    "round_prefer_floor": lambda x: math.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: math.floor(x + 0.5),
    "floor": math.floor,
    "ceil": math.ceil,
}
Plan = list[tuple[int, float, int]]
LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


@onnx_operator("Upsample")
def upsample(x: Tensor, scales: list[float], *, mode: str = "nearest") -> Tensor:
    """`scales` is an attribute in opset 7 and 8, an input in opset 9."""
    return resize_by_scales(x, scales, mode=mode)


@onnx_operator("Resize", since=10)
def resize_by_scales(x: Tensor, scales: list[float], *, mode: str = "nearest") -> Tensor:
    return resize(
        x,
        None,
        scales,
        mode=mode,
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )


@onnx_operator("Resize", since=11)
def resize(
    x: Tensor,
    roi: list[float] | None = None,
    scales: list[float] | None = None,
    sizes: list[int] | None = None,
    *,
    antialias: int = 0,
    axes: list[int] | None = None,
    coordinate_transformation_mode: str = "half_pixel",
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
    extrapolation_value: float = 0.0,
    keep_aspect_ratio_policy: str = "stretch",
    mode: str = "nearest",
    nearest_mode: str = "round_prefer_floor",
) -> Tensor:
    """Interpolation along each axis; what torch has under a name of its own is called by that
    name."""
    if antialias or keep_aspect_ratio_policy != "stretch":
        raise UnsupportedOperation(
            "antialias or keep_aspect_ratio_policy; resize before the network"
        )
    coordinates = coordinate_transformation_mode
    plan = _plan(x, axes, scales, sizes)
    torch_mode = None if exclude_outside else _torch_mode(x, plan, mode, coordinates, nearest_mode)
    if torch_mode is not None:
        lengths = {axis: length for axis, _, length in plan}
        target = [lengths.get(axis, x.shape[axis]) for axis in range(2, x.dim())]
        corners = coordinates == "align_corners" if mode == "linear" else None
        return F.interpolate(x, target, mode=torch_mode, align_corners=corners)
    weights = _weights(mode, nearest_mode, cubic_coeff_a)
    for axis, factor, length in plan:
        size = x.shape[axis]
        source = _source(coordinates, size, length, factor)
        rows = [_row(weights(source(i)), x.shape[axis], exclude_outside) for i in range(length)]
        x = _along_axis(x, axis, rows)
    return x


def _plan(
    x: Tensor, axes: list[int] | None, scales: list[float] | None, sizes: list[int] | None
) -> Plan:
    """The axes to resize, by which factor, and to which length."""
    axes = [axis % x.dim() for axis in axes] if axes else list(range(x.dim()))
    if sizes:
        entries = [
            (axis, size / x.shape[axis], size) for axis, size in zip(axes, sizes, strict=True)
        ]
    elif scales:
        entries = [
            (axis, scale, _length(x.shape[axis], scale))
            for axis, scale in zip(axes, scales, strict=True)
        ]
    else:
        raise UnsupportedOperation("neither scales nor sizes are given")
    return [(axis, factor, length) for axis, factor, length in entries if factor != 1.0]


def _length(size: int, scale: float) -> int:
    """`floor(scale size)` in the single precision of `scale`: 3 times 5/3 is 5."""
    return math.floor(np.float32(scale) * np.float32(size))


def _torch_mode(x: Tensor, plan: Plan, mode: str, coordinates: str, rounding: str) -> str | None:
    """The mode of `F.interpolate` that is the same function, if there is one."""
    exact = all(x.shape[axis] * factor == length for axis, factor, length in plan)
    if x.dim() - 2 not in LINEAR or any(axis < 2 for axis, _, _ in plan) or not exact:
        return None
    if mode == "linear" and coordinates in ("half_pixel", "align_corners"):
        return LINEAR[x.dim() - 2]
    repeats = all(factor.is_integer() for _, factor, _ in plan)
    return (
        "nearest"
        if mode == "nearest" and repeats and (coordinates, rounding) in REPETITIONS
        else None
    )


# Where an integer factor s makes output i of the nearest interpolation the input floor(i / s).
REPETITIONS = {
    ("asymmetric", "floor"),
    ("half_pixel", "round_prefer_floor"),
    ("half_pixel", "round_prefer_ceil"),
}


def _source(coordinates: str, size: int, length: int, factor: float) -> Callable[[int], float]:
    """The input coordinate that output element `i` stands for."""
    stretched = factor * size
    if coordinates == "align_corners":
        if abs(stretched - length) > 1e-4:
            raise UnsupportedOperation(
                "align_corners with a fractional length is ambiguous; give sizes"
            )
        return lambda i: i * (size - 1) / max(length - 1, 1)
    if coordinates == "asymmetric":
        return lambda i: i / factor
    if coordinates == "pytorch_half_pixel" and stretched == 1:
        return lambda i: -0.5
    if coordinates in ("half_pixel", "pytorch_half_pixel"):
        return lambda i: (i + 0.5) / factor - 0.5
    if coordinates == "tf_half_pixel_for_nn":
        return lambda i: (i + 0.5) / factor
    if coordinates == "half_pixel_symmetric":
        missing = 1 - length / stretched
        offset = size / 2 * missing
        return lambda i: offset + (i + 0.5) / factor - 0.5
    raise UnsupportedOperation(f"the coordinate transformation {coordinates}")


def _weights(mode: str, rounding: str, a: float) -> Callable[[float], dict[int, float]]:
    """The weight of each input element at a coordinate, elements outside the data included."""
    if mode == "nearest":
        return lambda x: {ROUNDING[rounding](x): 1.0}
    if mode == "linear":
        return lambda x: {math.floor(x) + k: 1 - abs(x - math.floor(x) - k) for k in (0, 1)}
    if mode == "cubic":
        return lambda x: {
            math.floor(x) + k: _cubic(abs(x - math.floor(x) - k), a) for k in (-1, 0, 1, 2)
        }
    raise UnsupportedOperation(f"the interpolation {mode}")


def _cubic(t: float, a: float) -> float:
    """The cubic convolution kernel (Keys, 1981)."""
    if t <= 1:
        return ((a + 2) * t - (a + 3)) * t * t + 1
    return ((a * t - 5 * a) * t + 8 * a) * t - 4 * a


def _row(weights: dict[int, float], size: int, exclude_outside: int) -> list[float]:
    """One row of the interpolation matrix: elements outside the data repeat its edge, or are left
    out."""
    if exclude_outside:
        inside = {j: w for j, w in weights.items() if 0 <= j < size}
        total = sum(inside.values())
        weights = {j: w / total for j, w in inside.items()}
    row = [0.0] * size
    for j, weight in weights.items():
        row[min(max(j, 0), size - 1)] += weight
    return row


def _along_axis(x: Tensor, axis: int, matrix: list[list[float]]) -> Tensor:
    exact = torch.tensor(matrix, dtype=torch.float64, device=x.device)
    weights = exact.to(x.dtype)
    return torch.matmul(x.movedim(axis, -1), weights.t()).movedim(-1, axis)
