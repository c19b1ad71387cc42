"""Gram iteration: ||A||_2 <= ||G_N||_F^(1 / 2^N), G_0 = A, G_{k+1} = G_k^* G_k; differentiable, for
training.

Source: B. Delattre, Q. Barthelemy, A. Araujo, A. Allauzen, Efficient bound of Lipschitz constant
for convolutional layers by Gram iteration, ICML 2023.  An upper bound in exact arithmetic only:
rounding is not accounted for, so the result is a tensor to descend on and never an `Upper`.
Everything runs in the dtype and on the device of its input.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from autolip.errors import InputError
from autolip.operators.norms.symbol.polynomial import polyphase


def gram_norm(matrix: Shaped[Tensor, "*batch m n"], iterations: int = 6) -> Float[Tensor, "*batch"]:
    """At least ||A||_2 in exact arithmetic, by a factor of at most min(m, n)^(1 / 2^(iterations +
    1)).

    Real or complex; converges from above, quadratically.  Every iterate is divided by its Frobenius
    norm, which keeps it in range; the factors cancel, so they carry no gradient.  Cost: iterations
    products of the smaller side.
    """
    is_tall = matrix.shape[-2] >= matrix.shape[-1]
    matrix = matrix if is_tall else matrix.mT
    iterate = matrix
    batch = matrix.shape[:-2]
    logarithm = torch.zeros(batch, dtype=matrix.real.dtype, device=matrix.device)
    for _ in range(iterations):
        scale = _nonzero(_frobenius(iterate.detach()))
        iterate = iterate / scale[..., None, None]
        iterate = iterate.mH @ iterate
        logarithm = 2 * (logarithm + scale.log())
    size = _frobenius(iterate)
    return _root(size, logarithm, iterations)


def gram_convolution_norm(
    weight: Float[Tensor, "a b *kernel"],
    *,
    grid: int | Sequence[int] | None = None,
    stride: int | Sequence[int] = 1,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    circular: bool = False,
    iterations: int = 6,
) -> Float[Tensor, ""]:
    """At least ||A||_2 in exact arithmetic of a convolution, from its symbol on a grid of
    frequencies.

    max_w gram_norm(K(w)) over a grid of N_a frequencies per axis, times prod_a 1 / cos(pi m_a /
    N_a) for what lies between (M. Riesz 1914; m_a half of the taps less one): a bound for every
    zero padding and image size, and for the transposed convolution.  `circular`: the torus with
    `grid` outputs, without that factor.  Strides enter by polyphase components; `grid` defaults to
    16 frequencies per tap.
    """
    strides = _per_axis(stride, weight)
    dilations = _per_axis(dilation, weight)
    kernel = polyphase(weight, strides, dilations, groups)
    taps = kernel.shape[3:]
    sizes = _per_axis(grid, weight) if grid is not None else tuple(16 * size for size in taps)
    least = [count if circular or count == 1 else 2 * count for count in taps]
    if any(size < wanted for size, wanted in zip(sizes, least, strict=True)):
        raise InputError(
            f"a grid of {sizes} frequencies is too coarse for {tuple(taps)} taps: take "
            f"{tuple(least)} or more"
        )
    values = gram_norm(_spectrum(kernel, sizes), iterations).amax()
    return values if circular else values / _riesz(taps, sizes)


def gram_kernel_norm(
    weight: Float[Tensor, "a b *kernel"],
    *,
    stride: int | Sequence[int] = 1,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    iterations: int = 4,
) -> Float[Tensor, ""]:
    """At least ||A||_2 in exact arithmetic of a zero-padded convolution: the largest absolute row
    sum of the iterate.

    The iterate G_N is itself a convolution, with 2^N (taps - 1) + 1 taps, and ||G_N||_2 <= max_o
    sum |G_N[o, :, :]|. Source: B. Delattre, Q. Barthelemy, A. Allauzen, Spectral norm of
    convolutional layers with circular and zero paddings, 2024.  Iterated on a torus that is large
    enough for every tap.
    """
    if iterations < 1:
        raise InputError(
            "an absolute row sum bounds symmetric iterates only: iterate at least once"
        )
    strides = _per_axis(stride, weight)
    dilations = _per_axis(dilation, weight)
    kernel = polyphase(weight, strides, dilations, groups)
    if kernel.shape[1] < kernel.shape[2]:
        kernel = kernel.transpose(1, 2)
    axes = tuple(range(-(kernel.dim() - 3), 0))
    sizes = tuple(2**iterations * (count - 1) + 1 for count in kernel.shape[3:])
    logarithm = torch.zeros((), dtype=weight.dtype, device=weight.device)
    transformed = torch.fft.fftn(kernel, s=sizes, dim=axes)
    iterate = transformed.movedim((1, 2), (-2, -1))
    for _ in range(iterations):
        scale = _nonzero(iterate.detach().abs().amax())
        iterate = iterate / scale
        iterate = iterate.mH @ iterate
        logarithm = 2 * (logarithm + scale.log())
    spatial = tuple(range(1, 1 + len(axes)))
    taps = torch.fft.ifftn(iterate, dim=spatial)
    moduli = taps.abs().sum(-1)
    rows = moduli.flatten(1, -2).sum(1)
    return _root(rows.amax(), logarithm, iterations)


def _per_axis(value: int | Sequence[int], weight: Tensor) -> tuple[int, ...]:
    axes = weight.dim() - 2
    values = (value,) * axes if isinstance(value, int) else tuple(value)
    if len(values) != axes:
        raise InputError(
            f"{values} has to hold one number for each of the {axes} axes of the kernel"
        )
    return values


def _spectrum(kernel: Tensor, sizes: Sequence[int]) -> Tensor:
    """K on the grid, one of each pair w, -w along the last axis: (groups, *frequencies, rows,
    columns)."""
    axes = tuple(range(3, kernel.dim()))
    return torch.fft.rfftn(kernel, s=list(sizes), dim=axes).movedim((1, 2), (-2, -1))


def _riesz(taps: Sequence[int], sizes: Sequence[int]) -> float:
    """What a grid keeps of the supremum of a trigonometric polynomial, at least."""
    return math.prod(
        math.cos(math.pi * (count - 1) / 2 / size) for count, size in zip(taps, sizes, strict=True)
    )


def _frobenius(matrix: Tensor) -> Tensor:
    return torch.linalg.vector_norm(matrix, dim=(-2, -1))


def _nonzero(scale: Tensor) -> Tensor:
    return torch.where(scale > 0, scale, torch.ones_like(scale))


def _root(size: Tensor, logarithm: Tensor, iterations: int) -> Tensor:
    """(size e^logarithm)^(1 / 2^iterations); zero, with gradient zero, at zero."""
    both = _nonzero(size).log() + logarithm
    exponent = both / 2**iterations
    return torch.where(size > 0, exponent.exp(), size)
