"""||A||_2 of a zero-padded convolution by its symbol.

A finite zero-padded convolution is a compression of the one of infinite signals, whose norm is
sup_w ||K(w)||, K the (c_out x c_in phases) matrix of trigonometric polynomials.  Each has degree
m_a per axis after centring, so that

    ||K(c)|| <= value cos(sum_a m_a r_a)

at centres c with cells of radius r_a around them shows ||K|| <= value everywhere (M. Riesz).
"""

import itertools
import math

import numpy as np
from numpy.typing import NDArray

from autolip_check.admission import product
from autolip_check.container import Array, Rejected, require
from autolip_check.graph import Network
from autolip_check.maps import UNIT, Convolution, Diagonal, Map, Wiring, gamma

LARGEST_COVER = 2**20


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
    factors = factors[moves.index(False) : len(moves) - moves[::-1].index(False)]
    found = [i for i, factor in enumerate(factors) if isinstance(factor, Convolution)]
    require(len(found) == 1, "the symbol needs exactly one convolution")
    conv = factors[found[0]]
    if not isinstance(conv, Convolution):
        raise Rejected("the symbol needs exactly one convolution")
    kernel = conv.entries.reshape(conv.groups, -1, *conv.entries.shape[1:])
    error = conv.error
    for i, factor in enumerate(factors):
        if i != found[0]:
            if not isinstance(factor, Diagonal):
                raise Rejected("the symbol takes a convolution and scalings of its channels")
            kernel = product(kernel, _per_channel(factor, conv, (i > found[0]) != conv.adjoint))
            error += factor.error + 2  # gamma of the sum bounds what they compound to
    for part in kernel:
        phases = _polyphase(part, conv.stride, conv.dilation)
        _cover(
            phases if phases.shape[0] <= phases.shape[1] else np.swapaxes(phases, 0, 1),
            value,
            error,
        )


def _per_channel(factor: Diagonal, conv: Convolution, outputs: bool) -> Array:
    """A scaling of channels, shaped to multiply the kernel (groups, c_out / groups, c_in / groups,
    *taps)."""
    axes = len(conv.stride)
    channels = conv.out[0] if outputs else conv.image[0]
    full = factor.entries.reshape(
        (1,) * (len(factor.shape_in) - factor.entries.ndim) + factor.entries.shape
    )
    require(
        math.prod(full.shape) == full.shape[-axes - 1], "a scaling is not constant along the image"
    )
    grouped = np.broadcast_to(full.reshape(-1), (channels,)).reshape(conv.groups, -1)
    return grouped.reshape(conv.groups, *((-1, 1) if outputs else (1, -1)), *[1] * axes)


def _polyphase(kernel: Array, stride: tuple[int, ...], dilation: tuple[int, ...]) -> Array:
    """Taps that read one residue class become columns: (c_out, c_in phases, *taps); dilation does
    not change sup."""
    for axis, (s, d) in enumerate(zip(stride, dilation, strict=True)):
        at = 2 + axis
        phases = min(s // math.gcd(s, d), kernel.shape[2 + axis])
        padded = np.pad(
            kernel, [(0, -n % phases if i == at else 0) for i, n in enumerate(kernel.shape)]
        )
        split = padded.reshape(*padded.shape[:at], -1, phases, *padded.shape[at + 1 :])
        moved = np.moveaxis(split, at + 1, 2)
        kernel = moved.reshape(moved.shape[0], -1, *moved.shape[3:])
    return kernel


def _cover(kernel: Array, value: float, error: float) -> None:
    """||K(w)|| <= value at all frequencies, in cells that are halved until each is settled at its
    centre."""
    taps = kernel.shape[2:]
    degree = sum(size - 1 for size in taps) / 2
    count = 4
    matrices = kernel.reshape(*kernel.shape[:2], -1)
    places = np.array(list(itertools.product(*map(range, taps)))).reshape(-1, len(taps))
    size = float(np.linalg.norm(np.abs(matrices).sum(2))) * (1 + 1e-9)
    noise = gamma(error + 64.0 * sum(taps) + 8 * matrices.shape[2] + 64) * size
    centres = np.array(list(itertools.product((np.arange(count) + 0.5) / count, repeat=len(taps))))
    centres = centres[centres[:, 0] < 0.5]
    while 0 < len(centres) < LARGEST_COVER:
        reach = degree * math.pi / count * (1 + 1e-9)
        ceiling = (value * (1 - 1e-15) * math.cos(reach) if reach < 1.5 else 0.0) - noise
        left = [np.zeros((0, len(taps)))]
        step = max(1, 2**22 // (kernel.shape[0] * kernel.shape[1]))
        for part in (centres[start : start + step] for start in range(0, len(centres), step)):
            symbols = np.moveaxis(matrices @ np.exp(2j * math.pi * (places @ part.T)), 2, 0)
            left.append(part[~_below(symbols, ceiling, value)])
        halves = np.array(list(itertools.product((-0.25, 0.25), repeat=len(taps)))) / count
        centres = (np.concatenate(left)[:, None] + halves).reshape(-1, len(taps))
        count = 2 * count
    require(not len(centres), f"the symbol is not shown to stay below {value:.6g}")


def _below(symbols: NDArray[np.complex128], ceiling: float, value: float) -> NDArray[np.bool_]:
    """For which matrices K of a batch ||K|| <= ceiling is proved: power steps refute, a
    factorisation proves."""
    adjoint = np.conj(np.swapaxes(symbols, 1, 2))
    vector = np.exp(1j * np.arange(symbols.shape[1]) ** 2)[:, None]
    for _ in range(8):
        vector = symbols @ (
            adjoint
            @ (vector / np.maximum(np.linalg.norm(vector, axis=-2, keepdims=True), 2.0**-500))
        )
    seen = np.linalg.norm(vector, axis=1)[:, 0]
    require(bool((seen <= value**2).all()), f"the symbol exceeds {value:.6g}")
    hopeful = seen < max(ceiling, 0.0) ** 2
    slack = 16 * gamma(2 * symbols.shape[2] + 8) * (np.abs(symbols[hopeful]) ** 2).sum((1, 2))
    hopeful[hopeful] = _definite(symbols[hopeful] @ adjoint[hopeful], ceiling**2, slack)
    return hopeful


def _definite(gram: NDArray[np.complex128], square: float, slack: Array) -> NDArray[np.bool_]:
    """For which Hermitian G square I - G >= slack I is proved, by a factorisation that is
    multiplied out."""
    n = gram.shape[1]
    shift = slack + 16 * gamma(gram.shape[1] + 8) * gram.shape[1] * square
    matrix = (square - shift)[:, None, None] * np.eye(n) - gram
    try:
        factor = np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        half = len(gram) // 2
        parts = [
            _definite(gram[part], square, slack[part])
            for part in (slice(half), slice(half, None))
            if half
        ]
        return np.concatenate(parts) if parts else np.zeros(1, dtype=bool)
    residual = np.linalg.norm(factor @ np.conj(np.swapaxes(factor, 1, 2)) - matrix, axis=(1, 2))
    rounding = 8 * gamma(n + 4) * (np.abs(factor) ** 2).sum((1, 2)) + 8 * UNIT * square
    return (residual + rounding) * (1 + 1e-9) < shift - slack
