"""max_s || A diag(s) B || by local search over activation patterns: an estimate from below.

Greedy SeqLip (Virmaux and Scaman, NeurIPS 2018, section 5) flips the neuron that helps most until
none does.  Two moves do the same here.  With u, sigma, v the leading singular triple of M = A
diag(s) B,

    sigma_1(M + sum_i d_i a_i b_i^T)  >=  sigma + sum_i d_i (u.a_i) (v.b_i),

so that all flips with a positive term may be made at once; where none is left, the secular equation
of every single flip (see secular) tells the norm after it, and the best is made by a rank-one
update.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from autolip.budget import UNLIMITED, Budget
from autolip.errors import InputError
from autolip.methods.seqlip.inner.flip_gain import CHUNK, best_flip, helpful_flips
from autolip.methods.seqlip.inner.problem import balanced
from autolip.methods.seqlip.inner.qr_core import condensed
from autolip.values import Estimate

_DECOMPOSED = 1024
"""Chosen: greatest smaller side of M for which every singular triple is computed: beyond, joint
flips only."""

_WIDE, _ENOUGH = 4096, 1e-6
"""Chosen: on more neurons than this, a look at all of them that gains less than this (relatively)
is the last."""


def maximise_greedy(
    a: Float[Tensor, "p n"],
    b: Float[Tensor, "n q"],
    lo: Float[Tensor, " n"],
    hi: Float[Tensor, " n"],
    *,
    seed: int = 0,
    restarts: int = 8,
    budget: Budget = UNLIMITED,
) -> tuple[Estimate, Float[Tensor, " n"]]:
    """A local maximum of || A diag(s) B ||_2 over lo <= s <= hi, and the slopes that attain it.

    The best of `restarts` climbs, which start from all upper slopes, from the leading singular
    directions of the midpoint, and at random; the same seed gives the same answer, unless the
    budget ends the search after fewer.  Raises InputError where the arguments make no problem.
    Memory: a copy of A and of B, and working arrays of 32 MiB.
    """
    if restarts < 1:
        raise InputError(f"greedy search needs a start: pass restarts >= 1, not {restarts}")
    pair, live = balanced(a, b, lo, hi)
    pattern = lo.detach().to(torch.float64).clone()
    core = condensed(pair)
    best = torch.ones(pair.width, dtype=torch.bool)
    value = 0.0
    for start in starts(core.a, core.b, pair.lo, pair.hi, seed, restarts if pair.width else 0):
        high, norm = climb(core.a, core.b, pair.lo, pair.hi, start)
        if norm > value:
            best, value = high, norm
        if budget.expired:
            break
    chosen = hi.to(torch.float64)[live]
    pattern[live] = torch.where(best, chosen, pattern[live])
    return Estimate(pair.downward(value)), pattern


def starts(
    a: Tensor, b: Tensor, lo: Tensor, hi: Tensor, seed: int, number: int
) -> Iterator[Bool[Tensor, " n"]]:
    """All upper slopes; both patterns of the leading singular directions at the midpoint, in turn;
    random ones."""
    n = len(lo)
    if number > 0:
        yield torch.ones(n, dtype=torch.bool)
    directions = (
        min(max(0, (number - 1) // 3), *product(a, b, (lo + hi) / 2).shape) if number > 1 else 0
    )
    if directions:
        centre = (lo + hi) / 2
        u, _, vh = _leading(product(a, b, centre), directions)
        for k in range(directions):
            yield (u[:, k] @ a) * (b @ vh[k]) > 0
            yield (u[:, k] @ a) * (b @ vh[k]) < 0
    generator = torch.Generator().manual_seed(seed)
    for _ in range(number - 1 - 2 * directions):
        yield torch.rand(n, generator=generator) < 0.5


def climb(
    a: Float[Tensor, "p n"],
    b: Float[Tensor, "n q"],
    lo: Float[Tensor, " n"],
    hi: Float[Tensor, " n"],
    high: Bool[Tensor, " n"],
) -> tuple[Bool[Tensor, " n"], float]:
    """A pattern that no single flip improves, reached from `high`, and its norm."""
    high = high.clone()
    box = (lo, hi)
    slopes = torch.where(high, hi, lo)
    m = product(a, b, slopes)
    enough = 1 + (_ENOUGH if len(high) > _WIDE else 0.0)
    previous = -1.0
    while True:
        m, value = _joint_flips(a, b, box, high, m)
        if min(m.shape) > _DECOMPOSED or value <= previous * enough:
            return high, value
        previous = value
        changes = torch.where(high, lo - hi, hi - lo)
        few = helpful_flips(m, a, b, changes)
        if not len(few):
            return high, value
        ends = (lo[few], hi[few])
        m = _single_flips(a[:, few], b[few], ends, high, few, m)


def _single_flips(
    a: Tensor,
    b: Tensor,
    box: tuple[Tensor, Tensor],
    high: Bool[Tensor, " n"],
    few: Tensor,
    m: Float[Tensor, "p q"],
) -> Float[Tensor, "p q"]:
    """The best flip among a few neurons, as long as one helps; `high` is changed in place.

    What the secular equation promises is compared with the norm itself: where singular values
    coincide its rounding shows a gain in flipping one neuron there and back again.
    """
    lo, hi = box
    value = torch.linalg.matrix_norm(m, 2)
    while True:
        change = torch.where(high[few], lo - hi, hi - lo)
        flip = best_flip(m, a, b, change)
        if flip is None:
            return m
        rank_one = torch.outer(a[:, flip], b[flip])
        proposal = m + change[flip] * rank_one
        larger = torch.linalg.matrix_norm(proposal, 2)
        if larger <= value:
            return m
        m, value = proposal, larger
        high[few[flip]] = ~high[few[flip]]


def _joint_flips(
    a: Tensor,
    b: Tensor,
    box: tuple[Tensor, Tensor],
    high: Bool[Tensor, " n"],
    m: Float[Tensor, "p q"],
) -> tuple[Float[Tensor, "p q"], float]:
    """Flip every neuron with a positive first-order gain while the norm grows; `high` is changed in
    place."""
    lo, hi = box
    u, s, vh = _leading(m, 1)
    while True:
        gain = torch.where(high, lo - hi, hi - lo) * (u[:, 0] @ a) * (b @ vh[0])
        flips = (gain > 0).nonzero().flatten()
        if not len(flips):
            return m, s[0].item()
        changes = torch.where(high, lo - hi, hi - lo)
        change = changes[flips]
        proposal = m + product(a, b, change, flips)
        u, larger, vh = _leading(proposal, 1)
        if larger[0] <= s[0]:
            return m, s[0].item()
        high[flips] = ~high[flips]
        m, s = proposal, larger


def product(a: Tensor, b: Tensor, s: Tensor, columns: Tensor | None = None) -> Float[Tensor, "p q"]:
    """A diag(s) B, over some neurons only; in chunks."""
    m = a.new_zeros(a.shape[0], b.shape[1])
    step = max(1, CHUNK // max(1, *m.shape))
    for first in range(0, len(s), step):
        rows = slice(first, first + step)
        chosen = rows if columns is None else columns[rows]
        m += (a[:, chosen] * s[rows]) @ b[chosen]
    return m


def _leading(m: Float[Tensor, "p q"], number: int) -> tuple[Tensor, Tensor, Tensor]:
    """The leading singular triples, largest first."""
    if min(m.shape) <= _DECOMPOSED:
        u, s, vh = torch.linalg.svd(m, full_matrices=False)
        return u[:, :number], s[:number], vh[:number]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        u, s, v = torch.svd_lowrank(m, q=number + 8, niter=12)
    return u[:, :number], s[:number], v[:, :number].T
