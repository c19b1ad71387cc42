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
from autolip_check.effort import UNLIMITED, Effort
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


def symbol(factors: list[Map], value: float, effort: Effort = UNLIMITED) -> None:
    """||A||_2 <= value for one convolution, its channels scaled; else Rejected."""
    moves = [isinstance(factor, Wiring) and factor.is_isometry for factor in factors]
    require(not all(moves), "the symbol needs exactly one convolution")
    # what only moves numbers, before and behind, changes no norm
    first = moves.index(False)
    behind = moves[::-1].index(False)
    factors = factors[first : len(moves) - behind]
    found = [i for i, factor in enumerate(factors) if isinstance(factor, Convolution)]
    require(len(found) == 1, "the symbol needs exactly one convolution")
    conv = factors[found[0]]
    if not isinstance(conv, Convolution):
        raise Rejected("the symbol needs exactly one convolution")
    of_a_channel = conv.entries.shape[1:]
    kernel = conv.entries.reshape(conv.groups, -1, *of_a_channel)
    error = conv.error
    place = found[0]
    for i, factor in enumerate(factors):
        if i == place:
            continue
        if not isinstance(factor, Diagonal):
            raise Rejected("the symbol takes a convolution and scalings of its channels")
        is_behind = i > place
        scales = _per_channel(factor, conv, is_behind != conv.adjoint)
        kernel = product(kernel, scales)
        error += factor.error + 2  # gamma of the sum bounds what they compound to
    for part in kernel:
        phases = _polyphase(part, conv.stride, conv.dilation)
        rows, columns = phases.shape[:2]
        narrow = phases if rows <= columns else np.swapaxes(phases, 0, 1)
        _cover(narrow, value, error, effort)


def _per_channel(factor: Diagonal, conv: Convolution, outputs: bool) -> Array:
    """A scaling of channels, shaped to multiply the kernel (groups, c_out / groups, c_in / groups,
    *taps)."""
    axes = len(conv.stride)
    channels = conv.out[0] if outputs else conv.image[0]
    entries = factor.entries
    missing = len(factor.shape_in) - entries.ndim
    ones = (1,) * missing
    full = entries.reshape(ones + entries.shape)
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
        taps = kernel.shape[at]
        period = s // math.gcd(s, d)
        phases = min(period, taps)
        margins = [(0, 0)] * kernel.ndim
        margins[at] = (0, -taps % phases)
        padded = np.pad(kernel, margins)
        before = padded.shape[:at]
        after = padded.shape[at + 1 :]
        split = padded.reshape(*before, -1, phases, *after)
        moved = np.moveaxis(split, at + 1, 2)
        kernel = moved.reshape(len(moved), -1, *moved.shape[3:])
    return kernel


def _cover(kernel: Array, value: float, error: float, effort: Effort) -> None:
    """||K(w)|| <= value at all frequencies, in cells that are halved until each is settled at its
    centre.

    Frequencies are in turns, in [0, 1): with `count` cells per axis their radius is pi / count.
    By ||K(-w)|| = ||K(w)|| for a real kernel the half with w_1 < 1/2 is enough.
    """
    taps = kernel.shape[2:]
    axes = len(taps)
    degree = (sum(taps) - axes) / 2
    rows, columns = kernel.shape[:2]
    matrices = kernel.reshape(rows, columns, -1)
    offsets = itertools.product(*map(range, taps))
    places = np.array(list(offsets)).reshape(-1, axes)
    moduli = np.abs(matrices).sum(2)
    computed = float(np.linalg.norm(moduli))
    size = computed * (1 + 1e-9)
    # of the kernel, of phases up to sum(taps) turns and their waves, and of the sum over taps
    added = matrices.shape[2]
    roundings = error + 64.0 * sum(taps) + 8 * added + 64
    noise = gamma(roundings) * size

    count = COARSEST
    middles = (np.arange(count) + 0.5) / count
    centres = _grid(middles, axes)
    is_needed = centres[:, 0] < 0.5
    centres = centres[is_needed]
    while 0 < len(centres) < LARGEST_COVER:
        reach = degree * math.pi / count * (1 + 1e-9)
        falls_to = math.cos(reach) if reach < 1.5 else 0.0
        ceiling = value * (1 - 1e-15) * falls_to - noise
        left = [np.zeros((0, axes))]
        step = max(1, BATCH // (rows * columns))
        for start in range(0, len(centres), step):
            part = centres[start : start + step]
            effort.spend(len(part) * rows * columns * (matrices.shape[2] + 16 + rows))
            turns = places @ part.T
            waves = np.exp(2j * math.pi * turns)
            sums = matrices @ waves
            symbols = np.moveaxis(sums, 2, 0)
            left.append(part[~_below(symbols, ceiling, value)])
        quarters = _grid((-0.25, 0.25), axes)
        halves = quarters / count
        parents = np.concatenate(left)[:, None]
        centres = (parents + halves).reshape(-1, axes)
        count = 2 * count
    require(not len(centres), f"the symbol is not shown to stay below {value:.6g}")


def _grid(numbers: Iterable[float], axes: int) -> Array:
    """All points with these numbers as coordinates."""
    return np.array(list(itertools.product(numbers, repeat=axes)))


def _below(symbols: NDArray[np.complex128], ceiling: float, value: float) -> NDArray[np.bool_]:
    """For which matrices K of a batch ||K|| <= ceiling is proved: power steps refute, a
    factorisation of ceiling^2 I - K K^* proves."""
    adjoint = np.conj(np.swapaxes(symbols, 1, 2))
    rows = np.arange(symbols.shape[1])
    vector = np.exp(1j * rows**2)[:, None]
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
    squares = _squares(rest)
    added = symbols.shape[2]
    slack = 16 * gamma(2 * added + 8) * squares
    hopeful[hopeful] = _definite(gram, ceiling**2, slack)
    return hopeful


def _squares(matrices: NDArray[np.complex128]) -> Array:
    """Their squared Frobenius norms."""
    moduli = np.abs(matrices)
    return np.asarray((moduli**2).sum((1, 2)))


def _definite(gram: NDArray[np.complex128], square: float, slack: Array) -> NDArray[np.bool_]:
    """For which Hermitian G square I - G >= slack I is proved, by a factorisation that is
    multiplied out: with M = (square - shift) I - G and L L^* = M + E, shift - ||E|| >= slack."""
    n = gram.shape[1]
    margin = 16 * gamma(n + 8) * n * square
    shift = slack + margin
    diagonal = (square - shift)[:, None, None]
    matrix = diagonal * np.eye(n) - gram
    try:
        factor = np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return _definite_by_halves(gram, square, slack)
    adjoint = np.conj(np.swapaxes(factor, 1, 2))
    product = factor @ adjoint
    residual = np.linalg.norm(product - matrix, axis=(1, 2))
    of_product = 8 * gamma(n + 4) * _squares(factor)
    of_difference = 8 * UNIT * square
    rounding = of_product + of_difference
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
