"""The layerwise recursion along chains of convolutions, one small Hermitian matrix per frequency of
a torus.

A zero-padded convolution of an image of N points (per axis), padding p, is the restriction to the
output image of the circular one on a torus of M points, once no tap wraps around onto the image: M
>= N + p, and M larger than the last position that is read.  Place the signal on the torus with
zeros beside it.  Then an activation followed by the crop is an activation whose slopes are 0 off
the image: slopes in [0, b] there and here, b the largest over the positions of a channel.  So the
cropped chain is contained in one of circular convolutions with slopes in [0, b_c] at every
position, and its ellipsoids and multipliers may be taken shift-invariant: c x c matrices A(w), one
T for all positions,

    A'(w) = K(w) D (2 T - T A(w) T)^-1 D K(w)^*,

each step proved frequency by frequency as in `recursion` (of which this is the block-diagonal case
after a unitary Fourier transform).  Keeping every s-th position folds frequencies together: A'(s w)
is the mean of A' over the frequencies that fold into one, for the map x -> x[s n] is sum_j X(w_j) /
sqrt(s) in unitary transforms.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from autolip.budget import charge
from autolip.errors import Refusal
from autolip.methods.layerwise.ellipsoids import Multipliers, is_moderate
from autolip.operators.convolution import Convolution
from autolip.operators.norms.semidefinite import are_semidefinite, largest_eigenvalue
from autolip.operators.norms.symbol.polynomial import rounded_waves
from autolip.rounded import Rounded, blocks, smallest_proved
from autolip.roundoff import dot_error, scale_float
from autolip.slopes import Between
from autolip.values import Upper

ENTRIES = 2**25
"""Chosen: most complex entries of the ellipsoids of all frequencies together."""

WORK = 1e9
"""Chosen: most frequencies times channels cubed of all layers together; the real work is some
hundred times that."""

CHUNK = 2**22
"""Complex entries of the statements that are proved at a time."""


@dataclass(frozen=True)
class Circular:
    """K(w) of one convolution at every frequency of its torus, (f, m, n) with one error (m, n); and
    its stride."""

    symbol: Rounded
    torus: tuple[int, ...]
    stride: tuple[int, ...]


def circular_layers(
    blocks: Sequence[Convolution], slopes: Sequence[Between]
) -> tuple[list[Circular], list[Tensor]] | Refusal:
    """The chain on its torus, and the largest slope of every channel between."""
    tori = torus_sizes(blocks)
    if isinstance(tori, Refusal):
        return tori
    gains = [_gain(block, slope) for block, slope in zip(blocks, slopes, strict=False)]
    if any(gain is None for gain in gains):
        return Refusal("a slope is negative somewhere: a crop cannot be folded into it")
    count, width = _extent(blocks, tori)
    if _too_many(count, width, len(blocks)):
        return Refusal(f"{count} frequencies of {width} channels are too many")
    if not all(is_moderate(block.weight) for block in blocks):
        return Refusal(
            "the entries of a kernel are so large or so small that their squares leave "
            "floating point"
        )
    layers = [_circular(block, torus) for block, torus in zip(blocks, tori, strict=True)]
    return layers, [gain for gain in gains if gain is not None]


A_FREQUENCY = (3e-5, 2.5e-7, 1.5e-8)
"""Seconds of reference for one frequency of a layer: for each, for its channels squared and cubed,
measured."""


def torus_price(blocks: Sequence[Convolution]) -> float:
    """About the seconds of reference of one recursion; 0 where it is refused."""
    tori = torus_sizes(blocks)
    if isinstance(tori, Refusal) or _too_many(*_extent(blocks, tori), len(blocks)):
        return 0.0
    seconds = 0.0
    for block, torus in zip(blocks[1:], tori[1:], strict=True):
        channels_in = block.in_shape[block.channel_axis]
        channels_out = block.out_shape[block.channel_axis]
        width = (channels_in + channels_out) / 2
        each, squared, cubed = A_FREQUENCY
        seconds += math.prod(torus) * (each + squared * width**2 + cubed * width**3)
    return seconds


def _extent(blocks: Sequence[Convolution], tori: Sequence[tuple[int, ...]]) -> tuple[int, int]:
    """Most frequencies, most channels."""
    count = max(math.prod(torus) for torus in tori)
    return count, max(block.out_shape[block.channel_axis] for block in blocks)


def _too_many(count: int, width: int, layers: int) -> bool:
    return count * width**2 > ENTRIES or count * width**3 * layers > WORK


def torus_sizes(blocks: Sequence[Convolution]) -> list[tuple[int, ...]] | Refusal:
    """The least tori, one per convolution, on which the chain is that of circular convolutions."""
    dims = blocks[0].geometry.dims
    if any(block.geometry.transposed or block.geometry.dims != dims for block in blocks):
        return Refusal("transposed convolutions, or of different dimensions")
    axes = [_axis_sizes(blocks, axis) for axis in range(dims)]
    return [tuple(axis[number] for axis in axes) for number in range(len(blocks))]


def _axis_sizes(blocks: Sequence[Convolution], axis: int) -> list[int]:
    strides = [block.geometry.stride[axis] for block in blocks]
    first = math.prod(strides)
    while True:
        sizes = [first // math.prod(strides[:number]) for number in range(len(blocks))]
        if all(_fits(block, axis, size) for block, size in zip(blocks, sizes, strict=True)):
            return sizes
        first += math.prod(strides)


def _fits(block: Convolution, axis: int, size: int) -> bool:
    """Whether nothing wraps around onto the image, and the outputs stay apart."""
    geometry = block.geometry
    at = axis - block.geometry.dims
    image = block.in_shape[at]
    outputs = block.out_shape[at]
    padding = geometry.padding[axis]
    last = (
        geometry.stride[axis] * (outputs - 1)
        + geometry.dilation[axis] * (block.weight.shape[axis + 2] - 1)
        - padding
    )
    return size >= image + padding and size > last and size // geometry.stride[axis] >= outputs


def _gain(block: Convolution, slope: Between) -> Float[Tensor, " c"] | None:
    """The largest slope of every channel, at least 0; None where one is negative."""
    lo, hi = (end.movedim(block.channel_axis, 0).flatten(1) for end in (slope.lo, slope.hi))
    return None if bool((lo < 0).any()) else hi.amax(1)


def _circular(block: Convolution, torus: tuple[int, ...]) -> Circular:
    """The symbol on the torus's frequencies, axes in row-major order."""
    weight = _ungrouped(block)
    taps = torch.cartesian_prod(*(torch.arange(size) for size in weight.shape[2:])).reshape(
        -1, len(torus)
    )
    axes = [torch.arange(size) for size in torus]
    grid = torch.cartesian_prod(*axes)
    points = grid.reshape(-1, len(torus))
    steps = torch.tensor(block.geometry.dilation)
    wave = rounded_waves(2 * points, torus, taps * steps)
    flat = weight.flatten(2).movedim(2, 0)
    kernel = Rounded.relatively(flat.flatten(1).to(wave.value.dtype), block.relative_error)
    symbol = wave @ kernel
    shape = flat.shape[1:]
    value = symbol.value.unflatten(-1, shape).squeeze(1)
    error = symbol.error.reshape(shape)
    return Circular(Rounded(value, error), torus, block.geometry.stride)


