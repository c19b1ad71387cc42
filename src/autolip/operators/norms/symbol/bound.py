"""Norms of convolutions from their symbol: one number for all frequencies, proved by Cholesky
factorisations.

**From a centre to its cell.**  Let S = sup_w ||K(w)||_2 be attained at w* (the torus is compact) by
unit vectors, u* K(w*) v = S, and let K be centred: multiplied by a phase that leaves norms alone,
so that axis a has exponents in [-m_a, m_a], m_a = (taps_a - 1) / 2, possibly half-integers.  Take a
centre c and the line from w* to c,

    f(tau) = Re u* K(w* + tau (c - w*)) v,       |f| <= S,  f(0) = S,

a real almost periodic polynomial with frequencies at most rho = sum_a m_a |c_a - w*_a| in modulus.
By the inequality of Bernstein and Szego for bounded functions of exponential type, f'^2 + rho^2 f^2
<= rho^2 S^2 (R. J. Duffin, A. C. Schaeffer, Some inequalities concerning functions of exponential
type, 1937), so f = S cos phi with |phi'| <= rho, phi(0) = 0, hence f(1) >= S cos rho while rho <=
pi: the theorem of M. Riesz (1914), along a line.  As |f(1)| <= ||K(c)||_2,

    ||K(c)||_2 >= S cos rho.

**The bound.**  Cover the torus by cells of reach rho_j < pi / 2 around c_j.  One of them holds w*,
therefore

    S <= max_j ||K(c_j)||_2 / cos rho_j,

and t >= S is proved as soon as  (t cos rho_j)^2 I - K(c_j) K(c_j)^*  is positive semidefinite for
every j.  A cell that fails is split, and t stays within the tolerance of the largest norm seen:
where the norm is small, large cells do.
"""

import bisect
import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool
from torch import Tensor

from autolip.errors import Refusal
from autolip.operators.convolution import Convolution
from autolip.operators.norms.engine import NormOptions, engine
from autolip.operators.norms.symbol.border import share_reached
from autolip.operators.norms.symbol.cells import Cells, cover
from autolip.operators.norms.symbol.polynomial import SymbolGram, normalised, symbol_gram, waves
from autolip.operators.norms.symbol.search import Search, Summit
from autolip.operators.operator import DTYPE, Operator
from autolip.roundoff import UNIT, gamma
from autolip.values import Upper, round_up

TILE_BYTES = 2**24
"""Chosen: memory for the matrices of the frequencies that are tested at a time."""

REACHES = (1.2, 0.85, 0.6, 0.42, 0.3, 0.21, 0.15, 0.1, 0.07)
"""Chosen: reaches that a first cover may have."""

SAMPLE = 8
"""Cells tried before a first cover is chosen."""

RAKE = 48
"""Chosen: frequencies at which the norm is compared with the largest one seen, before proofs."""

HURRY = 1.05
"""Chosen: growth of the bound per round once time is up."""


def norm_of_symbol(gram: SymbolGram, cells: Cells | None, options: NormOptions) -> float | Refusal:
    """t >= ||K(w)||_2 on the cells (the whole torus without), within the tolerance of the largest
    norm seen.

    The largest entry of the kernel is in [1, 2), and no entry of a kernel exceeds the norm.
    Refused once the norm is seen to reach the bound that is already known.
    """
    search = Search(gram, options.search_seed)
    low = max(
        1.0, highest(gram, search).norm if cells is None else _largest_seen(gram, cells, search)
    )
    if low >= options.known:
        return Refusal("the symbol is seen to reach the bound that is already known")
    tolerance = options.tolerance if gram.taps else 0.0
    slack = max(tolerance, 4 * _rounding(gram, low))
    t = low * (1 + slack)
    left = cells if cells is not None else _first_cover(gram, t, search.generator)
    while len(left := left[~settled(gram, left, t)]):
        higher = _largest_seen(gram, left, search) * (1 + slack)
        stuck, t = higher <= t * (1 + slack / 4), max(t, higher)
        if options.budget.expired and left.reach(gram.degrees) < 0.5:
            t *= HURRY
        elif stuck:
            left = left.split()
    return t


