"""The registry of norm engines.

An engine is one function, registered for what it needs to know of an operator and for pairs of
norms. It returns an `Upper`, or a `Refusal` that says why not.  What only estimates from below is
in `estimates` and never dispatched to.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from autolip.budget import UNLIMITED, Budget, metered, stopwatch
from autolip.errors import Refusal
from autolip.norms import Norm, parse_norms
from autolip.operators.algebra import without_isometries
from autolip.operators.operator import Adjoint, Operator
from autolip.registry import Registry, require_docstring
from autolip.values import Upper, round_up


@dataclass(frozen=True)
class NormOptions:
    """How hard to try: failure probability per randomised bound, relative excess aimed at, random
    seed.

    Without a seed the random vectors of a bound come from the system's randomness, which nobody can
    foresee; with one they can be repeated, and a network made for that very seed may escape the
    probability. `finite_size` is the smaller matrix side up to which an operator may be
    materialised; once the `budget` has expired only the cheapest engines run; `proved_only` leaves
    the randomised engines out.  `known` is a bound that is already proved: an engine may give up
    once it cannot beat it.  `enough` is one that would do: an engine may stop where its own is not
    above it.
    """

    delta: float = 1e-9
    tolerance: float = 1e-3
    seed: int | None = None
    finite_size: int = 2048
    budget: Budget = UNLIMITED
    proved_only: bool = False
    known: float = math.inf
    enough: float = 0.0

    @property
    def search_seed(self) -> int:
        """The seed of searches, whose results are proved afterwards, or prove nothing: the same in
        every process."""
        return self.seed or 0


EngineFunction = Callable[[Operator, NormOptions], Upper | Refusal]
Fact = Callable[[Operator], bool]
"""What has to be known of an operator."""

FEW = 2.0
"""An engine of at most this many products always runs.  Chosen: those with |A| and |A|^T."""


@dataclass(frozen=True)
class Engine:
    """One way to bound ||A||_{p -> q}: name, norms, what it needs to know, what to expect of it.

    `products`: about how many products with the operator it takes, inf for a search.  `exact`: its
    value exceeds the norm by rounding only, so that nothing can improve on it.  `random`: its bound
    is CONFIDENT.  `share`: about which share of its bound the norm reaches, where that is known.
    """

    name: str
    p: Norm
    q: Norm
    function: EngineFunction = field(repr=False)
    needs: Fact = field(repr=False)
    products: float = math.inf
    exact: bool = False
    random: bool = False
    share: Callable[[Operator], float] | None = field(default=None, repr=False)

    def accepts(self, operator: Operator, p: Norm, q: Norm) -> bool:
        return (self.p, self.q) == (p, q) and self.needs(operator)

    @property
    def is_cheap(self) -> bool:
        """Whether it always runs."""
        return self.products <= FEW


ENGINES: Registry[tuple[str, str, str], Engine] = Registry("norm engine")
"""By name and norms."""

NORMAL_PAIRS = ("l2", "l1", "l1:l2", "l1:linf", "l2:l1", "linf:l1")
"""The pairs of norms that `normal_form` leaves."""


def engine(
    name: str,
    *pairs: str,
    needs: Fact = lambda operator: True,
    products: float = math.inf,
    exact: bool = False,
    random: bool = False,
    share: Callable[[Operator], float] | None = None,
) -> Callable[[EngineFunction], EngineFunction]:
    """Register a function as an `Engine` of that name, for pairs of norms: "l2", "l1:linf"."""

    def register(function: EngineFunction) -> EngineFunction:
        require_docstring("norm engine", function)
        for p, q in map(parse_norms, pairs):
            chosen = Engine(name, p, q, function, needs, products, exact, random, share)
            ENGINES.enter((name, p.value, q.value), chosen, function)
        return function

    return register


def must_be_formed(operator: Operator) -> bool:
    """Whether the entries are not there to be read: forming the matrix may show more."""
    stored = (operator.diagonal, operator.matrices, operator.kernel)
    known = operator.is_zero or operator.is_wiring or any(fact is not None for fact in stored)
    return not known


def is_read_off(operator: Operator) -> bool:
    """Whether some engine knows ||A||_2 without a product."""
    return any(
        one.products == 0 and one.accepts(operator, Norm.L2, Norm.L2) for one in ENGINES.values()
    )


def upper(value: float, ulps: int = 0) -> Upper:
    """A proved bound, some units in the last place higher (a zero, which has to be a proof, stays);
    NaN is infinite."""
    for _ in range(ulps if value > 0 else 0):
        value = round_up(value)
    return Upper.at_most(value)


_TRANSPOSED = {(Norm.LINF, Norm.LINF), (Norm.L2, Norm.LINF), (Norm.LINF, Norm.L2)}


def normal_form(operator: Operator, p: Norm, q: Norm) -> tuple[Operator, Norm, Norm]:
    """An operator and norms with the same ||A||_{p -> q}, of which the engines know every case.

    Isometries at both ends are dropped, and ||A||_{p -> q} = ||A^T||_{q* -> p*} leaves the pairs
    (l1, any), (l2, l2), (l2, l1) and (linf, l1).
    """
    core = without_isometries(operator)
    if (p, q) in _TRANSPOSED or (isinstance(core, Adjoint) and (q.dual, p.dual) not in _TRANSPOSED):
        return core.T, q.dual, p.dual
    return core, p, q


def eligible(core: Operator, p: Norm, q: Norm, options: NormOptions) -> list[Engine]:
    """The engines that take this operator: cheap ones first, then exact ones, random ones last."""
    chosen = [
        one
        for one in ENGINES.values()
        if one.accepts(core, p, q) and not (one.random and options.proved_only)
    ]
    return sorted(
        chosen, key=lambda one: (not one.is_cheap, one.random, not one.exact, one.products)
    )


@dataclass(frozen=True)
class Candidate:
    """What one engine said about one operator, and what it cost."""

    engine: str
    bound: Upper | Refusal
    seconds: float
    work: float


def candidates(operator: Operator, p: Norm, q: Norm, options: NormOptions) -> Iterator[Candidate]:
    """Every engine that takes this operator, run."""
    core, p, q = normal_form(operator, p, q)
    for chosen in eligible(core, p, q, options):
        elapsed = stopwatch()
        with metered() as meter:
            bound = chosen.function(core, options)
        yield Candidate(chosen.name, bound, elapsed(), meter.work)