def _ungrouped(block: Convolution) -> Tensor:
    """The kernel with zeros between the groups."""
    groups = block.geometry.groups
    if groups == 1:
        return block.weight
    parts = block.weight.unflatten(0, (groups, -1))
    shape_of_all = (groups, parts.shape[1], groups, *parts.shape[2:])
    full = parts.new_zeros(shape_of_all)
    numbers = torch.arange(groups)
    full[numbers, :, numbers] = parts
    return full.flatten(0, 1).flatten(1, 2)


@dataclass(frozen=True)
class _Ellipsoids:
    """v v^* <= 4^exponent A(w) at every frequency."""

    matrices: Complex[Tensor, "f n n"]
    exponent: int


def torus_bound(
    blocks: Sequence[Convolution], slopes: Sequence[Between], choice: Multipliers
) -> Upper | Refusal:
    """Upper bound on the l2 constant of a chain of convolutions."""
    chain = circular_layers(blocks, slopes)
    if isinstance(chain, Refusal):
        return chain
    layers, gains = chain
    gram = layers[0].symbol.gram()
    current = _folded(gram.above(), layers[0], 0)
    for number, (layer, gain) in enumerate(zip(layers[1:], gains, strict=True)):
        multipliers = choice(number, current.matrices)
        following = _next(current, multipliers, gain, layer)
        if following is None:
            return Refusal(f"no multipliers could be proved feasible at nonlinear layer {number}")
        current = _folded(following, layer, current.exponent)
    return _norm(current)


def _hermitian(matrices: Tensor, amounts: Tensor) -> Tensor:
    """With more on the diagonal."""
    lower = torch.tril(matrices, -1)
    diagonals = matrices.diagonal(dim1=-2, dim2=-1)
    diagonal = diagonals.real + amounts
    return lower + lower.mH + torch.diag_embed(diagonal).to(matrices.dtype)


