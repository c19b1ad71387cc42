"""The symbol of a convolution and its Gram matrix, as trigonometric polynomials with matrix
coefficients.

A convolution of stride s and dilation d reads x[s n + d t] per axis.  A common factor of s and d
only makes the positions fall apart into independent lattices, so let gcd(s, d) = 1.  The taps t =
phase + s l of one phase read one residue class, shifted by a constant (a unitary map) and then by d
l: its symbol at frequency w is e^{i c w} sum_l W[phase + s l] e^{i l d w}.  Constant shifts are
unitary on the columns and w -> d w maps the torus onto itself, so neither the padding nor the
dilation changes the supremum, and with s' = s / gcd(s, d) the matrix

    K(w) = [ sum_l W[o, i, phase + s' l] e^{i l w} ],     l = 0 .. ceil(k / s') - 1,

of c_out rows and c_in s'^axes columns has sup_w ||K(w)||_2 equal to the norm of the convolution of
infinite signals; a transposed one is its adjoint.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from autolip.rounded import Rounded
from autolip.roundoff import UNIT, gamma

WAVE_ERROR = 160
"""Proved: units in the last place lost in one wave e^{i l w} over at most three axes (see
`waves`)."""

SMALL_BLOCK = 8
"""Chosen: side up to which coefficients are gathered per frequency; larger blocks go group by
group."""


def polyphase(
    weight: Tensor, stride: Sequence[int], dilation: Sequence[int], groups: int
) -> Tensor:
    """Coefficients K_l of the symbol: (groups, rows, columns, *taps), phases folded into the
    columns."""
    coefficients = weight.unflatten(0, (groups, -1))
    for axis, (s, d) in enumerate(zip(stride, dilation, strict=True)):
        at = 3 + axis
        size = coefficients.shape[3 + axis]
        period = s // math.gcd(s, d)
        phases = min(period, size)
        missing = -size % phases
        behind = coefficients.dim() - at - 1
        pad = [0, 0] * behind + [0, missing]
        padded = torch.nn.functional.pad(coefficients, pad)
        split = padded.unflatten(at, (-1, phases))
        coefficients = split.movedim(at + 1, 3).flatten(2, 3)
    return coefficients


def half_lags(taps: Sequence[int]) -> Int[Tensor, "lags axes"]:
    """One of each pair l, -l of differences of tap positions, zero first."""
    axes = [torch.arange(-size + 1, size) for size in taps]
    full = (
        torch.cartesian_prod(*axes).reshape(-1, len(taps))
        if taps
        else torch.zeros(1, 0, dtype=torch.int64)
    )
    return full[full.shape[0] // 2 :]


def waves(
    points: Int[Tensor, "k axes"], counts: Sequence[int], lags: Int[Tensor, "lags axes"]
) -> Complex[Tensor, "k lags"]:
    """e^{i <l, w>} at w_a = pi p_a / counts_a.

    The multiple l p is reduced modulo the period in integers; the angle is then below 2 pi and off
    by at most 4 roundings, the functions by 2 units, and a product of three such waves by less than
    WAVE_ERROR units.
    """
    total = torch.ones(len(points), len(lags), dtype=torch.complex128)
    for axis, count in enumerate(counts):
        products = points[:, axis, None] * lags[:, axis]
        turns = products % (2 * count)
        step = math.pi / count
        angles = turns.to(torch.float64) * step
        total *= torch.complex(angles.cos(), angles.sin())
    return total


def rounded_waves(
    points: Int[Tensor, "k axes"], counts: Sequence[int], lags: Int[Tensor, "lags axes"]
) -> Rounded:
    """The same as a batch of rows, (k, 1, lags), with their error: moduli are 1."""
    return Rounded.shared(waves(points, counts, lags).unsqueeze(1), WAVE_ERROR * UNIT)


@dataclass(frozen=True)
class SymbolGram:
    """w -> G(w) = K(w) K(w)^*, Hermitian, per group, on the smaller side of K.

    G(w) = sum_l cos<l, w> even_l + i sin<l, w> odd_l over half of the lags, with real coefficients;
    `taps` are the numbers of taps of K per axis (axes with one tap dropped), and `kernel` the
    coefficients of K.
    """

    kernel: Float[Tensor, "groups n columns *taps"]

    @property
    def taps(self) -> tuple[int, ...]:
        return tuple(self.kernel.shape[3:])

    @property
    def groups(self) -> int:
        return self.kernel.shape[0]

    @property
    def side(self) -> int:
        return self.kernel.shape[1]

    @property
    def degrees(self) -> tuple[float, ...]:
        """Degree of K per axis, after centring: half of taps - 1."""
        return tuple((size - 1) / 2 for size in self.taps)

    @functools.cached_property
    def lags(self) -> Int[Tensor, "lags axes"]:
        return half_lags(self.taps)

    def _product(self, lag: Sequence[int]) -> Tensor:
        ahead = [
            slice(max(step, 0), size + min(step, 0))
            for step, size in zip(lag, self.taps, strict=True)
        ]
        behind = [
            slice(max(-step, 0), size + min(-step, 0))
            for step, size in zip(lag, self.taps, strict=True)
        ]
        return self.kernel[:, :, :, *ahead].flatten(2) @ self.kernel[:, :, :, *behind].flatten(2).mT

    @functools.cached_property
    def tables(self) -> tuple[Float[Tensor, "groups lags n n"], Float[Tensor, "groups lags n n"]]:
        """even_l = P_l + P_l^T (P_0 for l = 0) and odd_l = P_l - P_l^T, where P_l = sum_b K_{b + l}
        K_b^T."""
        of_lags = [self._product(lag) for lag in self.lags.tolist()]
        products = torch.stack(of_lags, 1)
        even = products + products.mT
        even[:, 0] = products[:, 0]
        return even, products.sub_(products.mT.clone())

    @functools.cached_property
    def magnitude(self) -> float:
        """At least max over groups of || sum_l |K_l| ||_F, which bounds |K(w)| entrywise at every
        w."""
        sums = self.kernel.abs().flatten(3).sum(3) if self.taps else self.kernel.abs()
        lengths = torch.linalg.vector_norm(sums.flatten(1), dim=1)
        largest = lengths.max().item()
        return largest * (1 + gamma(self.kernel[0].numel()))

    @functools.cached_property
    def error(self) -> float:
        """At least ||computed G(w) - G(w)||_2.

        Entry by entry the products lose gamma(columns * taps), their sums over lags and waves the
        rest, each times (M M^T)_ij with M = sum_l |K_l|, and ||M M^T||_2 <= ||M||_F^2; twice, for
        the real and the imaginary part.  The largest entry is scaled to [1, 2), so that underflow
        is far below one unit of ||M||_F^2.
        """
        terms = self.kernel[0, 0].numel() + 2 * len(self.lags) + WAVE_ERROR
        return 2 * gamma(terms) * self.magnitude**2 * (1 + gamma(8))

    def at(self, groups: Int[Tensor, " k"], wave: Complex[Tensor, "k lags"]) -> Tensor:
        """G(w) for k pairs of a group and the waves of a frequency: (k, n, n)."""
        real = self._combine(self.tables[0], groups, wave.real)
        if not self.taps:
            return real
        return torch.complex(real, self._combine(self.tables[1], groups, wave.imag))

    def _combine(self, table: Tensor, groups: Tensor, factors: Tensor) -> Tensor:
        """sum_l factors_l table_l for every item, by the cheapest kind of product."""
        n = self.side
        if self.groups > 1 and n <= SMALL_BLOCK:
            return torch.einsum("kl,klij->kij", factors, table[groups])
        out = torch.empty(len(groups), n * n, dtype=table.dtype)
        for group in groups.unique().tolist() if self.groups > 1 else [0]:
            chosen = groups == group if self.groups > 1 else slice(None)
            entries = table[group].flatten(1)
            out[chosen] = factors[chosen] @ entries
        return out.view(-1, n, n)


def symbol_gram(
    weight: Tensor, stride: Sequence[int], dilation: Sequence[int], groups: int
) -> SymbolGram:
    """The Gram polynomial of a kernel, on the smaller side of its symbol."""
    kernel = polyphase(weight, stride, dilation, groups)
    kernel = kernel.reshape(*kernel.shape[:3], *(size for size in kernel.shape[3:] if size > 1))
    is_wide = kernel.shape[1] <= kernel.shape[2]
    smaller = kernel if is_wide else kernel.transpose(1, 2)
    return SymbolGram(smaller.contiguous())


def normalised(weight: Tensor) -> tuple[Tensor, int]:
    """The kernel times 2^-e, largest entry in [1, 2): exact but for underflow, far below the
    rounding bounds."""
    top = weight.abs().max().item()
    exponent = math.frexp(top)[1] - 1
    half = -exponent // 2
    return weight * 2.0**half * 2.0 ** (-exponent - half), exponent
