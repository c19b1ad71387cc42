"""Mean and maximum over windows."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.intervals import Interval
from autolip.norms import Norm
from autolip.operators.algebra import compose
from autolip.operators.diagonal import Diagonal
from autolip.operators.operator import DTYPE, Operator
from autolip.rules.convolution import sizes
from autolip.rules.linear import reciprocal
from autolip.rules.matrices import along
from autolip.rules.rule import Action, Affine, Example, Operand, Variable, rule
from autolip.slopes import Gain
from autolip.values import INFINITE, Upper

aten = torch.ops.aten

IMAGE = Variable(2, 2, 7, 6)
VOLUME = Variable(1, 2, 5, 4, 5)


# Windows
# --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Windows:
    """The windows of a pool along one axis: which inputs each holds, and how long it is with its
    padding."""

    members: Float[Tensor, "windows inputs"]
    lengths: Float[Tensor, " windows"]

    @property
    def shared(self) -> int:
        """The largest number of windows that hold the same input."""
        return int(self.members.sum(0).max().item()) if self.members.numel() else 0


def sliding(
    size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool
) -> Windows:
    """Windows `stride` apart; with `ceil_mode` also a last one that starts inside but ends beyond
    the padding."""
    reach = size + 2 * padding - dilation * (kernel - 1) - 1
    rest = stride - 1 if ceil_mode else 0
    count = (reach + rest) // stride + 1
    if ceil_mode and (count - 1) * stride >= size + padding:
        count -= 1
    starts = torch.arange(count) * stride - padding
    places = starts[:, None] + torch.arange(kernel) * dilation
    entries = torch.arange(size)
    is_member = places[:, :, None] == entries
    members = is_member.any(1).to(DTYPE)
    stops = torch.clamp(starts + kernel, max=size + padding)
    lengths = stops - starts
    return Windows(members, lengths.to(DTYPE))


def adaptive(size: int, count: int) -> Windows:
    """Window i holds the inputs from floor(i n / m) to ceil((i + 1) n / m); they overlap where m
    does not divide n."""
    number = torch.arange(count)[:, None]
    starts = number * size // count
    stops = -(-(number + 1) * size // count)
    places = torch.arange(size)
    is_after = starts <= places
    is_before = places < stops
    members = (is_after & is_before).to(DTYPE)
    return Windows(members, members.sum(1))


def _sliding(
    x: Operand,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil: bool,
) -> list[Windows]:
    """The windows along each of the last axes, as many as the operation has dimensions."""
    dims = len(padding)
    steps = sizes(stride if len(stride) else kernel, dims)
    settings = zip(
        x.shape[-dims:], sizes(kernel, dims), steps, padding, sizes(dilation, dims), strict=True
    )
    return [sliding(*setting, ceil) for setting in settings]


# Means
# --------------------------------------------------------------------------------------------------


def _mean(
    x: Operand, windows: Sequence[Windows], counts: Sequence[Tensor], divisor: int | None = None
) -> Affine:
    """Sums along one axis after the other, each divided by its counts, or all at once by
    `divisor`."""
    operator: Operator = Diagonal(torch.ones(()), x.shape)
    for axis, (window, count) in enumerate(
        zip(windows, counts, strict=True), start=x.dim - len(windows)
    ):
        inverse, error = reciprocal(count) if divisor is None else (torch.ones_like(count), 0.0)
        matrix = window.members * inverse.unsqueeze(-1)
        averages = along(matrix, operator.out_shape, axis, error)
        operator = compose(averages, operator)
    if divisor is not None:
        inverse, error = reciprocal(divisor)
        divisions = Diagonal(inverse, operator.out_shape, error)
        operator = compose(divisions, operator)
    return Affine(((x, operator),))


def _mean_sliding(
    x: Operand,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    ceil_mode: bool,
    count_include_pad: bool,
    divisor: int | None = None,
) -> Affine:
    windows = _sliding(x, kernel, stride, padding, [1], ceil_mode)
    counts = [w.lengths if count_include_pad else w.members.sum(1) for w in windows]
    return _mean(x, windows, counts, divisor)


@rule(
    aten.avg_pool1d.default,
    Example(Variable(2, 3, 8), [3]),
    Example(Variable(3, 8), [3], [2], [1], True, False),
    Example(Variable(3, 8), [3], [2], [1], True, True),
)
def avg_pool1d(
    self: Operand,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    ceil_mode: bool,
    count_include_pad: bool,
) -> Affine:
    """Exact: means over windows."""
    return _mean_sliding(self, kernel_size, stride, sizes(padding, 1), ceil_mode, count_include_pad)


_SETTINGS_2D = (
    Example(IMAGE, [3, 2]),
    Example(IMAGE, [3, 2], [2, 1], [1, 1], True, False),
    Example(IMAGE, [3], [2], [1], True, True),
    Example(Variable(2, 7, 6), [2, 3], [3, 2], [0, 1], False, True, 5),
    Example(IMAGE, [3, 2], [2, 3], [1, 0], True, False, -3),
)

_SETTINGS_3D = (
    Example(VOLUME, [2, 3, 2], [2, 1, 3], [1, 1, 0], True, False),
    Example(Variable(2, 5, 4, 5), [3], [2], [1], True, True, 7),
)


@rule(aten.avg_pool2d.default, *_SETTINGS_2D)
def avg_pool2d(
    self: Operand,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Affine:
    """Exact: means over windows, or their sums over a given divisor."""
    padding = sizes(padding, 2)
    return _mean_sliding(
        self, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


@rule(aten.avg_pool3d.default, *_SETTINGS_3D)
def avg_pool3d(
    self: Operand,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Affine:
    """Exact: means over windows, or their sums over a given divisor."""
    padding = sizes(padding, 3)
    return _mean_sliding(
        self, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


@rule(aten.adaptive_avg_pool1d.default, Example(Variable(2, 3, 7), [3]))
@rule(aten.adaptive_avg_pool2d.default, Example(IMAGE, [3, 4]), Example(Variable(2, 7, 6), [1, 9]))
@rule(aten._adaptive_avg_pool2d.default, Example(IMAGE, [3, 4]))
@rule(aten.adaptive_avg_pool3d.default, Example(VOLUME, [2, 3, 4]))
@rule(aten._adaptive_avg_pool3d.default, Example(VOLUME, [2, 3, 4]))
def adaptive_avg_pool(self: Operand, output_size: Sequence[int]) -> Affine:
    """Exact: means over windows that overlap where the sizes do not divide."""
    windows = _adaptive(self, output_size)
    return _mean(self, windows, [window.lengths for window in windows])


def _adaptive(x: Operand, counts: Sequence[int]) -> list[Windows]:
    return [
        adaptive(size, count) for size, count in zip(x.shape[-len(counts) :], counts, strict=True)
    ]


# Maxima
# --------------------------------------------------------------------------------------------------


def _maximum(x: Operand, windows: Sequence[Windows], pool: Callable[[Tensor], Tensor]) -> Action:
    """max over w of x minus the same of y is m (x - y) with m >= 0 summing to one (Lebourg's mean
    value theorem).

    So f(x) - f(y) = M (x - y) with rows that sum to 1 and columns to at most c, the largest number
    of windows that share an input: ||M||_inf <= 1, ||M||_1 <= c, ||M||_2 <= sqrt(||M||_1
    ||M||_inf).  Windows are boxes, so c is the product over the axes.
    """
    lo, hi = x.range.ends()
    counts = (len(window.members) for window in windows)
    lead = x.shape[: -len(windows)]
    shape = (*lead, *counts)
    ends = (end.expand(shape) if end.dim() == 0 else pool(end) for end in (lo, hi))
    image = Interval(*ends)
    shared = Upper(float(math.prod(window.shared for window in windows)))
    norms = {Norm.L1: shared, Norm.L2: shared.sqrt(), Norm.LINF: Upper(1.0)}
    first = x.dim - len(windows)
    dims = tuple(range(first, x.dim))
    return Action(((x, Gain(x.shape, torch.Size(shape), norms, dims)),), image)


def _positions(x: Operand, values: Action, dims: int) -> Action:
    """The places of the maxima jump."""
    shape = values.image.shape
    unknown = dict.fromkeys(Norm, INFINITE)
    jump = Gain(x.shape, shape, unknown)
    return Action(((x, jump),), Interval.uniform(0.0, math.prod(x.shape[-dims:]) - 1.0, shape))


def _max_sliding(
    target: Callable[..., Any],
    x: Operand,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
    dims: int,
) -> list[Action]:
    windows = _sliding(x, kernel, stride, sizes(padding, dims), dilation, ceil_mode)

    def pool(end: Tensor) -> Tensor:
        values_there = end.contiguous()
        result = target(values_there, kernel, stride, padding, dilation, ceil_mode)
        return result if isinstance(result, Tensor) else result[0]

    values = _maximum(x, windows, pool)
    return [values, _positions(x, values, dims)]


def _max_rule(target: Callable[..., Any], dims: int, *examples: Example) -> None:
    @rule(target, *examples)
    def max_pool(
        self: Operand,
        kernel_size: Sequence[int],
        stride: Sequence[int],
        padding: Sequence[int],
        dilation: Sequence[int],
        ceil_mode: bool,
    ) -> list[Action]:
        """Gain(l1: c, l2: sqrt(c), linf: 1), c the largest number of windows that share an
        input."""
        return _max_sliding(target, self, kernel_size, stride, padding, dilation, ceil_mode, dims)


_MAX_1D = (
    Example(Variable(2, 3, 8), [3]),
    Example(Variable(3, 8), [3], [2], [1], [2], True),
    Example(Variable(2, 7), [2], [1], [0], [2]),
)
_MAX_2D = (
    Example(IMAGE, [3, 2]),
    Example(IMAGE, [3, 2], [2, 1], [1, 1], [1, 2], True),
    Example(Variable(2, 7, 6), [3], [2], [1]),
    Example(Variable(1, 6, 5), [3, 2], [1], [0], [1, 2]),
)
_MAX_3D = (
    Example(VOLUME, [2, 3, 2], [2, 1, 3], [1, 1, 0], [2, 1, 1], True),
    Example(Variable(2, 5, 4, 5), [3], [2], [1]),
)


def _picked(examples: Sequence[Example]) -> list[Example]:
    return [Example(*e.args, pick=pick) for e, pick in zip(examples, (0, 1, 0), strict=False)]


_max_rule(aten.max_pool1d.default, 1, *_MAX_1D)
_max_rule(aten.max_pool2d.default, 2, *_MAX_2D)
_max_rule(aten.max_pool3d.default, 3, *_MAX_3D)
_max_rule(aten.max_pool1d_with_indices.default, 1, *_picked(_MAX_1D))
_max_rule(aten.max_pool2d_with_indices.default, 2, *_picked(_MAX_2D))
_max_rule(aten.max_pool3d_with_indices.default, 3, *_picked(_MAX_3D))


def _adaptive_max_rule(target: Callable[..., Any], *examples: Example) -> None:
    @rule(target, *examples)
    def adaptive_max_pool(self: Operand, output_size: Sequence[int]) -> list[Action]:
        """Gain(l1: c, l2: sqrt(c), linf: 1), c the largest number of windows that share an
        input."""
        windows = _adaptive(self, output_size)
        values = _maximum(self, windows, lambda end: target(end.contiguous(), output_size)[0])
        return [values, _positions(self, values, len(windows))]


_adaptive_max_rule(aten.adaptive_max_pool1d.default, Example(Variable(2, 3, 7), [3], pick=0))
_adaptive_max_rule(
    aten.adaptive_max_pool2d.default,
    Example(IMAGE, [3, 4], pick=0),
    Example(Variable(2, 7, 6), [1, 9], pick=0),
)
_adaptive_max_rule(aten.adaptive_max_pool3d.default, Example(VOLUME, [2, 3, 4], pick=0))
