"""Enlarging by linear and cubic interpolation: one matrix along each axis, with exact rational
weights."""

import math
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.operators.algebra import compose
from autolip.operators.diagonal import Identity
from autolip.operators.operator import DTYPE, Operator
from autolip.roundoff import relative_error
from autolip.rules.matrices import along
from autolip.rules.rule import Affine, Example, Operand, Variable, rule

aten = torch.ops.aten

Weights = Iterator[tuple[int, Fraction]]
Kernel = Callable[[Fraction, int], Weights]

SIGNAL = Variable(2, 3, 5)
IMAGE = Variable(1, 2, 4, 5)
VOLUME = Variable(1, 2, 3, 2, 4)


def interpolation(
    size: int, count: int, kernel: Kernel, align_corners: bool, scale: float | None
) -> tuple[Float[Tensor, "count size"], float]:
    """The matrix that samples `size` entries at `count` places, and its relative error: each weight
    is rounded once.

    Place i is at i (n - 1) / (m - 1) with aligned corners, else at (i + 1/2) r - 1/2 with r the
    step: the reciprocal of the scale factor where one was given, else n / m.
    """
    matrix = torch.zeros(count, size, dtype=DTYPE)
    exact = True
    step = 1 / Fraction(scale) if scale is not None and scale > 0 else Fraction(size, count)
    for i in range(count):
        steps = max(count - 1, 1)
        corner = Fraction(i * (size - 1), steps)
        place = corner if align_corners else (i + Fraction(1, 2)) * step - Fraction(1, 2)
        for j, weight in _gathered(kernel(place, size)).items():
            matrix[i, j] = float(weight)
            exact = exact and Fraction(float(weight)) == weight
    return matrix, 0.0 if exact else relative_error(1)


def _gathered(weights: Weights) -> dict[int, Fraction]:
    total: dict[int, Fraction] = {}
    for j, weight in weights:
        before = total.get(j, Fraction(0))
        total[j] = before + weight
    return total


def linear(place: Fraction, size: int) -> Weights:
    """Weights of the two neighbours; constant beyond the ends."""
    above = max(place, Fraction(0))
    place = min(above, Fraction(size - 1))
    left = math.floor(place)
    yield left, 1 - (place - left)
    yield min(left + 1, size - 1), place - left


def cubic(place: Fraction, size: int) -> Weights:
    """Weights of four neighbours by Keys's cubic with A = -3/4 (Keys 1981); the end entries repeat
    beyond the ends."""
    left = math.floor(place)
    for j in range(left - 1, left + 3):
        yield min(max(j, 0), size - 1), keys(abs(place - j), Fraction(-3, 4))


def keys(x: Fraction, a: Fraction) -> Fraction:
    """Keys's cubic at a distance of x, with A = a."""
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    if x < 2:
        return a * (x**3 - 5 * x**2 + 8 * x - 4)
    return Fraction(0)


def _resampled(
    x: Operand,
    counts: Sequence[int],
    kernel: Kernel,
    align_corners: bool,
    scales: Sequence[float | None],
) -> Affine:
    """Along one axis after the other; PyTorch's linear kernel leaves an axis whose size stays as it
    is."""
    operator: Operator = Identity(x.shape)
    axes = range(x.dim - len(counts), x.dim)
    for axis, count, scale in zip(axes, counts, scales, strict=True):
        if kernel is linear and count == x.shape[axis]:
            continue
        size = x.shape[axis]
        matrix, error = interpolation(size, count, kernel, align_corners, scale)
        weights = along(matrix, operator.out_shape, axis, error)
        operator = compose(weights, operator)
    return Affine(((x, operator),))


def _resampled_vec(
    x: Operand,
    counts: Sequence[int] | None,
    kernel: Kernel,
    align_corners: bool,
    scales: Sequence[float] | None,
) -> Affine:
    """Sizes or scale factors: given factors, an axis has floor(n factor) entries."""
    if counts is None:
        given = scales or ()
        sizes_and_scales = zip(x.shape[2:], given, strict=True)
        counts = [int(size * scale) for size, scale in sizes_and_scales]
    return _resampled(x, counts, kernel, align_corners, scales or [None] * len(counts))


@rule(
    aten.upsample_linear1d.vec,
    Example(SIGNAL, None, False, [1.7]),
    Example(SIGNAL, [8], True, None),
)
@rule(
    aten.upsample_bilinear2d.vec,
    Example(IMAGE, None, False, [2.0, 1.7]),
    Example(IMAGE, [7, 9], True, None),
    Example(IMAGE, [4, 3], False, None),
    Example(IMAGE, None, False, [1.2, 0.5]),
)
@rule(
    aten.upsample_trilinear3d.vec,
    Example(VOLUME, None, False, [2.0, 1.7, 0.6]),
    Example(VOLUME, [1, 5, 4], True, None),
)
def upsample_linear_vec(
    input: Operand,
    output_size: Sequence[int] | None,
    align_corners: bool,
    scale_factors: Sequence[float] | None,
) -> Affine:
    """Exact: linear interpolation along each axis."""
    return _resampled_vec(input, output_size, linear, align_corners, scale_factors)


@rule(
    aten.upsample_bicubic2d.vec,
    Example(IMAGE, None, False, [2.0, 1.7]),
    Example(IMAGE, [7, 9], True, None),
    Example(IMAGE, None, False, [1.2, 0.5]),
)
def upsample_bicubic2d_vec(
    input: Operand,
    output_size: Sequence[int] | None,
    align_corners: bool,
    scale_factors: Sequence[float] | None,
) -> Affine:
    """Exact: cubic interpolation along each axis."""
    return _resampled_vec(input, output_size, cubic, align_corners, scale_factors)


