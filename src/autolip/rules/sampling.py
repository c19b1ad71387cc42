"""Images read at constant places: a sparse matrix whose weights are exact rationals.

A coordinate g of the grid stands at ((g + 1) (n - 1)) / 2 with aligned corners, else at
((g + 1) n - 1) / 2, of an axis of n pixels; there the neighbours are weighted linearly or by Keys's
cubic with A = -3/4.  Beyond the border pixels are zero, or coordinates are clipped or reflected:
for cubic weights those of each neighbour, else those of the place.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

import torch
from torch import Tensor

from autolip.operators.algebra import compose
from autolip.operators.diagonal import Diagonal
from autolip.operators.incidence import Incidence
from autolip.roundoff import relative_error
from autolip.rules.resampling import keys
from autolip.rules.rule import Affine, Example, Operand, Variable, require_constant, rule

aten = torch.ops.aten

LINEAR, NEAREST, CUBIC = 0, 1, 2  # defined by ATen
ZEROS, BORDER, REFLECTION = 0, 1, 2
"""Defined by ATen: kinds of interpolation, and of padding."""

Taps = list[tuple[int, Fraction]]
"""Pixels of an axis, and their weights."""

IMAGE = Variable(2, 3, 4, 5)
VOLUME = Variable(1, 2, 3, 2, 4)
GRID = torch.tensor(
    [
        [[[-0.9, 0.8], [0.31, -0.25], [1.3, -0.1]], [[-1.7, 0.05], [0.0, 0.0], [0.6, 2.2]]],
        [[[0.2, 0.4], [-0.63, 1.0], [1.0, -1.0]], [[0.9, -1.1], [0.11, 0.7], [3.4, -2.9]]],
    ],
    dtype=torch.float64,
)
SPACE = torch.tensor(
    [[[[[-0.9, 0.8, 0.1], [0.31, -1.25, 0.4]]], [[[1.3, -0.1, -0.7], [0.0, 0.5, 1.6]]]]],
    dtype=torch.float64,
)


@rule(
    aten.grid_sampler_2d.default,
    *(
        Example(IMAGE, GRID, kernel, padding, align)
        for kernel in (LINEAR, NEAREST, CUBIC)
        for padding, align in ((ZEROS, False), (BORDER, True), (REFLECTION, True))
    ),
    Example(IMAGE, GRID, LINEAR, REFLECTION, False),
    Example(IMAGE, GRID, CUBIC, REFLECTION, False),
)
@rule(
    aten.grid_sampler_3d.default,
    Example(VOLUME, SPACE, LINEAR, ZEROS, False),
    Example(VOLUME, SPACE, LINEAR, REFLECTION, False),
    Example(VOLUME, SPACE, NEAREST, BORDER, True),
)
def grid_sampler(
    input: Operand, grid: Tensor, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Affine:
    """Exact at constant places: interpolation between the pixels around each."""
    require_constant(grid=grid)
    space = input.shape[2:]
    if interpolation_mode == NEAREST:
        return _nearest(input, grid, padding_mode, align_corners)
    flat = grid.reshape(len(grid), -1, len(space))
    lines = [
        {
            g: _taps(Fraction(g), size, interpolation_mode, padding_mode, align_corners)
            for g in flat[..., len(space) - 1 - axis].unique().tolist()
        }
        for axis, size in enumerate(space)
    ]

    def sample(place: list[float]) -> Taps:
        axes = zip(lines, reversed(place), strict=True)
        return _joined([line[g] for line, g in axes], space)

    samples = [[sample(place) for place in one] for one in flat.tolist()]
    return _weighted(input, samples, grid.shape[1:-1])


def _taps(g: Fraction, size: int, kernel: int, padding: int, align: bool) -> Taps:
    place = (g + 1) * (size - 1) / 2 if align else ((g + 1) * size - 1) / 2
    inside = _inside(padding, size, align)
    if kernel == LINEAR:
        place = inside(place)
        left = math.floor(place)
        part = place - left
        taps = [(left, 1 - part), (left + 1, part)]
    else:
        left = math.floor(place)
        taps = [
            (math.floor(inside(Fraction(j))), keys(abs(place - j), Fraction(-3, 4)))
            for j in range(left - 1, left + 3)
        ]
    return [(j, weight) for j, weight in taps if 0 <= j < size and weight]


def _inside(padding: int, size: int, align: bool) -> Callable[[Fraction], Fraction]:
    """What a coordinate is taken for."""
    last = Fraction(size - 1)

    def clipped(place: Fraction) -> Fraction:
        return min(max(place, Fraction(0)), last)

    def reflected(place: Fraction) -> Fraction:
        low, span = (Fraction(0), last) if align else (Fraction(-1, 2), Fraction(size))
        if not span:
            return Fraction(0)
        turns, rest = divmod(abs(place - low), span)
        return clipped(rest + low if turns % 2 == 0 else span - rest + low)

    return {ZEROS: lambda place: place, BORDER: clipped, REFLECTION: reflected}[padding]


def _joined(axes: Sequence[Taps], space: Sequence[int]) -> Taps:
    """Pixels of the image, numbered row by row; each once."""
    total: dict[int, Fraction] = {}
    for taps in itertools.product(*axes):
        number = 0
        weight = Fraction(1)
        for (j, share), size in zip(taps, space, strict=True):
            number = number * size + j
            weight *= share
        total[number] = total.get(number, Fraction(0)) + weight
    return list(total.items())


def _weighted(x: Operand, samples: list[list[Taps]], out: Sequence[int]) -> Affine:
    """Pixels are copied to where they are read, weighted, and added."""
    width = max((len(taps) for one in samples for taps in one), default=0)
    width = max(width, 1)
    places = torch.tensor([[list(_padded(taps, width, 0)) for taps in one] for one in samples])
    exact = [[list(_padded(taps, width, 1)) for taps in one] for one in samples]
    weights = torch.tensor(
        [[[float(w) for w in taps] for taps in one] for one in exact], dtype=torch.float64
    )
    rounded = any(Fraction(float(w)) != w for one in exact for taps in one for w in taps)
    batch, channels = x.shape[:2]
    count = places.shape[1]
    index = places.long().reshape(batch, 1, -1).expand(batch, channels, -1)
    read = Incidence(lambda t: t.reshape(batch, channels, -1).gather(2, index), x.shape)
    scale = weights.reshape(batch, 1, -1)
    weighted = Diagonal(scale, read.out_shape, relative_error(1) if rounded else 0.0)
    shape = (batch, channels, *out)
    added = Incidence(
        lambda t: t.reshape(batch, channels, count, width).sum(-1).reshape(shape),
        weighted.out_shape,
    )
    return Affine(((x, compose(added, weighted, read)),))


def _padded(taps: Taps, width: int, part: int) -> Iterator[int | Fraction]:
    """Pixels (0) or weights (1), with pixel 0 and weight 0 where there are fewer."""
    yield from (tap[part] for tap in taps)
    yield from itertools.repeat(0, width - len(taps))


def _nearest(x: Operand, grid: Tensor, padding: int, align: bool) -> Affine:
    """Copies of pixels: those that the operation itself reads."""
    pixels = torch.arange(1, x.shape[2:].numel() + 1, dtype=torch.float64)
    numbered = pixels.reshape(1, 1, *x.shape[2:]).expand(len(grid), 1, *x.shape[2:])
    target = aten.grid_sampler_2d.default if grid.shape[-1] == 2 else aten.grid_sampler_3d.default
    read = target(numbered, grid, NEAREST, padding, align).long().reshape(len(grid), 1, -1)
    batch, channels = x.shape[:2]
    index = read.expand(batch, channels, -1)
    shape = (batch, channels, *grid.shape[1:-1])

    def copied(t: Tensor) -> Tensor:
        pixels = t.reshape(batch, channels, -1)
        framed = torch.cat([torch.zeros_like(pixels[..., :1]), pixels], -1)
        return framed.gather(2, index).reshape(shape)

    return Affine(((x, Incidence(copied, x.shape, shape)),))
