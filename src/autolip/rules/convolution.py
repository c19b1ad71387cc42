"""Convolutions by constant kernels, plain and transposed, in one, two and three dimensions."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from autolip.operators.algebra import compose
from autolip.operators.convolution import Convolution
from autolip.operators.diagonal import Identity
from autolip.operators.incidence import Incidence
from autolip.operators.kernel import Geometry
from autolip.operators.operator import Operator
from autolip.rules.linear import combination
from autolip.rules.rule import Action, Constant, Example, Operand, Variable, require_constant, rule

aten = torch.ops.aten

Sizes = Sequence[int]


def convolved(
    input: Operand,
    weight: Tensor,
    bias: Tensor | None,
    geometry: Geometry,
    extra: Sequence[int] = (),
) -> Action:
    """The convolution by `weight` plus the bias of each channel; `extra` zeros follow the end of
    each axis."""
    pad = _zeros_after(input.shape, extra)
    convolution = Convolution(weight, pad.out_shape, geometry)
    per_channel = None if bias is None else bias.reshape(-1, *[1] * geometry.dims)
    return combination(
        convolution.out_shape, (compose(convolution, pad), input), (1.0, per_channel)
    )


def _zeros_after(shape: Sequence[int], extra: Sequence[int]) -> Operator:
    """x -> x with `extra` zeros after the end of its last axes."""
    if not any(extra):
        return Identity(tuple(shape))
    pads = [side for count in reversed(extra) for side in (0, count)]
    return Incidence(lambda t: F.pad(t, pads), tuple(shape))


def sizes(value: Sizes, dims: int) -> tuple[int, ...]:
    """One number for each spatial axis, as ATen repeats a single one."""
    return tuple(value) * dims if len(value) == 1 else tuple(value)


@rule(
    aten.conv1d.default,
    Example(Variable(2, 4, 9), Constant(6, 2, 3), Constant(6), [2], [1], [2], 2),
    Example(Variable(3, 9), Constant(2, 3, 4), None),
)
@rule(
    aten.conv2d.default,
    Example(Variable(2, 4, 7, 6), Constant(6, 2, 3, 2), Constant(6), [2, 1], [1, 0], [1, 2], 2),
    Example(Variable(3, 7, 6), Constant(2, 3, 3, 3), None, [1, 2], [2, 2]),
)
@rule(
    aten.conv3d.default,
    Example(
        Variable(1, 2, 5, 4, 6),
        Constant(4, 1, 2, 3, 2),
        Constant(4),
        [2, 1, 2],
        [1, 1, 0],
        [2, 1, 1],
        2,
    ),
    Example(Variable(1, 3, 4, 3), Constant(2, 1, 2, 2, 2), None, [1], [1]),
)
def conv(
    input: Operand,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    groups: int,
) -> Action:
    """Exact: the convolution by a constant kernel."""
    return convolution(input, weight, bias, stride, padding, dilation, False, [0], groups)


@rule(
    aten.conv1d.padding,
    Example(Variable(2, 4, 9), Constant(6, 2, 4), Constant(6), [1], "same", [3], 2),
    Example(Variable(3, 9), Constant(2, 3, 4), None, [2], "valid", [2]),
)
@rule(
    aten.conv2d.padding,
    Example(Variable(2, 4, 7, 6), Constant(6, 2, 3, 2), Constant(6), [1, 1], "same", [1, 3], 2),
    Example(Variable(3, 7, 6), Constant(2, 3, 3, 3), None, [1, 2], "valid", [2, 1]),
)
@rule(
    aten.conv3d.padding,
    Example(
        Variable(1, 2, 5, 4, 6), Constant(4, 1, 2, 3, 2), Constant(4), [1], "same", [1, 1, 2], 2
    ),
    Example(Variable(1, 3, 4, 3), Constant(2, 1, 2, 2, 2), None, [1, 2, 1], "valid"),
)
def conv_padded_by_name(
    input: Operand,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sizes,
    padding: str,
    dilation: Sizes,
    groups: int,
) -> Action:
    """Exact: the convolution by a constant kernel; "same" pads one more zero after the end where
    the total is odd."""
    if padding == "valid":
        return convolution(input, weight, bias, stride, [0], dilation, False, [0], groups)
    require_constant(weight=weight, bias=bias)
    dims = weight.dim() - 2
    spread = sizes(dilation, dims)
    taps = weight.shape[2:]
    totals = [step * (kernel - 1) for step, kernel in zip(spread, taps, strict=True)]
    geometry = Geometry(
        sizes(stride, dims), tuple(total // 2 for total in totals), spread, groups=groups
    )
    return convolved(input, weight, bias, geometry, extra=[total % 2 for total in totals])


@rule(
    aten.convolution.default,
    Example(Variable(2, 4, 7), Constant(6, 2, 3), Constant(6), [2], [1], [2], False, [0], 2),
    Example(
        Variable(2, 4, 5, 4),
        Constant(4, 3, 3, 2),
        Constant(6),
        [2, 3],
        [1, 0],
        [1, 2],
        True,
        [1, 0],
        2,
    ),
)
def convolution(
    input: Operand,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    transposed: bool,
    output_padding: Sizes,
    groups: int,
) -> Action:
    """Exact: the convolution by a constant kernel, or its transpose."""
    require_constant(weight=weight, bias=bias)
    dims = weight.dim() - 2
    geometry = Geometry(
        sizes(stride, dims),
        sizes(padding, dims),
        sizes(dilation, dims),
        transposed,
        sizes(output_padding, dims),
        groups,
    )
    return convolved(input, weight, bias, geometry)


@rule(
    aten.conv_transpose1d.default,
    Example(Variable(2, 4, 5), Constant(4, 3, 3), Constant(6), [2], [1], [1], 2, [2]),
    Example(Variable(3, 5), Constant(3, 2, 4), None, [3]),
)
@rule(
    aten.conv_transpose2d.input,
    Example(
        Variable(2, 4, 5, 4), Constant(4, 3, 3, 2), Constant(6), [2, 3], [1, 0], [1, 2], 2, [3, 1]
    ),
    Example(Variable(3, 4, 3), Constant(3, 2, 2, 3), None, [2, 1], [1, 1]),
)
@rule(
    aten.conv_transpose3d.input,
    Example(
        Variable(1, 2, 3, 2, 3),
        Constant(2, 2, 2, 3, 2),
        Constant(4),
        [2, 1, 2],
        [1, 0, 0],
        [1, 0, 0],
        2,
    ),
    Example(Variable(2, 3, 2, 3), Constant(2, 1, 2, 2, 2), None),
)
def conv_transpose(
    input: Operand,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sizes,
    padding: Sizes,
    output_padding: Sizes,
    groups: int,
    dilation: Sizes,
) -> Action:
    """Exact: the transpose of a convolution by a constant kernel."""
    return convolution(input, weight, bias, stride, padding, dilation, True, output_padding, groups)


__all__ = ["convolved", "sizes"]
