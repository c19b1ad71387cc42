"""SeqLip of a whole chain: a product over its layers of slopes, each an inner problem between two
cut layers."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from autolip.budget import UNLIMITED, Budget
from autolip.errors import Refusal
from autolip.graph.chains import Stretch
from autolip.methods.seqlip.blocks import block_norm, truncated_bound
from autolip.methods.seqlip.inner.treatments import Inner, Limits
from autolip.methods.seqlip.theorem3 import largest_slope
from autolip.methods.seqlip.truncation import Factor, Split, Splitter
from autolip.methods.stretchwise import StretchBound
from autolip.operators.operator import Operator
from autolip.slopes import Between
from autolip.values import ONE, Estimate, Upper

Combine = Callable[[Upper, tuple[Upper, Upper], tuple[Upper, Upper], Upper], Upper]
"""How the inner maximum and the residuals make one bound: see `blocks.truncated_bound`."""


@dataclass
class Chain:
    """One chain being bounded, layer by layer, within a budget.

    Each layer of slopes gets an equal part of the time that is left.  Layers that are not cut by
    then are bounded by their norms.
    """

    splitter: Splitter
    inner: Inner
    limits: Limits
    budget: Budget = UNLIMITED
    combine: Combine = truncated_bound
    complete: bool = True
    remarks: list[str] = field(default_factory=list)

    def bound(self, stretch: Stretch) -> StretchBound | Refusal:
        """L <= prod_k  max_{s in slopes_k} || right_{k+1} diag(s) left_k ||, times the outer
        factors of the ends."""
        total: Upper | Estimate = ONE if self.splitter.residual else Estimate(1.0)
        left: Factor | None = None
        for number, block in enumerate(stretch.blocks):
            split = self._split(block, number, len(stretch.slopes))
            if isinstance(split, Refusal):
                return split
            if left is not None and split.right is not None:
                remaining = len(stretch.slopes) - number + 1
                total = times(
                    total, self._between(left, stretch.slopes[number - 1], split.right, remaining)
                )
            total = times(total, split.outer)
            left = split.left
        return StretchBound(total, self.complete, tuple(self.remarks))

    def _split(self, block: Operator, number: int, last: int) -> Split | Refusal:
        if number == 0:
            return self.splitter.first(block)
        if not self.expired:
            cut = self._cut(block, last - number)
            if isinstance(cut, Split):
                return cut
            self.remarks.append(f"a layer is bounded by its norm: {cut}")
        return self.splitter.uncut(block, number == last)

    def _cut(self, block: Operator, following: int) -> Split | Refusal:
        if following == 0:
            return self.splitter.last(block)
        return self.splitter.middle(block, self.budget.left / (2 * (following + 1)))

    @property
    def expired(self) -> bool:
        return self.budget.expired

    def _between(
        self, left: Factor, slopes: Between, right: Factor, remaining: int
    ) -> Upper | Estimate:
        """max over s of || right diag(s) left ||."""
        lo = slopes.lo.reshape(-1)
        hi = slopes.hi.reshape(-1)
        slope = Upper(largest_slope(lo, hi))
        product = whole_norm(right) * slope * whole_norm(left)
        if self.expired or not (right.matrix.numel() and left.matrix.numel()):
            self.complete = False
            return product
        share = self._share(remaining)
        found = self.inner(right.matrix, left.matrix, lo, hi, share)
        self.complete &= found.complete
        self.remarks += [found.remark] if found.remark else []
        below = (left.norm, left.scale)
        above = (right.norm, right.scale)
        if isinstance(found.value, Upper):
            return Upper.least([product, self.combine(found.value, below, above, slope)])
        if not self.splitter.residual:
            return found.value
        return estimated(found.value, below, above, slope)

    def _share(self, remaining: int) -> Limits:
        return replace(self.limits, budget=self.budget.within(1 / remaining))


def times(a: Upper | Estimate, b: Upper | Estimate) -> Upper | Estimate:
    """The product: an Upper where both are, an Estimate otherwise."""
    if isinstance(a, Upper) and isinstance(b, Upper):
        return a * b
    return Estimate(a.value * b.value)


def whole_norm(factor: Factor) -> Upper:
    """|| [matrix, scale C] || <= sqrt(||matrix||^2 + scale^2)."""
    return (factor.norm * factor.norm + factor.scale * factor.scale).sqrt()


def estimated(
    inner: Estimate, below: tuple[Upper, Upper], above: tuple[Upper, Upper], slope: Upper
) -> Estimate:
    """What the bound of `truncated_bound` would be if the estimate were one."""
    (p, f), (q, g) = ((norm.value, scale.value) for norm, scale in (below, above))
    d = slope.value
    return Estimate(block_norm(inner.value, q * d * f, g * d * p, g * d * f))
