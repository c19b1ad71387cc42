"""Softmax and its logarithms, normalisation, lengths and products of two varying matrices, entry by
entry.

A Gain says how much an operation can grow a difference and nothing else, however small the region.
Written with products and quotients of single entries, of which each has slopes within the range of
the other factor, it is nearly linear where ranges are narrow, and in the limit its derivative.
Factors are expanded first and multiplied then, so that every entry has slopes of its own.
"""

import math
from collections.abc import Container, Sequence
from typing import Any

import torch
from torch import Tensor

from autolip.graph.graph import Graph, Ref
from autolip.rules.lowering import Lowerings, Writer, rewritten
from autolip.rules.masks import Scores, scores_of

aten = torch.ops.aten

LARGEST = 2**12
"""Tuned: entries that an operation is written with at most, for the work of LipSDP's proof."""


def entrywise(graph: Graph, whole: Container[str] = ()) -> Graph:
    """The same function with these operations entry by entry, but for the nodes that are to stay
    `whole`; the same graph where there is none.

    What is taken apart keeps its name; its parts have that, a dot and a number.
    """
    return rewritten(graph, ENTRIES, whole)


def _times(writer: Writer, a: Ref, b: Ref, shape: Sequence[int]) -> Ref:
    """a b, both expanded to the shape."""
    x, y = (_expanded(writer, factor, shape) for factor in (a, b))
    return writer.call(aten.mul.Tensor, x, y, shape=shape)


def _expanded(writer: Writer, x: Ref, shape: Sequence[int]) -> Ref:
    if tuple(writer.shapes[x.name]) == tuple(shape):
        return x
    return writer.call(aten.expand.default, x, list(shape), shape=shape)


def _softmax(
    writer: Writer, self: Ref, dim: int, dtype: Any = None, half_to_float: bool = False
) -> Ref | None:
    """1 / sum_j exp(x_j - x_i), where that is not too much, else exp(x_i) / sum_j exp(x_j)."""
    shape = writer.shapes[self.name]
    if not shape or shape.numel() > LARGEST:
        return None
    axis = dim % len(shape)
    scores = scores_of(self, writer.known.get(self.name))
    if scores is not None and shape.numel() * shape[axis] <= LARGEST:
        return _softmax_of_differences(writer, scores, shape, axis)
    powers, total = _powers(writer, self, [axis])
    below = _expanded(writer, total, shape)
    return writer.call(aten.div.Tensor, powers, below, shape=shape)


def _softmax_of_differences(
    writer: Writer, scores: Scores, shape: torch.Size, axis: int
) -> Ref | None:
    """Where entries are masked, they are 0; refused where all of a row is."""
    kept = scores.kept
    if kept is not None and not bool(kept.any(axis).all()):
        return None
    total = _powers_of_differences(writer, scores, shape, axis)
    quotient = writer.call(aten.reciprocal.default, total, shape=shape)
    if kept is None:
        return quotient
    return writer.call(aten.where.ScalarOther, kept, quotient, 0.0, shape=shape)


def _powers_of_differences(writer: Writer, scores: Scores, shape: torch.Size, axis: int) -> Ref:
    """sum_j exp(x_j - x_i) over the entries that are kept: what all have in common cancels."""
    x, kept = scores.x, scores.kept
    if scores.shift is not None:
        x = writer.call(aten.add.Tensor, x, scores.shift, shape=shape)
    square = (*shape[:axis], shape[axis], *shape[axis:])
    others = writer.call(aten.unsqueeze.default, x, axis, shape=_with(shape, axis, 1))
    own = writer.call(aten.unsqueeze.default, x, axis + 1, shape=_with(shape, axis + 1, 1))
    differences = writer.call(aten.sub.Tensor, others, own, shape=square)
    if kept is None:
        powers = writer.call(aten.exp.default, differences, shape=square)
    else:
        counts = kept.unsqueeze(axis).expand(square)
        moves = counts & kept.unsqueeze(axis + 1)
        alive = writer.call(aten.where.ScalarOther, moves, differences, 0.0, shape=square)
        ones = writer.call(aten.exp.default, alive, shape=square)
        powers = writer.call(aten.where.ScalarOther, counts, ones, 0.0, shape=square)
    return writer.call(aten.sum.dim_IntList, powers, [axis + 1], False, shape=shape)


