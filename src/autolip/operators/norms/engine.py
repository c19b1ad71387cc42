"""The registry of norm engines and the dispatch between them.

An engine is one function, registered for a kind of operator and a pair of norms.  It returns an `Upper`, or a
`Refusal` that says why not.  Engines that only estimate from below live in `power` and are never dispatched to.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from autolip.errors import AutolipError, Refusal
from autolip.norms import Norm
from autolip.operators.algebra import without_isometries
from autolip.operators.operator import Operator, metered
from autolip.values import Upper


@dataclass(frozen=True)
class NormOptions:
    """How hard to try: failure probability per randomised bound, relative excess aimed at, random seed.

    `finite_size` is the smaller matrix side up to which an operator may be materialised; `deadline` is a
    `time.monotonic()` moment after which only the cheapest engines run.
    """

    delta: float = 1e-9
    tolerance: float = 1e-3
    seed: int = 0
    finite_size: int = 2048
    deadline: float | None = None

    @property
    def expired(self) -> bool:
        return self.deadline is not None and time.monotonic() > self.deadline


EngineFunction = Callable[[Operator, NormOptions], Upper | Refusal]


@dataclass(frozen=True)
class Engine:
    """One way to bound ||A||_{p -> q}: name, kinds of operator, norms, whether it costs next to nothing."""

    name: str
    kinds: tuple[type[Operator], ...]
    p: Norm
    q: Norm
    cheap: bool
    function: EngineFunction = field(repr=False)

    def accepts(self, operator: Operator, p: Norm, q: Norm) -> bool:
        return (self.p, self.q) == (p, q) and isinstance(operator, self.kinds)


ENGINES: list[Engine] = []


def engine(
    name: str, *kinds: type[Operator], p: Norm = Norm.L2, q: Norm = Norm.L2, cheap: bool = False
) -> Callable[[EngineFunction], EngineFunction]:
    """Register an engine; engines are tried in the order in which they were registered."""

    def register(function: EngineFunction) -> EngineFunction:
        if any((e.name, e.p, e.q) == (name, p, q) for e in ENGINES):
            raise AutolipError(f"two norm engines are called {name} for {p.value} -> {q.value}: rename one")
        ENGINES.append(Engine(name, kinds or (Operator,), p, q, cheap, function))
        return function

    return register


@dataclass(frozen=True)
class Candidate:
    """What one engine said about one operator, and what it cost."""

    engine: str
    bound: Upper | Refusal
    seconds: float
    work: float


def candidates(operator: Operator, p: Norm, q: Norm, options: NormOptions) -> Iterator[Candidate]:
    """Every engine that takes this operator, run."""
    core = without_isometries(operator)
    for chosen in ENGINES:
        if chosen.accepts(core, p, q):
            started = time.perf_counter()
            with metered() as meter:
                bound = chosen.function(core, options)
            yield Candidate(chosen.name, bound, time.perf_counter() - started, meter.work)
