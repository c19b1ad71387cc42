"""How far a convolution's norm reaches on its finite image: Lanczos, started where the symbol is
largest.

Nothing here is a bound; it tells whether anything tighter than the symbol is worth looking for.
"""

import math

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from autolip.operators.convolution import Convolution
from autolip.operators.norms.krylov import Krylov
from autolip.operators.norms.symbol.bound import highest
from autolip.operators.norms.symbol.polynomial import normalised, symbol_gram
from autolip.operators.norms.symbol.search import Search
from autolip.values import Estimate


def reached(operator: Convolution, steps: int, enough: float = math.inf, seed: int = 0) -> Estimate:
    """||A||_2 from below, up to rounding: the largest Ritz value after at most `steps`, or one that
    is `enough`.

    A sine window keeps most of a wave's gain on an image of N points, all but about (pi / N)^2 / 2
    of it for each tap beyond the first; a few steps find most of the rest.
    """
    if not operator.weight.isfinite().all() or not operator.weight.any():
        return Estimate(0.0)
    weight, exponent = normalised(operator.weight)
    scaled = Convolution(weight, operator.image_shape, operator.geometry)
    start = wave(scaled, seed).flatten()
    if not start.any():
        return Estimate(0.0)
    gram = lambda v: scaled.rmv(scaled.mv(v.reshape(1, *scaled.in_shape))).flatten()  # noqa: E731
    goal = enough * 2.0 ** min(-exponent, 1000)
    space = Krylov(gram, start, steps).grow(steps, goal * goal)
    return Estimate(math.sqrt(space.top()) * 2.0 ** min(exponent, 1000))


def wave(operator: Convolution, seed: int = 0) -> Float[Tensor, "1 *in"]:
    """An input image that the operator amplifies by almost its norm: the symbol's summit, under a
    window that fits.

    The symbol's eigenvector has the channels of the coarser image, or of the finer where there are
    fewer of them; where it has neither (strides, whose phases are channels of the symbol) the
    channels are random.
    """
    geometry = operator.geometry
    weight = operator.weight
    symbol = symbol_gram(weight, geometry.stride, geometry.dilation, geometry.groups)
    search = Search(symbol, seed)
    summit = highest(symbol, search)
    vector = search.top(summit.group, summit.frequency)[1].to(torch.complex128)
    shared = [math.gcd(s, d) for s, d in zip(geometry.stride, geometry.dilation, strict=True)]
    phases = [
        min(s // g, k) for s, g, k in zip(geometry.stride, shared, weight.shape[2:], strict=True)
    ]
    taps = [-(-k // phase) for k, phase in zip(weight.shape[2:], phases, strict=True)]
    found = iter(summit.frequency.tolist())
    frequency = [next(found) if size > 1 else 0.0 for size in taps]
    coarse = operator.out_shape
    fine = operator.in_shape
    if geometry.transposed:
        coarse, fine = fine, coarse
    outputs = weight.shape[0] // geometry.groups
    outward = symbol.side == outputs
    if not outward and math.prod(phases) == 1:
        slow = [w / d for w, d in zip(frequency, geometry.dilation, strict=True)]
        image = _windowed(
            _placed(vector.conj(), summit.group, fine[0]), slow, fine
        )  # G is of K^T, not of K^*
        return operator.rmv(image) if geometry.transposed else image
    if not outward:
        width = weight.shape[0] // geometry.groups
        vector = torch.randn(width, dtype=torch.complex128, generator=search.generator)
    slow = [w * g / d for w, g, d in zip(frequency, shared, geometry.dilation, strict=True)]
    placed = _placed(vector, summit.group, coarse[0])
    image = _windowed(placed, slow, coarse)
    return image if geometry.transposed else operator.rmv(image)


def _placed(
    vector: Complex[Tensor, " n"], group: int, channels: int
) -> Complex[Tensor, " channels"]:
    """The channels of one group, zero in the others."""
    placed = vector.new_zeros(channels)
    placed[group * len(vector) : (group + 1) * len(vector)] = vector
    return placed


def _windowed(
    channels: Complex[Tensor, " c"], frequency: list[float], shape: tuple[int, ...]
) -> Float[Tensor, "1 c *space"]:
    """Re of channels times e^{i <w, n>}, under a sine window along every axis."""
    ones = [1] * len(frequency)
    image = channels.reshape(-1, *ones)
    for axis, (size, w) in enumerate(zip(shape[1:], frequency, strict=True), start=1):
        place = torch.arange(1, size + 1, dtype=torch.float64)
        window = torch.sin(math.pi * place / (size + 1))
        factor = torch.polar(window, w * place)
        extents = [-1 if a == axis else 1 for a in range(len(shape))]
        image = image * factor.reshape(extents)
    return image.real[None]