def _with(shape: torch.Size, axis: int, size: int) -> tuple[int, ...]:
    return (*shape[:axis], size, *shape[axis:])


def _powers(writer: Writer, x: Ref, axes: Sequence[int]) -> tuple[Ref, Ref]:
    """exp x, and its sum over axes that are kept."""
    shape = writer.shapes[x.name]
    short = [1 if i in axes else size for i, size in enumerate(shape)]
    powers = writer.call(aten.exp.default, x, shape=shape)
    return powers, writer.call(aten.sum.dim_IntList, powers, list(axes), True, shape=short)


def _total(writer: Writer, x: Ref, axes: Sequence[int]) -> Ref:
    """log sum exp x, the axes kept."""
    _, total = _powers(writer, x, axes)
    return writer.call(aten.log.default, total, shape=writer.shapes[total.name])


def _log_softmax(
    writer: Writer, self: Ref, dim: int, dtype: Any = None, half_to_float: bool = False
) -> Ref | None:
    """-log sum_j exp(x_j - x_i), where that is not too much, else x_i - log sum_j exp(x_j)."""
    shape = writer.shapes[self.name]
    if not shape or shape.numel() > LARGEST:
        return None
    scores = scores_of(self, writer.known.get(self.name))
    if scores == Scores(self) and shape.numel() * shape[dim] <= LARGEST:
        below = _powers_of_differences(writer, scores, shape, dim % len(shape))
        logarithm = writer.call(aten.log.default, below, shape=shape)
        return writer.call(aten.neg.default, logarithm, shape=shape)
    total = _expanded(writer, _total(writer, self, [dim % len(shape)]), shape)
    return writer.call(aten.sub.Tensor, self, total, shape=shape)


def _logsumexp(writer: Writer, self: Ref, dim: Sequence[int], keepdim: bool = False) -> Ref | None:
    shape = writer.shapes[self.name]
    if not shape or shape.numel() > LARGEST:
        return None
    axes = [axis % len(shape) for axis in dim] or list(range(len(shape)))
    return _shaped(writer, _total(writer, self, axes))


def _length(
    writer: Writer,
    self: Ref,
    ord: float = 2,
    dim: Sequence[int] | None = None,
    keepdim: bool = False,
    dtype: Any = None,
) -> Ref | None:
    """sqrt(sum x^2)."""
    shape = writer.shapes[self.name]
    if ord != 2 or not shape or shape.numel() > LARGEST:
        return None
    axes = [axis % len(shape) for axis in dim or range(len(shape))]
    short = [1 if i in axes else size for i, size in enumerate(shape)]
    squares = writer.call(aten.mul.Tensor, self, self, shape=shape)
    total = writer.call(aten.sum.dim_IntList, squares, axes, True, shape=short)
    return _shaped(writer, writer.call(aten.sqrt.default, total, shape=short))


def _shaped(writer: Writer, x: Ref) -> Ref:
    """The same numbers in the shape of the node that is taken apart."""
    shape = writer.node.shape
    if tuple(writer.shapes[x.name]) == tuple(shape):
        return x
    return writer.call(aten.reshape.default, x, list(shape), shape=shape)


def _matrices(writer: Writer, self: Any, mat2: Any) -> Ref | None:
    """sum_k a_ik b_kj, all products first; a vector is a row on the left, a column on the right."""
    if not (isinstance(self, Ref) and isinstance(mat2, Ref)):
        return None
    a, b = writer.shapes[self.name], writer.shapes[mat2.name]
    if len(a) < 2:
        self = writer.call(aten.unsqueeze.default, self, 0, shape=(1, *a))
        a = writer.shapes[self.name]
    if len(b) < 2:
        mat2 = writer.call(aten.unsqueeze.default, mat2, -1, shape=(*b, 1))
        b = writer.shapes[mat2.name]
    batch = torch.broadcast_shapes(a[:-2], b[:-2])
    shape = (*batch, a[-2], a[-1], b[-1])
    if math.prod(shape) > LARGEST:
        return None
    left = writer.call(aten.unsqueeze.default, self, -1, shape=(*a, 1))
    right = writer.call(aten.unsqueeze.default, mat2, -3, shape=(*b[:-2], 1, *b[-2:]))
    products = _times(writer, left, right, shape)
    sums = (*batch, a[-2], b[-1])
    return _shaped(writer, writer.call(aten.sum.dim_IntList, products, [-2], False, shape=sums))


