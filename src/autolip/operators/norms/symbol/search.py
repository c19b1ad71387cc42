"""Where a symbol is largest: power iteration in which every step moves to the best frequency.

Nothing here is a bound; it only tells the proof what to try.
"""

import functools
import math
from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from autolip.operators.norms.krylov import Krylov
from autolip.operators.norms.symbol.polynomial import SymbolGram

STARTS = 16
"""Chosen: random vectors in all, but at least two for every group."""

STEPS = 40
"""Chosen: most power steps."""

SETTLED = 1e-4
"""Chosen: relative growth of the largest value in one step below which the ascent ends."""

ZOOMS = 20
"""Chosen: most refinements of a frequency."""

CANDIDATES = 2
"""Chosen: frequencies that are refined."""

DIRECT = 96
"""Chosen: up to this side all eigenvectors are as quick as one."""

MOST_STEPS, CHECKED = 160, 8
"""Chosen: Lanczos steps for one eigenvector, and how many are made between looks at the
residual."""


@dataclass(frozen=True)
class Summit:
    """A group and a frequency with lambda_max(G(w)) = value, found from below."""

    group: int
    frequency: Float[Tensor, " axes"]
    value: float

    @property
    def norm(self) -> float:
        """||K(w)||_2."""
        return math.sqrt(max(0.0, self.value))


def waves_at(
    frequencies: Float[Tensor, "*k axes"], lags: Int[Tensor, "lags axes"]
) -> Complex[Tensor, "*k lags"]:
    """e^{i <l, w>}."""
    angles = frequencies @ lags.to(frequencies.dtype).T
    return torch.complex(angles.cos(), angles.sin())