def _next(
    current: _Ellipsoids, multipliers: Tensor, gain: Tensor, layer: Circular
) -> Tensor | None:
    """The proved A'(w) before positions are dropped; None where the multipliers cannot be made to
    work."""
    t = _feasible(current.matrices, multipliers)
    if t is None:
        return None
    n = current.matrices.shape[-1]
    m = layer.symbol.value.shape[1]
    parts = []
    step = max(1, CHUNK // (n + m) ** 2)
    for start in range(0, len(current.matrices), step):
        part = _proved(
            current.matrices[start : start + step],
            t,
            gain,
            layer.symbol[start : start + step],
        )
        if part is None:
            return None
        parts.append(part)
    return torch.cat(parts)


def _feasible(matrices: Tensor, t: Tensor, margin: float = 1e-6) -> Tensor | None:
    """The multipliers, shrunk until lambda_max(T^1/2 A(w) T^1/2) < 2 everywhere."""
    if not t.isfinite().all() or not (t > 0).all():
        return None
    root = t.sqrt()
    rows_scaled = root.unsqueeze(1) * matrices
    scaled = rows_scaled * root
    if not bool(scaled.isfinite().all()):
        return None
    values = torch.linalg.eigvalsh(scaled)
    top = values.max().item()
    limit = 2 * (1 - margin)
    return t if top <= limit else t * (limit / top)


def _proved(
    a: Tensor, t: Tensor, gain: Tensor, symbol: Rounded, attempts: int = 12
) -> Tensor | None:
    """A' with [[2 T - T A T, D K^*], [K D, A']] >= 0 proved at every one of these frequencies."""
    twice = Rounded.exact(torch.diag(2 * t))
    s = twice - Rounded.shared(a).scale(t, t)
    forward = symbol * Rounded.exact(gain)
    factor, failed = torch.linalg.cholesky_ex(s.value)
    if failed.any():
        return None
    right_side = forward.value.mH
    solved = torch.linalg.solve_triangular(factor, right_side, upper=False)
    candidate = solved.mH @ solved
    n = len(t)
    m = candidate.shape[-1]
    charge(len(a) * 4 * (n**3 / 3 + n**2 * m + n * m**2))
    diagonals = candidate.diagonal(dim1=-2, dim2=-1)
    diagonal = diagonals.real

    def raised(share: float) -> Tensor:
        return _hermitian(candidate, diagonal * share + 2.0**-900)

    def are_ellipsoids(share: float) -> bool:
        raised_matrix = Rounded.shared(raised(share))
        statement = blocks([[s], [forward, raised_matrix]])
        return bool(are_semidefinite(statement).all())

    share = smallest_proved(0.0, are_ellipsoids, excess=2.0**-38, growth=2.0**4, attempts=attempts)
    return None if share is None else raised(share)


def _folded(matrices: Tensor, layer: Circular, exponent: int) -> _Ellipsoids:
    """The ellipsoids of every s-th position, scaled to a largest entry of about 1."""
    if any(step > 1 for step in layer.stride):
        n = matrices.shape[-1]
        dims = len(layer.torus)
        pairs = [(step, size // step) for size, step in zip(layer.torus, layer.stride, strict=True)]
        lengths = [length for pair in pairs for length in pair]
        grid = matrices.reshape(*lengths, n, n)
        folded = list(range(0, 2 * dims, 2))
        averaged = grid.mean(folded)
        mean = averaged.reshape(-1, n, n)
        moduli = Rounded.exact(grid).moduli.mean(folded)
        sizes = moduli.reshape(-1, n, n)
        matrices = Rounded(mean, dot_error(math.prod(layer.stride), sizes)).above()
    diagonals = matrices.diagonal(dim1=-2, dim2=-1)
    top = diagonals.real.max().item()
    if top <= 0 or not math.isfinite(top):
        return _Ellipsoids(matrices, exponent)
    shift = math.frexp(top)[1] // 2
    return _Ellipsoids(matrices * 2.0 ** (-2 * shift), exponent + shift)


def _norm(ellipsoids: _Ellipsoids) -> Upper | Refusal:
    """sqrt(max_w lambda_max(A(w))), proved."""
    matrices = Rounded.shared(ellipsoids.matrices)
    square = Upper(largest_eigenvalue(matrices))
    if math.isinf(square.value):
        return Refusal("the norm of the last ellipsoid could not be proved")
    return Upper(scale_float(square.sqrt().value, ellipsoids.exponent))
