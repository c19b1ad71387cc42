"""ONNX operators that move elements and compute none: shapes, slices, padding, constants."""

import itertools
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from autolip.capture.onnx.operators import onnx_operator
from autolip.errors import UnsupportedOperation

Number = int | float


@onnx_operator("Constant")
def constant(
    *,
    value: Tensor | None = None,
    value_float: float | None = None,
    value_floats: list[float] | None = None,
    value_int: int | None = None,
    value_ints: list[int] | None = None,
    like: Tensor,
) -> Tensor:
    if value is not None:
        return value
    if value_float is not None or value_floats is not None:
        return torch.tensor(value_floats if value_float is None else value_float, dtype=like.dtype)
    return torch.tensor(value_ints if value_int is None else value_int, dtype=torch.int64)


@onnx_operator("ConstantOfShape")
def constant_of_shape(shape: list[int], *, value: Tensor | None = None, like: Tensor) -> Tensor:
    return (
        torch.zeros(shape, dtype=like.dtype) if value is None else value.reshape(()).repeat(shape)
    )


@onnx_operator("EyeLike")
def eye_like(x: Tensor, *, dtype: torch.dtype | None = None, k: int = 0, like: Tensor) -> Tensor:
    rows = torch.arange(x.shape[0])
    columns = torch.arange(x.shape[1])
    ones = columns - rows.unsqueeze(1) == k
    wanted = dtype or x.dtype
    return ones.to(like.dtype if wanted.is_floating_point else wanted)


@onnx_operator("Range")
def integer_range(start: Number, limit: Number, delta: Number, *, like: Tensor) -> Tensor:
    floating = any(isinstance(number, float) for number in (start, limit, delta))
    return torch.arange(start, limit, delta, dtype=like.dtype if floating else torch.int64)


@onnx_operator("Shape")
def shape_of(x: Tensor, *, start: int = 0, end: int | None = None) -> Tensor:
    return torch.tensor(x.shape[start:end], dtype=torch.int64)


@onnx_operator("Size")
def size_of(x: Tensor) -> Tensor:
    return torch.tensor(x.numel())


@onnx_operator("Reshape")
def reshape(x: Tensor, shape: list[int], *, allowzero: int = 0) -> Tensor:
    """A zero in `shape` keeps the axis as it is, unless `allowzero`."""
    if not allowzero:
        shape = [size or x.shape[axis] for axis, size in enumerate(shape)]
    return x.reshape(shape)


@onnx_operator("Flatten")
def flatten(x: Tensor, *, axis: int = 1) -> Tensor:
    axis = axis + x.dim() if axis < 0 else axis
    return x.reshape(x.shape[:axis].numel(), x.shape[axis:].numel())


@onnx_operator("Transpose")
def transpose(x: Tensor, *, perm: list[int] | None = None) -> Tensor:
    return x.permute(list(reversed(range(x.dim()))) if perm is None else perm)


@onnx_operator("Squeeze")
def squeeze(x: Tensor, axes: list[int] | None = None) -> Tensor:
    return x.squeeze() if axes is None else x.squeeze(axes)


@onnx_operator("Unsqueeze")
def unsqueeze(x: Tensor, axes: list[int]) -> Tensor:
    """The axes count in the result."""
    for axis in sorted(axis % (x.dim() + len(axes)) for axis in axes):
        x = x.unsqueeze(axis)
    return x


@onnx_operator("Concat")
def concatenate(*tensors: Tensor, axis: int = 1) -> Tensor:
    return torch.cat(tensors, axis)