class Search:
    """Largest eigenvalues of the Gram polynomial of a symbol, from below."""

    def __init__(self, gram: SymbolGram, seed: int) -> None:
        self.gram = gram
        self.generator = torch.Generator().manual_seed(seed)

    def best(self) -> Summit:
        """The highest of a few ascents from random vectors, for all groups at once."""
        values, frequencies = self._power_ascent()
        count = min(CANDIDATES, values.numel())
        top = values.flatten().topk(count).indices.tolist()
        starts = [(i // values.shape[1], frequencies.flatten(0, 1)[i]) for i in top]
        return max((self.climb(*start) for start in starts), key=lambda summit: summit.value)

    def climb(self, group: int, frequency: Tensor, rounds: int = 3) -> Summit:
        """Alternate the best vector for a frequency and a best frequency near it for the vector."""
        value, vector = self.top(group, frequency)
        for _ in range(rounds if self.gram.taps else 0):
            frequency = self._zoom(self._scalar(group, vector), frequency)
            previous, (value, vector) = value, self.top(group, frequency)
            if value <= previous * (1 + 1e-6):
                break
        return Summit(group, frequency, value)

    def top(self, group: int, frequency: Tensor) -> tuple[float, Tensor]:
        """Largest eigenvalue of G(w) and its vector."""
        wave = waves_at(frequency[None], self.gram.lags)
        return _leading(self.gram.at(torch.tensor([group]), wave)[0])

    def _power_ascent(
        self,
    ) -> tuple[Float[Tensor, "groups starts"], Float[Tensor, "groups starts axes"]]:
        single = self.gram.side == 1
        shape = (
            self.gram.groups,
            self.gram.side,
            1 if single else max(2, STARTS // self.gram.groups),
        )
        pair = torch.randn(*shape, 2, dtype=torch.float64, generator=self.generator)
        vectors = torch.view_as_complex(pair)
        highest = 0.0
        for _ in range(1 if single else STEPS):
            vectors = vectors / torch.linalg.vector_norm(vectors, dim=1, keepdim=True).clamp(
                min=1e-300
            )
            even, odd = (_products(table, vectors) for table in self.gram.tables)
            images = even + odd
            scalars = torch.einsum("gns,glns->gsl", vectors.conj(), images)
            values, waves, frequencies = self._highest(scalars)
            previous = highest
            highest = values.max().item()
            if highest <= previous * (1 + SETTLED):
                break
            cosines = waves.real.to(even.dtype)
            vectors = torch.einsum("gsl,glns->gns", cosines, even)
            sines = waves.imag.to(even.dtype)
            turned = torch.einsum("gsl,glns->gns", sines, odd)
            vectors = vectors + 1j * turned
        return values, frequencies

    def _scalar(self, group: int, vector: Tensor) -> Complex[Tensor, " lags"]:
        """z with v* G(w) v = Re sum_l z_l e^{i <l, w>}."""
        vectors = vector.to(torch.complex128)[None, :, None]
        even, odd = (_products(table[group : group + 1], vectors) for table in self.gram.tables)
        return torch.einsum("gns,glns->gsl", vectors.conj(), even + odd)[0, 0]

    @functools.cached_property
    def _grid(self) -> tuple[tuple[int, ...], Tensor]:
        """Size of a frequency grid fine enough to see every hump, and where each lag lies on it."""
        sizes = tuple(max(16, 1 << (4 * size - 1).bit_length()) for size in self.gram.taps)
        index = torch.zeros(len(self.gram.lags), dtype=torch.int64)
        for axis, size in enumerate(sizes):
            place_there = self.gram.lags[:, axis] % size
            index = index * size + place_there
        return sizes, index

    def _highest(self, scalars: Complex[Tensor, "g s lags"]) -> tuple[Tensor, Tensor, Tensor]:
        """Maximum over the grid of Re sum_l z_l e^{i <l, w>}; its waves and frequency."""
        sizes, index = self._grid
        lead = scalars.shape[:2]
        count = torch.Size(sizes).numel()
        spread = scalars.new_zeros((*lead, max(1, count)))
        spread[..., index] = scalars
        if sizes:
            spread = spread.view(*lead, *sizes)
            spread = torch.fft.ifftn(
                spread, dim=tuple(range(2, 2 + len(sizes))), norm="forward"
            ).flatten(2)
        values, at = spread.real.max(-1)
        places = (
            [axis.to(torch.float64) for axis in torch.unravel_index(at, sizes)] if sizes else []
        )
        steps = [2 * torch.pi * place / size for place, size in zip(places, sizes, strict=True)]
        frequencies = torch.stack(steps, -1) if steps else values.new_zeros((*lead, 0))
        return values, waves_at(frequencies, self.gram.lags), frequencies

    def _zoom(self, scalar: Complex[Tensor, " lags"], frequency: Tensor) -> Tensor:
        """A nearby maximiser of the scalar polynomial, by a shrinking pattern search."""
        axes = len(frequency)
        pattern = torch.cartesian_prod(
            *[torch.tensor([0.0, -1.0, 1.0], dtype=torch.float64)] * axes
        ).view(-1, axes)
        step = torch.tensor([torch.pi / (4 * size) for size in self.gram.taps], dtype=torch.float64)
        for _ in range(ZOOMS):
            around = frequency + pattern * step
            seen = waves_at(around, self.gram.lags) @ scalar
            best = int(seen.real.argmax())
            frequency = around[best]
            if best == 0:
                step = step / 2
        return frequency


def _leading(matrix: Tensor) -> tuple[float, Tensor]:
    """Largest eigenvalue of a Hermitian matrix and its vector; of wide ones by Lanczos, to a
    residual of 1e-7."""
    if len(matrix) > DIRECT:
        found = _by_lanczos(matrix)
        if found is not None:
            return found
    values, vectors = torch.linalg.eigh(matrix)
    return values[-1].item(), vectors[:, -1]


def _by_lanczos(matrix: Tensor) -> tuple[float, Tensor] | None:
    """The same on the pairs of real and imaginary parts; None where eigenvalues are too close."""
    size = matrix.shape[0] * (2 if matrix.is_complex() else 1)
    generator = torch.Generator().manual_seed(size)
    start = torch.randn(size, dtype=torch.float64, generator=generator)
    pairs = lambda v: torch.view_as_complex(v.view(-1, 2)) if matrix.is_complex() else v  # noqa: E731
    flat = lambda v: torch.view_as_real(v).flatten() if matrix.is_complex() else v  # noqa: E731
    apply = lambda v: flat(matrix @ pairs(v))  # noqa: E731
    space = Krylov(apply, start, MOST_STEPS)
    while len(space) < MOST_STEPS and not space.exhausted:
        space.step()
        if len(space) % CHECKED == 0 and space.residual() <= 1e-7 * space.top():
            break
    else:
        return None
    value, vector = space.leading()
    return value, pairs(vector)


def _products(table: Tensor, vectors: Complex[Tensor, "g n s"]) -> Complex[Tensor, "g lags n s"]:
    """Real matrices times complex vectors, as one real product."""
    pairs = torch.view_as_real(vectors.contiguous()).flatten(2)
    return torch.view_as_complex((table @ pairs[:, None]).unflatten(-1, (-1, 2)).contiguous())
