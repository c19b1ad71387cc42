"""The registry of norm engines.

An engine is one function, registered for a kind of operator and a pair of norms.  It returns an
`Upper`, or a `Refusal` that says why not.  Engines that only estimate from below live in `power`
and are never dispatched to.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from autolip.budget import UNLIMITED, Budget, metered, stopwatch
from autolip.errors import AutolipError, Refusal
from autolip.norms import Norm
from autolip.operators.algebra import without_isometries
from autolip.operators.operator import Adjoint, Operator
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


@dataclass(frozen=True)
class Engine:
    """One way to bound ||A||_{p -> q}: name, kinds of operator, norms, and what to expect of it.

    `cheap`: costs next to nothing, always runs.  `exact`: its value exceeds the norm by rounding
    only, so that nothing can improve on it.  `random`: its bound is CONFIDENT.
    """

    name: str
    kinds: tuple[type[Operator], ...]
    p: Norm
    q: Norm
    cheap: bool
    exact: bool
    random: bool
    function: EngineFunction = field(repr=False)

    def accepts(self, operator: Operator, p: Norm, q: Norm) -> bool:
        return (self.p, self.q) == (p, q) and isinstance(operator, self.kinds)


ENGINES: list[Engine] = []


def engine(
    name: str,
    *kinds: type[Operator],
    p: Norm = Norm.L2,
    q: Norm = Norm.L2,
    cheap: bool = False,
    exact: bool = False,
    random: bool = False,
) -> Callable[[EngineFunction], EngineFunction]:
    """Register an engine."""

    def register(function: EngineFunction) -> EngineFunction:
        if any((e.name, e.p, e.q) == (name, p, q) for e in ENGINES):
            raise AutolipError(
                f"two norm engines are called {name} for {p.value} -> {q.value}: rename one"
            )
        ENGINES.append(Engine(name, kinds or (Operator,), p, q, cheap, exact, random, function))
        return function

    return register


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
        e for e in ENGINES if e.accepts(core, p, q) and not (e.random and options.proved_only)
    ]
    return sorted(chosen, key=lambda e: (not e.cheap, e.random, not e.exact))


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