def _matmul(writer: Writer, self: Any, other: Any) -> Ref | None:
    return _matrices(writer, self, other)


def _vectors(writer: Writer, self: Any, vec: Any) -> Ref | None:
    return _matrices(writer, self, vec)


def _vector_pair(writer: Writer, self: Any, tensor: Any) -> Ref | None:
    return _matrices(writer, self, tensor)


def _instance_norm(
    writer: Writer,
    input: Ref,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Ref | None:
    """Every channel of every sample is a group."""
    shape = writer.shapes[input.name]
    if not use_input_stats or len(shape) < 3:
        return None
    return _group_norm(writer, input, shape[1], weight, bias, eps)


def _layer_norm(
    writer: Writer,
    input: Ref,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Ref | None:
    shape = writer.shapes[input.name]
    if shape.numel() > LARGEST:
        return None
    axes = list(range(len(shape) - len(normalized_shape), len(shape)))
    return _scaled(writer, _normal(writer, input, axes, eps, centred=True), weight, bias)


def _rms_norm(
    writer: Writer,
    input: Ref,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Ref | None:
    shape = writer.shapes[input.name]
    if eps is None or shape.numel() > LARGEST:
        return None
    axes = list(range(len(shape) - len(normalized_shape), len(shape)))
    return _scaled(writer, _normal(writer, input, axes, eps, centred=False), weight, None)


def _group_norm(
    writer: Writer,
    input: Ref,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Ref | None:
    shape = writer.shapes[input.name]
    if shape.numel() > LARGEST or not shape.numel():
        return None
    groups = [shape[0], num_groups, shape.numel() // (shape[0] * num_groups)]
    flat = writer.call(aten.reshape.default, input, groups, shape=groups)
    normal = _normal(writer, flat, [2], eps, centred=True)
    back = writer.call(aten.reshape.default, normal, list(shape), shape=shape)
    column = (-1, *[1] * (len(shape) - 2))
    parts = (part if part is None else part.reshape(column) for part in (weight, bias))
    return _scaled(writer, back, *parts)


def _normal(writer: Writer, x: Ref, axes: list[int], eps: float, *, centred: bool) -> Ref:
    """(x - mean) / sqrt(mean (x - mean)^2 + eps), or without the means of x."""
    shape = writer.shapes[x.name]
    short = [1 if i in axes else size for i, size in enumerate(shape)]
    if centred:
        mean = writer.call(aten.mean.dim, x, axes, True, shape=short)
        x = writer.call(aten.sub.Tensor, x, mean, shape=shape)
    squares = writer.call(aten.mul.Tensor, x, x, shape=shape)
    variance = writer.call(aten.mean.dim, squares, axes, True, shape=short)
    above = writer.call(aten.add.Tensor, variance, eps, shape=short)
    inverse = writer.call(aten.rsqrt.default, above, shape=short)
    return _times(writer, x, inverse, shape)


def _scaled(writer: Writer, x: Ref, weight: Any, bias: Any) -> Ref | None:
    """w x + b, for constants."""
    if isinstance(weight, Ref) or isinstance(bias, Ref):
        return None
    shape = writer.shapes[x.name]
    if weight is not None:
        x = writer.call(aten.mul.Tensor, x, weight, shape=shape)
    return x if bias is None else writer.call(aten.add.Tensor, x, bias, shape=shape)


ENTRIES: Lowerings = {
    aten.softmax.int: _softmax,
    aten._softmax.default: _softmax,
    aten._safe_softmax.default: _softmax,
    aten.log_softmax.int: _log_softmax,
    aten._log_softmax.default: _log_softmax,
    aten.logsumexp.default: _logsumexp,
    aten.linalg_vector_norm.default: _length,
    aten.layer_norm.default: _layer_norm,
    aten.rms_norm.default: _rms_norm,
    aten.group_norm.default: _group_norm,
    aten.instance_norm.default: _instance_norm,
    aten.matmul.default: _matmul,
    aten.mm.default: _matrices,
    aten.bmm.default: _matrices,
    aten.mv.default: _vectors,
    aten.dot.default: _vector_pair,
}
"""What is written entry by entry, and how; one may decline (None)."""
