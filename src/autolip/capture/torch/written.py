"""Operations without a slope set of their own, written with others, exactly.

PyTorch's own decompositions say the rest.  Each function here computes what its operation does in
real arithmetic; on constants it is evaluated, not taken apart.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

aten = torch.ops.aten

Function = TypeVar("Function", bound=Callable[..., Any])

WRITTEN: dict[Any, Callable[..., Any]] = {}
"""By operation: the function that stands for it; NotImplemented where it does not."""


def written(*targets: Any) -> Callable[[Function], Function]:
    """Enters the decorated function as what these operations are."""

    def enter(function: Function) -> Function:
        for target in targets:
            WRITTEN[target] = function
        return function

    return enter


# Statistics
# -----------------------------------------------------------------------------------------------


@written(aten.var.correction)
def variance(
    x: Tensor,
    dim: Sequence[int] | None = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
) -> Tensor:
    """sum (x - mean)^2 / (n - correction)."""
    return variance_and_mean(x, dim, correction=correction, keepdim=keepdim)[0]


@written(aten.var_mean.correction)
def variance_and_mean(
    x: Tensor,
    dim: Sequence[int] | None = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
) -> tuple[Tensor, Tensor]:
    axes = list(dim or range(x.dim()))
    mean = x.mean(axes, keepdim=True)
    apart = x - mean
    count = torch.Size([x.shape[axis] for axis in axes]).numel()
    freedom = count - (1 if correction is None else correction)
    variance = (apart * apart).sum(axes, keepdim=keepdim) / max(freedom, 0)
    return variance, mean if keepdim else x.mean(axes)


@written(aten.std_mean.correction)
def deviation_and_mean(
    x: Tensor,
    dim: Sequence[int] | None = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
) -> tuple[Tensor, Tensor]:
    axes = list(dim or range(x.dim()))
    deviation = torch.std(x, axes, correction=correction, keepdim=keepdim)
    return deviation, x.mean(axes, keepdim=keepdim)


@written(aten.native_layer_norm.default)
def normalised(
    x: Tensor, shape: Sequence[int], weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The layer norm, and the statistics that its derivative wants."""
    axes = list(range(-len(shape), 0))
    spread = torch.var(x, axes, correction=0, keepdim=True)
    result = torch.layer_norm(x, list(shape), weight, bias, eps)
    return result, x.mean(axes, keepdim=True), torch.rsqrt(spread + eps)