@onnx_operator("Split")
def split(
    x: Tensor,
    split: list[int] | None = None,
    *,
    axis: int = 0,
    num_outputs: int | None = None,
    outputs: int,
) -> tuple[Tensor, ...]:
    """Parts of the given sizes, or as many equal parts as outputs, the last shorter if need be."""
    parts = num_outputs or outputs
    return torch.split(x, -(-x.shape[axis] // parts) if split is None else split, axis)


@onnx_operator("Slice")
def slice_axes(
    x: Tensor,
    starts: list[int],
    ends: list[int],
    axes: list[int] | None = None,
    steps: list[int] | None = None,
) -> Tensor:
    axes = axes or list(range(len(starts)))
    steps = steps or [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        places = slice(start, end, step).indices(x.shape[axis])
        x = _slice_axis(x, axis % x.dim(), range(*places))
    return x


def _slice_axis(x: Tensor, axis: int, kept: range) -> Tensor:
    ascending = kept if kept.step > 0 else kept[::-1]
    if len(ascending) == x.shape[axis]:
        part = x
    else:
        taken = slice(ascending.start, ascending.stop, ascending.step)
        part = x[(slice(None),) * axis + (taken,)]
    return part if kept.step > 0 else part.flip(axis)


@onnx_operator("Gather")
def gather(x: Tensor, indices: Tensor | int, *, axis: int = 0) -> Tensor:
    axis = axis % x.dim()
    return (
        x.select(axis, indices)
        if isinstance(indices, int)
        else x[(slice(None),) * axis + (indices,)]
    )


@onnx_operator("GatherElements")
def gather_elements(x: Tensor, indices: Tensor, *, axis: int = 0) -> Tensor:
    return torch.gather(x, axis, (indices % x.shape[axis]).long())


@onnx_operator("GatherND")
def gather_nd(x: Tensor, indices: Tensor, *, batch_dims: int = 0) -> Tensor:
    if batch_dims:
        raise UnsupportedOperation("batch_dims other than 0")
    return x[indices.unbind(-1)]


REDUCTIONS = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


@onnx_operator("ScatterElements")
def scatter_elements(
    x: Tensor, indices: Tensor, updates: Tensor, *, axis: int = 0, reduction: str = "none"
) -> Tensor:
    places = (indices % x.shape[axis]).long()
    if reduction == "none":
        return torch.scatter(x, axis, places, updates)
    return torch.scatter_reduce(x, axis, places, updates, REDUCTIONS[reduction])


onnx_operator("Scatter", since=9)(scatter_elements)


@onnx_operator("ScatterND")
def scatter_nd(x: Tensor, indices: Tensor, updates: Tensor, *, reduction: str = "none") -> Tensor:
    if reduction not in ("none", "add"):
        raise UnsupportedOperation(f"the reduction {reduction}")
    return torch.index_put(x, indices.unbind(-1), updates, accumulate=reduction == "add")


@onnx_operator("Expand")
def expand(x: Tensor, shape: list[int]) -> Tensor:
    return x.expand(torch.broadcast_shapes(x.shape, shape))


@onnx_operator("Tile")
def tile(x: Tensor, repeats: list[int]) -> Tensor:
    return x.repeat(repeats)


@onnx_operator("Compress")
def compress(x: Tensor, condition: list[bool], *, axis: int | None = None) -> Tensor:
    kept = [place for place, holds in enumerate(condition) if holds]
    x = x.reshape(-1) if axis is None else x
    return torch.index_select(x, axis or 0, torch.tensor(kept, dtype=torch.int64))


@onnx_operator("NonZero")
def nonzero(x: list[float]) -> Tensor:
    """Places of constants: how many there are is a shape."""
    return torch.nonzero(torch.tensor(x)).t()


@onnx_operator("OneHot", since=9)
def one_hot(indices: Tensor, depth: list[int] | int, values: Tensor, *, axis: int = -1) -> Tensor:
    """The second of `values` at the index along a new axis, the first elsewhere."""
    count = depth if isinstance(depth, int) else depth[0]
    axis = axis % (indices.dim() + 1)
    places = torch.arange(count).reshape([-1] + [1] * (indices.dim() - axis))
    chosen = (indices.long() % count).unsqueeze(axis) == places
    return torch.where(chosen, values[1], values[0])


@onnx_operator("ReverseSequence", since=10)
def reverse_sequence(
    x: Tensor, lengths: list[int], *, batch_axis: int = 1, time_axis: int = 0
) -> Tensor:
    """Of each sample the first entries in reverse order."""
    times = torch.arange(x.shape[time_axis])
    ends = torch.tensor(lengths).reshape(-1, 1)
    order = torch.where(times < ends, ends - 1 - times, times)
    order = order if batch_axis < time_axis else order.t()
    index = order.reshape(*order.shape, *[1] * (x.dim() - 2)).expand(x.shape)
    return torch.gather(x, time_axis, index)


@onnx_operator("Trilu")
def triangle(x: Tensor, k: int = 0, *, upper: int = 1) -> Tensor:
    return torch.triu(x, k) if upper else torch.tril(x, k)


@onnx_operator("Pad")
def pad(
    x: Tensor,
    pads: list[int],
    value: float | list[float] = 0.0,
    axes: list[int] | None = None,
    *,
    mode: str = "constant",
) -> Tensor:
    """`pads`: the amounts before each of `axes`, then those after."""
    axes = list(range(x.dim())) if axes is None else [axis % x.dim() for axis in axes]
    amounts = {axis: (pads[i], pads[i + len(axes)]) for i, axis in enumerate(axes)}
    padded_axes = [axis for axis, both in amounts.items() if any(both)]
    first = min(padded_axes, default=x.dim())
    trailing = [amounts.get(axis, (0, 0)) for axis in reversed(range(first, x.dim()))]
    if not trailing:
        return x
    if mode == "constant":
        number = value[0] if isinstance(value, list) else value
        return F.pad(x, list(itertools.chain(*trailing)), value=number)
    return _pad_from_data(x, trailing, mode)


def _pad_from_data(x: Tensor, trailing: list[tuple[int, int]], mode: str) -> Tensor:
    """torch pads the last axes of a tensor that has one or two more in front of them."""
    modes = {"reflect": "reflect", "edge": "replicate", "wrap": "circular"}
    padded = len(trailing)
    if mode not in modes or padded > 3:
        raise UnsupportedOperation(
            f"the padding mode {mode} over {padded} axes; pad at most 3, from their data"
        )
    rows = x if x.dim() - padded in (1, 2) else x.reshape(-1, *x.shape[-padded:])
    flat = list(itertools.chain(*trailing))
    result = F.pad(rows, flat, mode=modes[mode])
    return result if rows is x else result.reshape(*x.shape[:-padded], *result.shape[-padded:])


@onnx_operator("DepthToSpace")
def depth_to_space(x: Tensor, *, blocksize: int, mode: str = "DCR") -> Tensor:
    """Blocks of channels become squares of pixels; the block leads (DCR) or follows (CRD) the
    channel."""
    if mode == "CRD":
        return F.pixel_shuffle(x, blocksize)
    batch, channels, height, width = x.shape
    depth = channels // blocksize**2
    split = x.reshape(batch, blocksize, blocksize, depth, height, width)
    blocks = split.permute(0, 3, 4, 1, 5, 2)
    return blocks.reshape(batch, depth, height * blocksize, width * blocksize)


@onnx_operator("SpaceToDepth")
def space_to_depth(x: Tensor, *, blocksize: int) -> Tensor:
    batch, channels, height, width = x.shape
    rows = height // blocksize
    columns = width // blocksize
    blocks = x.reshape(batch, channels, rows, blocksize, columns, blocksize).permute(
        0, 3, 5, 1, 2, 4
    )
    return blocks.reshape(batch, channels * blocksize**2, rows, columns)


def _window(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def window(size: int, *, output_datatype: int = 1, periodic: int = 1, like: Tensor) -> Tensor:
        return function(size, periodic=bool(periodic), dtype=like.dtype)

    return window


def _hamming(size: int, **options: Any) -> Tensor:
    return torch.hamming_window(size, alpha=25 / 46, beta=21 / 46, **options)


onnx_operator("BlackmanWindow", since=17)(_window(torch.blackman_window))
onnx_operator("HammingWindow", since=17)(_window(_hamming))
onnx_operator("HannWindow", since=17)(_window(torch.hann_window))
