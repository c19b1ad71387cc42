"""Ways to treat the inner problem  max || A diag(s) B ||_2  over lo <= s <= hi: one name each.

Those that prove return an `Upper`, those that search an `Estimate`; what follows from an `Estimate`
remains one.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from autolip.budget import UNLIMITED, Budget
from autolip.methods.seqlip.inner.exact import maximise_exact
from autolip.methods.seqlip.inner.greedy import maximise_greedy
from autolip.methods.seqlip.inner.relaxed import NEWTON_ORDER, product_bound, relaxed_until
from autolip.methods.seqlip.inner.sdp import layer_bound
from autolip.values import Estimate, Upper


@dataclass(frozen=True)
class Limits:
    """How hard to try: boxes of branch and bound, climbs of local search, time, the seed."""

    nodes: int = 1_000_000
    restarts: int = 8
    budget: Budget = UNLIMITED
    seed: int = 0


@dataclass(frozen=True)
class Maximum:
    """A value of the inner problem; `complete` where no budget cut it short, `remark` for the
    user."""

    value: Upper | Estimate
    complete: bool = True
    remark: str = ""


Inner = Callable[[Tensor, Tensor, Tensor, Tensor, Limits], Maximum]
"""A (p, n), B (n, q), lo (n), hi (n)."""


def _exact(a: Tensor, b: Tensor, lo: Tensor, hi: Tensor, limits: Limits) -> Maximum:
    found = maximise_exact(a, b, lo, hi, nodes=limits.nodes, budget=limits.budget, seed=limits.seed)
    if found.finished:
        return Maximum(found.upper)
    excess = found.upper.value / found.attained - 1 if found.attained else float("inf")
    remark = (
        f"{len(lo)} neurons: {100 * excess:.2g}% above an attained value after {found.nodes} boxes"
    )
    return Maximum(found.upper, False, remark)


def _relaxed(a: Tensor, b: Tensor, lo: Tensor, hi: Tensor, limits: Limits) -> Maximum:
    value, complete = relaxed_until(a, b, lo, hi, limits.budget)
    return Maximum(value, complete)


def _greedy(a: Tensor, b: Tensor, lo: Tensor, hi: Tensor, limits: Limits) -> Maximum:
    restarts = limits.restarts
    budget = limits.budget
    value, _ = maximise_greedy(a, b, lo, hi, seed=limits.seed, restarts=restarts, budget=budget)
    return Maximum(value)


def _sdp(a: Tensor, b: Tensor, lo: Tensor, hi: Tensor, limits: Limits) -> Maximum:
    found = layer_bound(a, b, lo, hi, limits.budget, limits.seed)
    product = product_bound(a, b, lo, hi)
    if isinstance(found, Upper):
        return Maximum(Upper.least([found, product]))
    return Maximum(product, False, f"{len(lo)} neurons: {found}")


def _best(a: Tensor, b: Tensor, lo: Tensor, hi: Tensor, limits: Limits) -> Maximum:
    order = min(a.shape) + min(b.shape)
    return (_exact if order <= NEWTON_ORDER else _relaxed)(a, b, lo, hi, limits)


INNER: dict[str, Inner] = {
    "best": _best,
    "exact": _exact,
    "greedy": _greedy,
    "relaxed": _relaxed,
    "sdp": _sdp,
}
"""`best`: exact within the budget on small pairs, relaxed on others."""
