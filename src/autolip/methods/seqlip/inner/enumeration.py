"""The published reference: the norm of A diag(s) B at every vertex of the box of slopes."""

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.errors import InputError
from autolip.methods.seqlip.inner.problem import balanced
from autolip.values import Estimate

LARGEST = 24
"""Most neurons with a choice for which every pattern is visited."""


def enumerate_patterns(
    a: Float[Tensor, "p n"],
    b: Float[Tensor, "n q"],
    lo: Float[Tensor, " n"],
    hi: Float[Tensor, " n"],
    *,
    batch: int = 4096,
) -> tuple[Estimate, Float[Tensor, " n"]]:
    """max over the 2^k patterns of || A diag(s) B ||_2 by as many singular value decompositions,
    and where it is.

    k counts the neurons with a choice.  Accurate to the rounding of the decompositions, which no
    bound accounts for. Raises InputError for k above LARGEST, or where the arguments make no
    problem.
    """
    pair, live = balanced(a, b, lo, hi)
    free = (pair.lo < pair.hi).nonzero().flatten()
    if len(free) > LARGEST:
        raise InputError(
            f"2^{len(free)} patterns are too many: use maximise_exact beyond {LARGEST} neurons"
        )
    best = pair.hi.clone()
    value = 0.0
    for first in range(0, 2 ** len(free), batch) if pair.width else ():
        last = min(first + batch, 2 ** len(free))
        codes = torch.arange(first, last)
        s = pair.hi.expand(len(codes), -1).clone()
        s[:, free] = torch.where(
            (codes[:, None] >> torch.arange(len(free))) & 1 == 1, pair.lo[free], pair.hi[free]
        )
        products = (pair.a * s[:, None, :]) @ pair.b
        norms = torch.linalg.svdvals(products)[:, 0]
        if norms.max().item() > value:
            best = s[norms.argmax()]
            value = norms.max().item()
    pattern = lo.detach().to(torch.float64).clone()
    chosen = hi.to(torch.float64)[live]
    pattern[live] = torch.where(best == pair.hi, chosen, pattern[live])
    return Estimate(pair.downward(value)), pattern
