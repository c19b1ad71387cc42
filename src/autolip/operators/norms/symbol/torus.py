"""Norms of convolutions on a torus: the symbol at finitely many frequencies, for circular and for
zero padding."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.errors import InputError, Refusal
from autolip.operators.algebra import factors
from autolip.operators.convolution import Convolution
from autolip.operators.norms.engine import NormOptions, engine
from autolip.operators.norms.symbol.bound import kernel_norm, symbol_on
from autolip.operators.norms.symbol.cells import Cells, frequencies
from autolip.operators.norms.symbol.polynomial import SymbolGram
from autolip.operators.operator import DTYPE, Operator
from autolip.values import Upper


def circular_norm(
    weight: Float[Tensor, "a b *kernel"],
    spatial: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    groups: int = 1,
    relative_error: float = 0.0,
    options: NormOptions | None = None,
) -> Upper | Refusal:
    """Upper bound on ||A||_{2 -> 2} of a convolution on the torus of shape `spatial`: max_j
    ||K(w_j)||_2, PROVED.

    y[o, n] = sum_{i, t} weight[o, i, t] x[i, (s n + d t) mod spatial]; equal to the norm up to
    rounding.  The stride has to divide the image, otherwise the map is not one of a torus and is
    refused.  With M = spatial / s the frequencies are 2 pi j / M; dropping the dilation (module
    `symbol_polynomial`) takes them to d / gcd(s, d) times that.
    """
    if len(spatial) != weight.dim() - 2:
        raise InputError(
            f"a kernel of shape {tuple(weight.shape)} acts on {weight.dim() - 2} axes, "
            f"not on {len(spatial)}"
        )
    if any(size % step for size, step in zip(spatial, stride, strict=True)):
        return Refusal(
            f"stride {tuple(stride)} does not divide the circular image {tuple(spatial)}"
        )
    counts = [size // step for size, step in zip(spatial, stride, strict=True)]
    phases = [step // math.gcd(step, d) for step, d in zip(stride, dilation, strict=True)]
    multiples = [d // math.gcd(step, d) for step, d in zip(stride, dilation, strict=True)]
    active = [axis for axis, size in enumerate(weight.shape[2:]) if size > phases[axis]]

    def grid(gram: SymbolGram) -> Cells:
        return frequencies([counts[a] for a in active], [multiples[a] for a in active], gram.groups)

    tight = replace(options or NormOptions(), tolerance=0.0)
    return kernel_norm(weight, stride, dilation, groups, relative_error, tight, grid)


@engine("torus", "l2", needs=lambda a: a.is_composite)
def torus_norm(operator: Operator, options: NormOptions) -> Upper | Refusal:
    """Upper bound on ||A||_{2 -> 2} of circular padding followed by a convolution: `circular_norm`,
    PROVED.

    With fewer outputs than the torus has, the map is a compression of the torus map and the bound
    still holds.
    """
    parts = factors(operator)
    conv = Convolution.of(parts[0])
    padding = parts[-1]
    if len(parts) != 2 or conv is None or not _pads_in_circles(conv, padding):
        return Refusal(
            "the torus engine takes a convolution without padding after circular padding"
        )
    geometry = conv.geometry
    spatial = padding.in_shape[-geometry.dims :]
    outputs = conv.out_shape[-geometry.dims :]
    if any(n * s > size for n, s, size in zip(outputs, geometry.stride, spatial, strict=True)):
        return Refusal("the circular padding wraps further than once around the image")
    return circular_norm(
        conv.weight,
        spatial,
        geometry.stride,
        geometry.dilation,
        geometry.groups,
        conv.relative_error,
        options,
    )


MOST_FREQUENCIES = 128
"""Chosen: frequencies of a torus beyond which the border of an image matters little."""


@engine("wrapped", "l2", needs=lambda a: a.kernel is not None)
def wrapped_norm(operator: Operator, options: NormOptions) -> Upper | Refusal:
    """Upper bound on ||A||_{2 -> 2} of a zero-padded convolution of stride 1 on a small image,
    PROVED.

    Where no output of the image sees both ends of a torus of M points per axis,

        M >= max(n + p, m - p + d (k - 1), n, m)

    (n inputs, m outputs, padding p, dilation d, k taps), A is a compression of the convolution on
    that torus.  Multiplying x_j and y_j by e^{i <theta, j>} leaves ||A|| alone and moves every
    frequency by theta, hence ||A|| <= max_j ||K(2 pi j / M + theta)|| for every theta: the least of
    those with theta 0 or pi / M per axis.  Below the supremum of the symbol by the share that a
    coarse grid misses.
    """
    conv = Convolution.of(operator)
    assert conv is not None
    refusal = not_wrapped(conv)
    if refusal is not None:
        return refusal
    sizes = _smallest_torus(conv)
    active = [axis for axis, size in enumerate(conv.weight.shape[2:]) if size > 1]
    counts = [sizes[a] for a in active]
    multiples = [conv.geometry.dilation[a] for a in active]
    found: list[Upper | Refusal] = []
    for shifts in itertools.product((0, 1), repeat=len(active)):
        known = min([options.known, *(one.value for one in found if isinstance(one, Upper))])
        tight = replace(options, tolerance=0.0, known=known)
        grid = lambda gram, shifts=shifts: frequencies(counts, multiples, gram.groups, shifts)  # noqa: E731
        found.append(symbol_on(conv, tight, grid))
    bounds = [one for one in found if isinstance(one, Upper)]
    return Upper.least(bounds) if bounds else found[0]


def not_wrapped(operator: Convolution) -> Refusal | None:
    """Why the wrapped engine does not take a convolution, if it does not."""
    geometry = operator.geometry
    if geometry.transposed or any(step != 1 for step in geometry.stride):
        return Refusal("the wrapped engine takes convolutions of stride 1")
    sizes = _smallest_torus(operator)
    if (
        math.prod(n for n, taps in zip(sizes, operator.weight.shape[2:], strict=True) if taps > 1)
        > MOST_FREQUENCIES
    ):
        return Refusal(
            f"a torus of {' x '.join(map(str, sizes))} has more than {MOST_FREQUENCIES} frequencies"
        )
    return None


def _smallest_torus(operator: Convolution) -> list[int]:
    """Points per axis of the smallest torus on which no output sees both ends of the image."""
    geometry = operator.geometry
    axes = zip(
        operator.in_shape[-geometry.dims :],
        operator.out_shape[-geometry.dims :],
        geometry.padding,
        geometry.dilation,
        operator.weight.shape[2:],
        strict=True,
    )
    return [max(n + p, m - p + d * (k - 1), n, m) for n, m, p, d, k in axes]


def _pads_in_circles(convolution: Convolution, padding: Operator) -> bool:
    """Whether the wiring copies entry (start + n) mod size of the image to place n, on every
    spatial axis.

    A selection is known by what it does to the numbers 1, 2, ...
    """
    geometry = convolution.geometry
    dims = geometry.dims
    shape = padding.in_shape
    if (
        geometry.transposed
        or any(geometry.padding)
        or not padding.is_wiring
        or not padding.is_selection
        or not padding.out_size
    ):
        return False
    if len(shape) != len(padding.out_shape) or shape[:-dims] != padding.out_shape[:-dims]:
        return False
    numbered = torch.arange(1, padding.in_size + 1, dtype=DTYPE)
    labels = numbered.view(shape)
    found = padding.mv(labels[None])[0]
    first = int(found.flatten()[0].item()) - 1
    if first < 0:
        return False
    found_at = torch.unravel_index(torch.tensor(first), shape)
    corner = found_at[-dims:]
    expected = labels
    for axis, start in zip(range(-dims, 0), corner, strict=True):
        shifted = torch.arange(padding.out_shape[axis]) + int(start)
        places = shifted % shape[axis]
        expected = expected.index_select(axis, places)
    return torch.equal(found, expected)
