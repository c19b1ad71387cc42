"""||A||_2 of a zero-padded convolution by its symbol.

A finite zero-padded convolution is a compression of the one of infinite signals, whose norm is
sup_w ||K(w)||, K the (c_out x c_in phases) matrix of trigonometric polynomials.  Each has degree
m_a per axis after centring, so that

    ||K(c)|| <= value cos(sum_a m_a r_a)

at centres c with cells of radius r_a around them shows ||K|| <= value everywhere (M. Riesz).
"""

import itertools
import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from autolip_check.admission import product
from autolip_check.container import Array, Rejected, require
from autolip_check.graph import Network
from autolip_check.maps import UNIT, Convolution, Diagonal, Map, Wiring, gamma

LARGEST_COVER = 2**20
"""Tuned: cells of one cover, a limit on the work."""

COARSEST = 4
"""Tuned: cells per axis at the beginning."""

BATCH = 2**22
"""Tuned: entries of the symbols that are computed at once (64 MB)."""


def single_path(network: Network, source: str, sink: str) -> list[Map]:
    """The maps from source to sink in the order they act; Rejected where there are several
    paths."""
    path = list[Map]()
    name = sink
    while name != source:
        edges = network[name].edges
        require(
            len(edges) == 1 and isinstance(edges[0].slope, Map), "the symbol needs a single path"
        )
        path += [edge.slope for edge in edges if isinstance(edge.slope, Map)]
        name = edges[0].source
    return path[::-1]


def symbol(factors: list[Map], value: float) -> None:
    """||A||_2 <= value for one convolution, its channels scaled; else Rejected."""
    moves = [isinstance(factor, Wiring) and factor.is_isometry for factor in factors]
    require(not all(moves), "the symbol needs exactly one convolution")
    # what only moves numbers, before and behind, changes no norm
    factors = factors[moves.index(False) : len(moves) - moves[::-1].index(False)]
    found = [i for i, factor in enumerate(factors) if isinstance(factor, Convolution)]
    require(len(found) == 1, "the symbol needs exactly one convolution")
    conv = factors[found[0]]
    if not isinstance(conv, Convolution):
        raise Rejected("the symbol needs exactly one convolution")
    kernel = conv.entries.reshape(conv.groups, -1, *conv.entries.shape[1:])
    error = conv.error
    for i, factor in enumerate(factors):
        if i == found[0]:
            continue
        if not isinstance(factor, Diagonal):
            raise Rejected("the symbol takes a convolution and scalings of its channels")
        kernel = product(kernel, _per_channel(factor, conv, (i > found[0]) != conv.adjoint))
        error += factor.error + 2  # gamma of the sum bounds what they compound to
    for part in kernel:
        phases = _polyphase(part, conv.stride, conv.dilation)
        rows, columns = phases.shape[:2]
        narrow = phases if rows <= columns else np.swapaxes(phases, 0, 1)
        _cover(narrow, value, error)


def _per_channel(factor: Diagonal, conv: Convolution, outputs: bool) -> Array:
    """A scaling of channels, shaped to multiply the kernel (groups, c_out / groups, c_in / groups,
    *taps)."""
    axes = len(conv.stride)
    channels = conv.out[0] if outputs else conv.image[0]
    missing = len(factor.shape_in) - factor.entries.ndim
    full = factor.entries.reshape((1,) * missing + factor.entries.shape)
    require(
        math.prod(full.shape) == full.shape[-axes - 1], "a scaling is not constant along the image"
    )
    scales = np.broadcast_to(full.reshape(-1), (channels,))
    place = (-1, 1) if outputs else (1, -1)
    return scales.reshape(conv.groups, *place, *[1] * axes)