@rule(aten.upsample_linear1d.default, Example(SIGNAL, [8], False, 1.7), Example(SIGNAL, [3], True))
def upsample_linear1d(
    self: Operand, output_size: Sequence[int], align_corners: bool, scales: float | None
) -> Affine:
    """Exact: linear interpolation."""
    return _resampled(self, output_size, linear, align_corners, [scales])


@rule(
    aten.upsample_bilinear2d.default,
    Example(IMAGE, [8, 3], False, 2.0, 0.7),
    Example(IMAGE, [5, 9], True),
)
def upsample_bilinear2d(
    self: Operand,
    output_size: Sequence[int],
    align_corners: bool,
    scales_h: float | None,
    scales_w: float | None,
) -> Affine:
    """Exact: linear interpolation along each axis."""
    return _resampled(self, output_size, linear, align_corners, [scales_h, scales_w])


@rule(
    aten.upsample_bicubic2d.default,
    Example(IMAGE, [8, 3], False, 2.0, 0.7),
    Example(IMAGE, [5, 9], True),
)
def upsample_bicubic2d(
    self: Operand,
    output_size: Sequence[int],
    align_corners: bool,
    scales_h: float | None,
    scales_w: float | None,
) -> Affine:
    """Exact: cubic interpolation along each axis."""
    return _resampled(self, output_size, cubic, align_corners, [scales_h, scales_w])


@rule(aten.upsample_trilinear3d.default, Example(VOLUME, [6, 3, 2], False, 2.0, None, 0.7))
def upsample_trilinear3d(
    self: Operand,
    output_size: Sequence[int],
    align_corners: bool,
    scales_d: float | None,
    scales_h: float | None,
    scales_w: float | None,
) -> Affine:
    """Exact: linear interpolation along each axis."""
    return _resampled(self, output_size, linear, align_corners, [scales_d, scales_h, scales_w])


# Without aliases
# -------------------------------------------------------------------------------------------------


def averaging(
    size: int, count: int, filter_of: Callable[[Fraction], Fraction], reach: int, step: Fraction
) -> tuple[Float[Tensor, "count size"], float]:
    """The matrix that samples with a filter as wide as a step, where steps are longer than a pixel.

    Place i is at c = (i + 1/2) r with r the step; entry j has the weight f((j + 1/2 - c) / max(r,
    1)), over the sum of the weights of those that are there.
    """
    matrix = torch.zeros(count, size, dtype=DTYPE)
    exact = True
    wide = max(step, Fraction(1))
    for i in range(count):
        centre = (i + Fraction(1, 2)) * step
        first = max(math.floor(centre - reach * wide + Fraction(1, 2)), 0)
        last = min(math.floor(centre + reach * wide + Fraction(1, 2)), size)
        weights = {
            j: filter_of(abs((j + Fraction(1, 2) - centre) / wide)) for j in range(first, last)
        }
        total = sum(weights.values())
        for j, weight in weights.items():
            matrix[i, j] = float(weight / total)
            exact = exact and Fraction(float(weight / total)) == weight / total
    return matrix, 0.0 if exact else relative_error(1)


def _tent(x: Fraction) -> Fraction:
    return max(1 - x, Fraction(0))


def _cubic(x: Fraction) -> Fraction:
    return keys(x, Fraction(-1, 2))


@rule(
    aten._upsample_bilinear2d_aa.default,
    Example(IMAGE, [2, 3], False),
    Example(IMAGE, [2, 7], True),
    Example(IMAGE, [3, 3], False, 0.8, 0.7),
)
def upsample_bilinear2d_aa(
    self: Operand,
    output_size: Sequence[int],
    align_corners: bool,
    scales_h: float | None,
    scales_w: float | None,
) -> Affine:
    """Exact: averages with a tent as wide as a step, along each axis."""
    return _averaged(self, output_size, _tent, 1, align_corners, (scales_h, scales_w))


@rule(
    aten._upsample_bicubic2d_aa.default,
    Example(IMAGE, [2, 3], False),
    Example(IMAGE, [2, 7], True),
    Example(IMAGE, [3, 3], False, 0.8, 0.7),
)
def upsample_bicubic2d_aa(
    self: Operand,
    output_size: Sequence[int],
    align_corners: bool,
    scales_h: float | None,
    scales_w: float | None,
) -> Affine:
    """Exact: averages with Keys's cubic (A = -1/2) as wide as a step, along each axis."""
    return _averaged(self, output_size, _cubic, 2, align_corners, (scales_h, scales_w))


def _averaged(
    x: Operand,
    counts: Sequence[int],
    filter_of: Callable[[Fraction], Fraction],
    reach: int,
    align_corners: bool,
    scales: Sequence[float | None],
) -> Affine:
    operator: Operator = Identity(x.shape)
    axes = range(x.dim - len(counts), x.dim)
    for axis, count, scale in zip(axes, counts, scales, strict=True):
        size = x.shape[axis]
        step = Fraction(size, count)
        if align_corners:
            step = Fraction(size - 1, count - 1) if count > 1 else Fraction(0)
        elif scale is not None and scale > 0:
            step = 1 / Fraction(scale)
        matrix, error = averaging(size, count, filter_of, reach, step)
        operator = compose(along(matrix, operator.out_shape, axis, error), operator)
    return Affine(((x, operator),))