def settled(gram: SymbolGram, cells: Cells, t: float) -> Bool[Tensor, " k"]:
    """For which cells t cos(reach) >= ||K(c)||_2 is proved at the centre c."""
    falls_to = math.cos(cells.reach(gram.degrees))
    ceiling = t * max(0.0, falls_to - 4 * UNIT)
    shift = ceiling * ceiling * (1 - _factorisation(gram.side) - 8 * UNIT) - gram.error
    numbers = max(gram.side**2, len(gram.lags))
    tile = max(1, TILE_BYTES // (16 * numbers))
    parts = [
        _positive(gram, cells[start : start + tile], shift) for start in range(0, len(cells), tile)
    ]
    return torch.cat([torch.zeros(0, dtype=torch.bool), *parts])


def _positive(gram: SymbolGram, cells: Cells, shift: float) -> Bool[Tensor, " k"]:
    """Whether the Cholesky factorisation of shift I - G(c) runs to completion."""
    phases = waves(cells.points, cells.counts, gram.lags)
    difference = gram.at(cells.groups, phases).neg_()
    difference.diagonal(dim1=1, dim2=2).add_(shift)
    return torch.linalg.cholesky_ex(difference).info == 0


def _factorisation(side: int) -> float:
    """Upper bound on ||R^* R - A||_2 / max_i a_ii for a Cholesky factor R that was computed to
    completion.

    |R^* R - A| <= gamma_{n+1} |R^*| |R| entrywise (Higham 2002, Theorem 10.3), and || |R^*| |R| ||
    <= ||R||_F^2 is the trace of A up to that error again; complex arithmetic costs less than four
    times as many roundings (ibid., Lemma 3.5), and twice that leaves room for the reciprocals of
    blocked codes (S. M. Rump, Verification of positive definiteness, 2006).
    """
    return 2 * side * gamma(8 * (side + 2))


def _rounding(gram: SymbolGram, low: float) -> float:
    """What `settled` may lose on the squared norm, relatively."""
    return _factorisation(gram.side) + gram.error / low**2 + 16 * UNIT


def _largest_seen(gram: SymbolGram, cells: Cells, search: Search) -> float:
    """A norm that the symbol attains near some of the cells."""
    order = torch.randperm(len(cells), generator=search.generator)
    few = order[: 8 if cells.isolated else 2]
    climbs = [
        _from_cell(cells[i : i + 1], search, 0 if cells.isolated else 3) for i in few.tolist()
    ]
    return max(summit.norm for summit in climbs)


def _from_cell(cell: Cells, search: Search, rounds: int = 3) -> Summit:
    radii = [math.pi / count for count in cell.counts]
    steps = torch.tensor(radii, dtype=torch.float64)
    return search.climb(int(cell.groups), cell.points[0] * steps, rounds)


def highest(gram: SymbolGram, search: Search) -> Summit:
    """The largest norm of the symbol that is seen, once it is not exceeded at any of some random
    frequencies."""
    summit = search.best()
    if not gram.taps:
        return summit
    lattice = cover(gram.degrees, 0.3, gram.groups)
    left = replace(
        lattice[torch.randperm(len(lattice), generator=search.generator)[:RAKE]], isolated=True
    )
    while len(left := left[~settled(gram, left, summit.norm * (1 + 1e-6))]):
        summit, left = (
            max(summit, _from_cell(left[:1], search), key=lambda found: found.value),
            left[1:],
        )
    return summit


def _first_cover(gram: SymbolGram, t: float, generator: torch.Generator) -> Cells:
    """The coarsest of some covers in which most cells of a sample pass at once."""
    if not gram.taps:
        return cover((), 0.0, gram.groups)

    def mostly_settled(reach: float) -> bool:
        cells = cover(gram.degrees, reach, gram.groups)
        order = torch.randperm(len(cells), generator=generator)
        sample = cells[order[:SAMPLE]]
        return bool(settled(gram, sample, t).sum() > 0.6 * len(sample))

    first = bisect.bisect_left(REACHES, True, hi=len(REACHES) - 1, key=mostly_settled)
    return cover(gram.degrees, REACHES[first], gram.groups)


def _scaled_back(value: float, exponent: int) -> Upper:
    try:
        return Upper(round_up(math.ldexp(value, exponent)))
    except OverflowError:
        return Upper(math.inf)


@engine("symbol", "l2", needs=lambda a: a.kernel is not None, share=share_reached)
def symbol_norm(operator: Operator, options: NormOptions) -> Upper | Refusal:
    """Upper bound on ||A||_{2 -> 2} of a zero-padded convolution: sup_w ||K(w)||_2 of its symbol,
    PROVED.

    A finite zero-padded convolution is a compression of the one of infinite signals (a transposed
    one, of its adjoint), so this holds for every padding, output padding and image size.  Kernels
    of any size, stride, dilation and number of groups.  Cost: one Cholesky factorisation of the
    smaller side of K per cell, about 10 to 5000 of them.  Sources: module docstring; H. Sedghi, V.
    Gupta, P. Long, The singular values of convolutional layers, 2019, for the symbol.
    """
    conv = Convolution.of(operator)
    assert conv is not None
    return symbol_on(conv, options, lambda gram: None)


def symbol_on(
    operator: Convolution, options: NormOptions, grid: Callable[[SymbolGram], Cells | None]
) -> Upper | Refusal:
    """The norm of a convolution's symbol on a grid or everywhere."""
    geometry = operator.geometry
    return kernel_norm(
        operator.weight,
        geometry.stride,
        geometry.dilation,
        geometry.groups,
        operator.relative_error,
        options,
        grid,
    )


def kernel_norm(
    weight: Tensor,
    stride: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    relative_error: float,
    options: NormOptions,
    grid: Callable[[SymbolGram], Cells | None],
) -> Upper | Refusal:
    """The norm of the symbol on a grid or everywhere, with the kernel's own uncertainty added."""
    weight = weight.detach().to("cpu", DTYPE)
    if not weight.isfinite().all():
        return Refusal("the kernel holds infinite or undefined entries: its norm is not a number")
    if not weight.numel() or not weight.any():
        return Upper(0.0)
    scaled, exponent = normalised(weight)
    gram = symbol_gram(scaled, stride, dilation, groups)
    factor = 2.0 ** min(-exponent, 1000)
    known = options.known * factor
    asked = replace(options, known=known)
    norm = norm_of_symbol(gram, grid(gram), asked)
    if isinstance(norm, Refusal):
        return norm
    return _scaled_back(norm + 2 * relative_error * gram.magnitude, exponent)