@written(aten.native_group_norm.default)
def normalised_groups(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    batch: int,
    channels: int,
    space: int,
    groups: int,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """The group norm, and the statistics that its derivative wants."""
    rows = x.reshape(batch, groups, -1)
    spread = torch.var(rows, 2, correction=0)
    result = torch.group_norm(x, groups, weight, bias, eps)
    return result, rows.mean(2), torch.rsqrt(spread + eps)


# Products along an axis
# -----------------------------------------------------------------------------------------------


@written(aten.prod.dim_int)
def product(x: Tensor, dim: int, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """Products of pairs, again and again: as many steps as the number of entries has digits."""
    if x.dim() == 0:
        return x.clone()
    x = x.movedim(dim, -1)
    if x.shape[-1] == 0:
        return NotImplemented
    while x.shape[-1] > 1:
        half = x.shape[-1] // 2
        pairs = x[..., :half] * x[..., half : 2 * half]
        x = torch.cat([pairs, x[..., 2 * half :]], -1)
    return x.movedim(-1, dim) if keepdim else x.squeeze(-1)


@written(aten.prod.default)
def product_of_all(x: Tensor, *, dtype: Any = None) -> Tensor:
    return product(x.reshape(-1), 0)


@written(aten.cumprod.default)
def products_so_far(x: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """Of the last 2, 4, 8, ... entries (W. D. Hillis and G. L. Steele 1986)."""
    if x.dim() == 0:
        return x.clone()
    x = x.movedim(dim, -1)
    reach = 1
    while reach < x.shape[-1]:
        x = torch.cat([x[..., :reach], x[..., reach:] * x[..., :-reach]], -1)
        reach *= 2
    return x.movedim(-1, dim)


# Distances
# -----------------------------------------------------------------------------------------------


@written(aten._cdist_forward.default, aten.cdist.default)
def distances(a: Tensor, b: Tensor, p: float = 2.0, compute_mode: int | None = None) -> Tensor:
    """|a_i - b_j|_p."""
    return torch.linalg.vector_norm(a.unsqueeze(-2) - b.unsqueeze(-3), p, -1)


@written(aten._euclidean_dist.default)
def euclidean_distances(a: Tensor, b: Tensor) -> Tensor:
    return distances(a, b)


@written(aten._pdist_forward.default)
def pair_distances(x: Tensor, p: float = 2.0) -> Tensor:
    """|x_i - x_j|_p for i < j."""
    first, second = torch.triu_indices(len(x), len(x), 1)
    return torch.linalg.vector_norm(x[first] - x[second], p, -1)


@written(aten.dist.default)
def distance(a: Tensor, b: Tensor, p: float = 2.0) -> Tensor:
    return torch.linalg.vector_norm(a - b, p)


# Matrices
# -----------------------------------------------------------------------------------------------


@written(aten.bilinear.default)
def bilinear(a: Tensor, c: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y_k = a^T W_k c + b_k: the constant matrices first."""
    outputs, rows, columns = weight.shape
    left = F.linear(a, weight.transpose(1, 2).reshape(outputs * columns, rows))
    left = left.reshape(*a.shape[:-1], outputs, columns)
    result = (left * c.unsqueeze(-2)).sum(-1)
    return result if bias is None else result + bias


@written(aten.addbmm.default)
def added_products(x: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta x + alpha sum_i a_i b_i: one product of matrices laid side by side."""
    wide = a.transpose(0, 1).reshape(a.shape[1], -1)
    return torch.addmm(x, wide, b.reshape(-1, b.shape[-1]), beta=beta, alpha=alpha)


@written(aten.linalg_solve.default)
def solution(matrix: Tensor, b: Tensor, *, left: bool = True) -> Tensor:
    """A^-1 B, without the check that A is regular, which the rule makes itself."""
    return torch.linalg.solve_ex(matrix, b, left=left)[0]


@written(aten.linalg_inv.default)
def inverse(matrix: Tensor) -> Tensor:
    return torch.linalg.inv_ex(matrix)[0]


@written(aten.cholesky_solve.default)
def solution_by_root(b: Tensor, root: Tensor, upper: bool = False) -> Tensor:
    """(L L^T)^-1 B."""
    lower = root.mT if upper else root
    half = torch.linalg.solve_triangular(lower, b, upper=False)
    return torch.linalg.solve_triangular(lower.mT, half, upper=True)


@written(aten.linalg_lu_solve.default)
def solution_by_factors(
    factors: Tensor, pivots: Tensor, b: Tensor, *, left: bool = True, adjoint: bool = False
) -> Tensor:
    """(P L U)^-1 B."""
    if not left or adjoint:
        return NotImplemented
    order = torch.lu_unpack(factors, pivots, unpack_data=False)[0]
    half = torch.linalg.solve_triangular(factors, order.mT @ b, upper=False, unitriangular=True)
    return torch.linalg.solve_triangular(factors, half, upper=True)


# Places and extrema
# -----------------------------------------------------------------------------------------------


@written(aten.fmax.default)
def larger(a: Tensor, b: Tensor) -> Tensor:
    return torch.maximum(a, b)


@written(aten.fmin.default)
def smaller(a: Tensor, b: Tensor) -> Tensor:
    return torch.minimum(a, b)


@written(aten.scatter.reduce)
def scattered(x: Tensor, dim: int, index: Tensor, src: Tensor, *, reduce: str) -> Tensor:
    names = {"add": "sum", "multiply": "prod"}
    return torch.scatter_reduce(x, dim, index, src, names[reduce])


@written(aten.index_reduce.default)
def reduced(
    x: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    shape = [1] * source.dim()
    shape[dim] = -1
    places = index.reshape(shape).expand(source.shape)
    return torch.scatter_reduce(x, dim, places, source, reduce, include_self=include_self)


@written(aten.ldexp.Tensor)
def scaled(x: Tensor, exponent: Tensor) -> Tensor:
    return x * torch.pow(2.0, exponent)


@written(aten.quantile.scalar, aten.quantile.default)
def quantile(
    x: Tensor,
    q: float | Tensor,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
) -> Tensor:
    """Between the two order statistics beside q (n - 1), in proportion; that of every q, first."""
    if interpolation != "linear":
        return NotImplemented
    levels = torch.as_tensor(q, dtype=x.dtype, device=x.device)
    axis = 0 if dim is None else dim % x.dim()
    values = x.flatten() if dim is None else x
    ordered = values.sort(axis).values
    last = ordered.shape[axis] - 1
    place = levels.reshape(-1) * last
    below = place.floor()
    share = (place - below).reshape([-1 if i == axis else 1 for i in range(ordered.dim())])
    low = ordered.index_select(axis, below.long())
    high = ordered.index_select(axis, (below + 1).clamp(max=last).long())
    found = (low + share * (high - low)).movedim(axis, 0)
    if keepdim:
        found = found.reshape(-1, *([1] * x.dim())) if dim is None else found.unsqueeze(axis + 1)
    return found if levels.dim() else found.squeeze(0)


@written(aten.logaddexp.default)
def soft_maximum(x: Tensor, other: Tensor) -> Tensor:
    """log(e^x + e^y) = y + log(1 + e^(x - y)), both finite."""
    return other + F.softplus(x - other, threshold=LARGEST)


FINITE = {aten.logaddexp.default}
"""What is written for finite operands only: constants may be masks, -inf."""


LARGEST = 700.0
"""Chosen: up to where exponentials are finite."""


# Quantisers
# -----------------------------------------------------------------------------------------------


@written(aten.fake_quantize_per_tensor_affine_cachemask.default)
def quantised(
    x: Tensor, scale: float, zero_point: int, quant_min: int, quant_max: int
) -> tuple[Tensor, Tensor]:
    """(clip(round(x / s) + z) - z) s, and where nothing was clipped; s is held in float32."""
    return _on_grid(x, float(np.float32(scale)), zero_point, quant_min, quant_max)


@written(aten._fake_quantize_per_tensor_affine_cachemask_tensor_qparams.default)
def quantised_by_tensors(
    x: Tensor,
    scale: Tensor,
    zero_point: Tensor,
    enabled: Tensor,
    quant_min: int,
    quant_max: int,
) -> tuple[Tensor, Tensor]:
    return _on_grid(x, scale, zero_point.to(x.dtype), quant_min, quant_max)


@written(aten.fake_quantize_per_channel_affine_cachemask.default)
def quantised_channels(
    x: Tensor, scale: Tensor, zero_point: Tensor, axis: int, quant_min: int, quant_max: int
) -> tuple[Tensor, Tensor]:
    shape = [1] * x.dim()
    shape[axis] = -1
    zeros = zero_point.to(x.dtype).reshape(shape)
    return _on_grid(x, scale.reshape(shape), zeros, quant_min, quant_max)


def _on_grid(x: Tensor, scale: Any, zero_point: Any, low: int, high: int) -> tuple[Tensor, Tensor]:
    numbers = torch.round(x / scale) + zero_point
    kept = torch.logical_and(numbers >= low, numbers <= high)
    return (torch.clamp(numbers, low, high) - zero_point) * scale, kept


# Backward passes
# -----------------------------------------------------------------------------------------------


@written(aten.softplus_backward.default)
def softplus_slope(gradient: Tensor, x: Tensor, beta: float, threshold: float) -> Tensor:
    """The gradient times sigmoid(beta x), which is 1 to 2.1e-9 from beta x = 20 on."""
    if threshold < 20:
        return NotImplemented
    return gradient * torch.sigmoid(beta * x)


@written(aten.elu_backward.default)
def elu_slope(
    gradient: Tensor, alpha: float, scale: float, input_scale: float, is_result: bool, x: Tensor
) -> Tensor:
    """The gradient times the slope, which is a function of x alone."""
    below = -torch.relu(-x)
    height = scale * alpha
    low = below + height if is_result else height * torch.exp(input_scale * below)
    return gradient * torch.where(x <= 0, input_scale * low, scale)


@written(aten.convolution_backward.default)
def pulled_back(
    gradient: Tensor,
    x: Tensor,
    weight: Tensor,
    bias_sizes: Sequence[int] | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
    output_mask: Sequence[bool],
) -> tuple[Tensor | None, ...]:
    """The transpose of the convolution; the gradients of its weights are not taken."""
    if list(output_mask) != [True, False, False]:
        return NotImplemented
    if transposed:
        back = aten.convolution.default(
            gradient, weight, None, stride, padding, dilation, False, [0] * len(stride), groups
        )
        inside = tuple(slice(0, size) for size in x.shape)
        return back[inside], None, None
    rest = [
        size - ((out - 1) * step - 2 * pad + spread * (taps - 1) + 1)
        for size, out, step, pad, spread, taps in zip(
            x.shape[2:],
            gradient.shape[2:],
            stride,
            padding,
            dilation,
            weight.shape[2:],
            strict=True,
        )
    ]
    back = aten.convolution.default(
        gradient, weight, None, stride, padding, dilation, True, rest, groups
    )
    return back, None, None


# Masks
# -----------------------------------------------------------------------------------------------


@written(aten.any.dims)
def any_along(x: Tensor, dim: Sequence[int] | None = None, keepdim: bool = False) -> Tensor:
    for axis in sorted((axis % x.dim() for axis in dim or range(x.dim())), reverse=True):
        x = torch.any(x, axis, keepdim)
    return x


@written(aten.div.Scalar_mode)
def divided(x: Tensor, divisor: float, *, rounding_mode: str | None) -> Tensor:
    number = torch.scalar_tensor(divisor, dtype=x.dtype, device=x.device)
    return torch.div(x, number, rounding_mode=rounding_mode)


@written(aten.bitwise_and.Scalar)
def both(x: Tensor, other: float) -> Tensor:
    return aten.__and__.Scalar(x, other)


@written(aten.bitwise_or.Scalar)
def either(x: Tensor, other: float) -> Tensor:
    return aten.__or__.Scalar(x, other)


@written(aten.bitwise_xor.Scalar)
def one_of_two(x: Tensor, other: float) -> Tensor:
    return aten.__xor__.Scalar(x, other)
