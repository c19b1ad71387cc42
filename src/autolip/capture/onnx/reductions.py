"""ONNX operators that combine the elements along some axes: sums, extrema, norms, softmax,
top-k."""

from collections.abc import Callable

import torch
from torch import Tensor

from autolip.capture.onnx.operators import onnx_operator
from autolip.errors import UnsupportedOperation


def _product(x: Tensor, axes: list[int], keepdim: bool) -> Tensor:
    for axis in sorted((axis % x.dim() for axis in axes), reverse=True):
        x = torch.prod(x, axis, keepdim=keepdim)
    return x


def _square_sum(x: Tensor, axes: list[int], keepdim: bool) -> Tensor:
    return torch.sum(x * x, axes, keepdim)


def _log_sum(x: Tensor, axes: list[int], keepdim: bool) -> Tensor:
    return torch.log(torch.sum(x, axes, keepdim))


def _norm(order: int) -> Callable[[Tensor, list[int], bool], Tensor]:
    def apply(x: Tensor, axes: list[int], keepdim: bool) -> Tensor:
        return torch.linalg.vector_norm(x, order, axes, keepdim)

    return apply


REDUCTIONS: dict[str, Callable[[Tensor, list[int], bool], Tensor]] = {
    "ReduceL1": _norm(1),
    "ReduceL2": _norm(2),
    "ReduceLogSum": _log_sum,
    "ReduceLogSumExp": torch.logsumexp,
    "ReduceMax": torch.amax,
    "ReduceMean": torch.mean,
    "ReduceMin": torch.amin,
    "ReduceProd": _product,
    "ReduceSum": torch.sum,
    "ReduceSumSquare": _square_sum,
}


def _reduction(function: Callable[[Tensor, list[int], bool], Tensor]) -> Callable[..., Tensor]:
    def apply(
        x: Tensor,
        axes: list[int] | None = None,
        *,
        keepdims: int = 1,
        noop_with_empty_axes: int = 0,
    ) -> Tensor:
        if not axes and noop_with_empty_axes:
            raise UnsupportedOperation(
                "noop_with_empty_axes without axes; name the axes or remove the node"
            )
        return function(x, axes or list(range(x.dim())), bool(keepdims))

    return apply


for _name, _function in REDUCTIONS.items():
    onnx_operator(_name)(_reduction(_function))


def _last_extremum(x: Tensor, axis: int, largest: bool) -> Tensor:
    """The index of the last extremum: that of the first one in the reversed axis."""
    first = torch.argmax if largest else torch.argmin
    return x.shape[axis] - 1 - first(x.flip(axis), axis, keepdim=True)


@onnx_operator("ArgMax")
def argmax(x: Tensor, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Tensor:
    index = (
        _last_extremum(x, axis, True) if select_last_index else torch.argmax(x, axis, keepdim=True)
    )
    return index if keepdims else index.squeeze(axis)


@onnx_operator("ArgMin")
def argmin(x: Tensor, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Tensor:
    index = (
        _last_extremum(x, axis, False) if select_last_index else torch.argmin(x, axis, keepdim=True)
    )
    return index if keepdims else index.squeeze(axis)


@onnx_operator("Hardmax")
def hardmax_of_matrix(x: Tensor, *, axis: int = 1) -> Tensor:
    """Before opset 13: one over all axes from `axis` on."""
    return hardmax(_rows(x, axis)).reshape(x.shape)


@onnx_operator("Hardmax", since=13)
def hardmax(x: Tensor, *, axis: int = -1) -> Tensor:
    """1 at the first of the largest entries, else 0."""
    places = torch.arange(x.shape[axis], device=x.device)
    places = places.reshape([-1 if i == axis % x.dim() else 1 for i in range(x.dim())])
    return (torch.argmax(x, axis, keepdim=True) == places).to(x.dtype)


@onnx_operator("TopK")
def top_k(
    x: Tensor, k: list[int] | int, *, axis: int = -1, largest: int = 1, sorted: int = 1
) -> tuple[Tensor, Tensor]:
    count = k if isinstance(k, int) else k[0]
    is_largest = bool(largest)
    is_sorted = bool(sorted)
    values, indices = torch.topk(x, count, axis, is_largest, is_sorted)
    return values, indices


@onnx_operator("CumSum")
def cumulative_sum(
    x: Tensor, axis: list[int] | int, *, exclusive: int = 0, reverse: int = 0
) -> Tensor:
    dim = axis if isinstance(axis, int) else axis[0]
    x = x.flip(dim) if reverse else x
    sums = torch.cumsum(x, dim)
    sums = sums - x if exclusive else sums
    return sums.flip(dim) if reverse else sums


@onnx_operator("Softmax")
def softmax_of_matrix(x: Tensor, *, axis: int = 1) -> Tensor:
    """Before opset 13: one softmax over all axes from `axis` on."""
    return torch.softmax(_rows(x, axis), -1).reshape(x.shape)


@onnx_operator("Softmax", since=13)
def softmax(x: Tensor, *, axis: int = -1) -> Tensor:
    return torch.softmax(x, axis)


@onnx_operator("LogSoftmax")
def log_softmax_of_matrix(x: Tensor, *, axis: int = 1) -> Tensor:
    """Before opset 13: one log-softmax over all axes from `axis` on."""
    return torch.log_softmax(_rows(x, axis), -1).reshape(x.shape)


@onnx_operator("LogSoftmax", since=13)
def log_softmax(x: Tensor, *, axis: int = -1) -> Tensor:
    return torch.log_softmax(x, axis)


def _rows(x: Tensor, axis: int) -> Tensor:
    return x.flatten(axis) if axis != x.dim() else x.unsqueeze(-1)
