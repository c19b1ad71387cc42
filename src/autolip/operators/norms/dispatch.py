"""The best upper bound on ||A||_{p -> q} that the engines give, and when to stop asking them."""

import math
from dataclasses import dataclass, field, replace

from autolip.errors import Refusal
from autolip.norms import Norm
from autolip.operators.convolution import Convolution
from autolip.operators.norms.engine import Engine, NormOptions, eligible, normal_form
from autolip.operators.norms.lanczos import WORTH, lower_estimate
from autolip.operators.norms.symbol.wave import reached
from autolip.operators.operator import Operator
from autolip.values import INFINITE, ZERO, Certainty, Upper

SMALL = 1024
"""Chosen: smaller side up to which an exact engine is worth its time whatever is known."""

_DEFAULT = NormOptions()


def operator_norm(
    operator: Operator, p: Norm = Norm.L2, q: Norm = Norm.L2, options: NormOptions = _DEFAULT
) -> Upper | Refusal:
    """Upper bound on ||A||_{p -> q} = max ||A x||_q over ||x||_p <= 1.

    Cheap engines always run; the others until the budget has expired, exact ones first, unless an
    exact engine has answered, or the norm is known from below to within the tolerance of what is
    proved.  Randomised engines run last, and replace a proved bound only if theirs is smaller by
    four tolerances.  Refused, with every engine's reason, if none gives a number.
    """
    core, p, q = normal_form(operator, p, q)
    if not core.in_size or not core.out_size:
        return ZERO
    search = _Search(core, p, q, options)
    for chosen in eligible(core, p, q, options):
        if chosen.is_cheap or search.is_worth(chosen):
            search.ask(chosen)
        if search.finished:
            break
    return search.answer()


@dataclass
class _Search:
    """What the engines have said so far."""

    core: Operator
    p: Norm
    q: Norm
    options: NormOptions
    bounds: list[Upper] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    finished: bool = False
    reached: float = 0.0
    _estimated: bool = False

    @property
    def proved(self) -> Upper:
        """The best proved bound so far."""
        known = [bound for bound in self.bounds if bound.certainty is Certainty.PROVED]
        return Upper.least([*known, INFINITE])

    def ask(self, chosen: Engine) -> None:
        """Run one engine."""
        options = replace(self.options, known=self.proved.value)
        bound = chosen.function(self.core, options)
        if isinstance(bound, Refusal):
            self.reasons.append(f"{chosen.name}: {bound}")
            return
        self.bounds.append(bound)
        self.finished = chosen.exact and math.isfinite(bound.value)
        if chosen.share is not None:
            least = bound.value / (1 + self.options.tolerance)
            share = chosen.share(self.core)
            self.reached = max(self.reached, least * share)

    def is_worth(self, chosen: Engine) -> bool:
        """Whether an expensive engine may run: there is time, and something to gain.

        A convolution's symbol costs less than the passes over its image that would tell.
        """
        if self.options.budget.expired:
            self.reasons.append(f"{chosen.name}: no time left")
            return False
        if chosen.exact and min(self.core.in_size, self.core.out_size) <= SMALL:
            return True
        margin = self.options.tolerance * (
            WORTH + 1 if chosen.random else 1.0
        )  # a random one ends above the norm
        if self.core.kernel is None or (chosen.random and self._has_gain(margin)):
            self._estimate(margin)
        return self._has_gain(margin)

    def _has_gain(self, margin: float) -> bool:
        """Whether the norm may be below what is proved by more than that share."""
        return self.proved.value > self.reached * (1 + margin)

    def _estimate(self, margin: float) -> None:
        """A few Lanczos steps, where a bound is there to compare with, until it is seen that
        nothing is to gain."""
        if (
            not self._estimated
            and (self.p, self.q) == (Norm.L2, Norm.L2)
            and math.isfinite(self.proved.value)
        ):
            self._estimated = True
            enough = self.proved.value / (1 + margin)
            conv = Convolution.of(self.core)
            seed = self.options.search_seed
            if conv is not None:
                found = reached(conv, 8, enough, seed)
            else:
                found = lower_estimate(self.core, 8, seed, enough)
            self.reached = max(self.reached, found.value)

    def answer(self) -> Upper | Refusal:
        if not self.bounds:
            return Refusal(f"no engine bounds the norm of {self.core}: " + "; ".join(self.reasons))
        best = Upper.least(self.bounds)
        proved = self.proved
        return proved if proved.value <= best.value * (1 + WORTH * self.options.tolerance) else best