def _polyphase(kernel: Array, stride: tuple[int, ...], dilation: tuple[int, ...]) -> Array:
    """(c_out, c_in phases, *taps): taps that read one residue class modulo s / gcd(s, d) become
    columns; dilation does not change the supremum."""
    for axis, (s, d) in enumerate(zip(stride, dilation, strict=True)):
        at = 2 + axis
        phases = min(s // math.gcd(s, d), kernel.shape[at])
        margins = [(0, 0)] * kernel.ndim
        margins[at] = (0, -kernel.shape[at] % phases)
        padded = np.pad(kernel, margins)
        split = padded.reshape(*padded.shape[:at], -1, phases, *padded.shape[at + 1 :])
        moved = np.moveaxis(split, at + 1, 2)
        kernel = moved.reshape(moved.shape[0], -1, *moved.shape[3:])
    return kernel


def _cover(kernel: Array, value: float, error: float) -> None:
    """||K(w)|| <= value at all frequencies, in cells that are halved until each is settled at its
    centre.

    Frequencies are in turns, in [0, 1): with `count` cells per axis their radius is pi / count.
    By ||K(-w)|| = ||K(w)|| for a real kernel the half with w_1 < 1/2 is enough.
    """
    taps = kernel.shape[2:]
    axes = len(taps)
    degree = sum(size - 1 for size in taps) / 2
    matrices = kernel.reshape(*kernel.shape[:2], -1)
    places = np.array(list(itertools.product(*map(range, taps)))).reshape(-1, axes)
    size = float(np.linalg.norm(np.abs(matrices).sum(2))) * (1 + 1e-9)
    # of the kernel, of phases up to sum(taps) turns and their waves, and of the sum over taps
    noise = gamma(error + 64.0 * sum(taps) + 8 * matrices.shape[2] + 64) * size

    count = COARSEST
    centres = _grid((np.arange(count) + 0.5) / count, axes)
    centres = centres[centres[:, 0] < 0.5]
    while 0 < len(centres) < LARGEST_COVER:
        reach = degree * math.pi / count * (1 + 1e-9)
        ceiling = (value * (1 - 1e-15) * math.cos(reach) if reach < 1.5 else 0.0) - noise
        left = [np.zeros((0, axes))]
        step = max(1, BATCH // (kernel.shape[0] * kernel.shape[1]))
        for start in range(0, len(centres), step):
            part = centres[start : start + step]
            waves = np.exp(2j * math.pi * (places @ part.T))
            symbols = np.moveaxis(matrices @ waves, 2, 0)
            left.append(part[~_below(symbols, ceiling, value)])
        halves = _grid((-0.25, 0.25), axes) / count
        centres = (np.concatenate(left)[:, None] + halves).reshape(-1, axes)
        count = 2 * count
    require(not len(centres), f"the symbol is not shown to stay below {value:.6g}")


def _grid(numbers: Iterable[float], axes: int) -> Array:
    """All points with these numbers as coordinates."""
    return np.array(list(itertools.product(numbers, repeat=axes)))


def _below(symbols: NDArray[np.complex128], ceiling: float, value: float) -> NDArray[np.bool_]:
    """For which matrices K of a batch ||K|| <= ceiling is proved: power steps refute, a
    factorisation of ceiling^2 I - K K^* proves."""
    adjoint = np.conj(np.swapaxes(symbols, 1, 2))
    vector = np.exp(1j * np.arange(symbols.shape[1]) ** 2)[:, None]
    for _ in range(8):
        length = np.linalg.norm(vector, axis=-2, keepdims=True)
        unit = vector / np.maximum(length, 2.0**-500)
        vector = symbols @ (adjoint @ unit)
    seen = np.linalg.norm(vector, axis=1)[:, 0]  # |K K^* u| <= ||K||^2
    require(bool((seen <= value**2).all()), f"the symbol exceeds {value:.6g}")
    hopeful = seen < max(ceiling, 0.0) ** 2
    rest = symbols[hopeful]
    gram = rest @ adjoint[hopeful]
    # each entry of K K^* is off by gamma times a sum of moduli, all of them by that of ||K||_F^2
    slack = 16 * gamma(2 * symbols.shape[2] + 8) * (np.abs(rest) ** 2).sum((1, 2))
    hopeful[hopeful] = _definite(gram, ceiling**2, slack)
    return hopeful


def _definite(gram: NDArray[np.complex128], square: float, slack: Array) -> NDArray[np.bool_]:
    """For which Hermitian G square I - G >= slack I is proved, by a factorisation that is
    multiplied out: with M = (square - shift) I - G and L L^* = M + E, shift - ||E|| >= slack."""
    n = gram.shape[1]
    shift = slack + 16 * gamma(n + 8) * n * square
    matrix = (square - shift)[:, None, None] * np.eye(n) - gram
    try:
        factor = np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return _definite_by_halves(gram, square, slack)
    product = factor @ np.conj(np.swapaxes(factor, 1, 2))
    residual = np.linalg.norm(product - matrix, axis=(1, 2))
    rounding = 8 * gamma(n + 4) * (np.abs(factor) ** 2).sum((1, 2)) + 8 * UNIT * square
    return (residual + rounding) * (1 + 1e-9) < shift - slack


def _definite_by_halves(
    gram: NDArray[np.complex128], square: float, slack: Array
) -> NDArray[np.bool_]:
    """The same for a batch in which a factorisation failed: of one matrix it says no, of more which
    it is."""
    half = len(gram) // 2
    if not half:
        return np.zeros(1, dtype=bool)
    first = _definite(gram[:half], square, slack[:half])
    second = _definite(gram[half:], square, slack[half:])
    return np.concatenate([first, second])
