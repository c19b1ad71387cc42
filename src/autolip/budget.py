"""How long work may take, and what it takes: by the wall clock, or by the work that was counted.

Counted work is the same in every process and on every machine, so that what it ends has one answer.
All clocks of autolip are read here, and all speeds of machines are stated here: those of one core
of a machine of reference, on which the forecasts were measured, and that of this machine.
"""

import contextlib
import contextvars
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from scipy.linalg.lapack import dpotrf

A_MULTIPLY_ADD, IN_DOUBLE, A_CALL = 5e-11, 2e-10, 3.5e-5
"""Seconds of reference that one multiply-add in float32, one in float64, and one product beside
them take, measured."""

REFERENCE = 2e10
"""Floating-point operations per second of a factorisation on the machine of reference, measured."""

DECOMPOSING = 1e10
"""Measured: multiply-adds per second of singular value decompositions and of the factorisations of
an inner problem, for forecasts."""

SLOWEST = 10.0
"""How many processor seconds one of counted work may take before they end what counted work would
have ended: a choice."""

FIRST, CHEAP, ABOVE = 0.85, 0.3, 0.6
"""Until which part of a time budget the first upper bound may take, methods that cost little, and
the last of those that bound from above, where a lower bound is searched for as well: a choice."""

WORTH = 5.0
"""Chosen: seconds of reference that a method which costs little may take where there is no time
budget: as many as LipSDP."""


@dataclass
class Meter:
    """Counts the work of operator products in multiply-adds, and in seconds of a machine of
    reference.

    Those seconds depend on what is done alone: not on the machine, nor on what else runs there.
    """

    work: float = 0.0
    seconds: float = 0.0
    outer: "Meter | None" = None
    """The meter of the enclosing block, which counts the same."""


_meter: contextvars.ContextVar[Meter | None] = contextvars.ContextVar("meter", default=None)


@contextlib.contextmanager
def metered() -> Iterator[Meter]:
    """Count the products made inside the block; an enclosing block counts them too."""
    meter = Meter(outer=_meter.get())
    token = _meter.set(meter)
    try:
        yield meter
    finally:
        _meter.reset(token)


def charge(multiply_adds: float, seconds: float | None = None) -> None:
    """Count work done outside an operator's products: a factorisation, a Gram matrix; in `seconds`
    of reference where its multiply-adds do not say how long it takes."""
    if seconds is None:
        seconds = A_CALL + multiply_adds * IN_DOUBLE
    meter = _meter.get()
    while meter is not None:
        meter.work += multiply_adds
        meter.seconds += seconds
        meter = meter.outer


class Clock(ABC):
    """Tells how many seconds have passed since some moment."""

    @abstractmethod
    def now(self) -> float: ...

    @property
    @abstractmethod
    def repeats(self) -> bool:
        """Whether another run of the same work would have been told the same."""

    @property
    @abstractmethod
    def rate(self) -> float:
        """Floating-point operations of a factorisation in one of its seconds."""


@dataclass(frozen=True)
class WallClock(Clock):
    """`time.monotonic()`."""

    def now(self) -> float:
        return time.monotonic()

    @property
    def repeats(self) -> bool:
        return False

    @property
    def rate(self) -> float:
        return factorisation_rate()


WALL = WallClock()


@dataclass(frozen=True)
class WorkClock(Clock):
    """The seconds of reference that a meter has counted; the processor's, where those are `SLOWEST`
    times as many."""

    meter: Meter
    started: float

    def now(self) -> float:
        return max(self.meter.seconds, self._slowed)

    @property
    def repeats(self) -> bool:
        return self._slowed <= self.meter.seconds

    @property
    def rate(self) -> float:
        return REFERENCE

    @property
    def _slowed(self) -> float:
        return (_core_seconds() - self.started) / SLOWEST


@contextlib.contextmanager
def counting() -> Iterator[WorkClock]:
    """A clock that goes with the work done inside the block."""
    with metered() as meter:
        yield WorkClock(meter, _core_seconds())


def _core_seconds() -> float:
    """Processor seconds of one core."""
    return processor_seconds() / torch.get_num_threads()


def processor_seconds() -> float:
    """Of this process, since some moment."""
    return time.process_time()


def stopwatch() -> Callable[[], float]:
    """Tells the seconds since it was made."""
    started = time.perf_counter()
    return lambda: time.perf_counter() - started


@cache
def factorisation_rate(order: int = 768, times: int = 4) -> float:
    """Floating-point operations per second of a factorisation on this machine: the best of a few
    (some 50 ms)."""
    seconds = []
    for _ in range(times):
        elapsed = stopwatch()
        dpotrf(np.eye(order).T, lower=0, clean=0, overwrite_a=1)
        seconds.append(elapsed())
    return order**3 / 3 / min(seconds)


@dataclass(frozen=True)
class Budget:
    """Work may go on until a moment of a clock; `began` is the moment when it was given."""

    deadline: float = math.inf
    clock: Clock = WALL
    began: float | None = None

    @staticmethod
    def of(seconds: float | None, clock: Clock = WALL) -> "Budget":
        """This many seconds from now on; None: as long as it takes."""
        now = clock.now()
        return Budget(math.inf if seconds is None else now + seconds, clock, now)

    @property
    def limited(self) -> bool:
        return self.deadline < math.inf

    @property
    def left(self) -> float:
        """Seconds until the deadline, below 0 after it."""
        return self.deadline - self.clock.now() if self.limited else math.inf

    @property
    def reference_left(self) -> float:
        """What the machine of reference takes for as much work as fits into the time that is
        left."""
        if not self.limited:
            return math.inf
        return max(self.left, 0.0) * self.clock.rate / REFERENCE

    @property
    def expired(self) -> bool:
        return self.left < 0

    @property
    def spent(self) -> float:
        """Seconds since it was given."""
        return 0.0 if self.began is None else max(self.clock.now() - self.began, 0.0)

    def affords(self, seconds: float) -> bool:
        """Whether work that takes so long would end in time."""
        return seconds <= self.left

    def within(self, part: float) -> "Budget":
        """The same, with this part of the time that is left."""
        if not self.limited:
            return self
        now = self.clock.now()
        return replace(self, deadline=now + part * (self.deadline - now))

    def at_most(self, seconds: float | None) -> "Budget":
        """The same, with at most this many seconds from now on."""
        if seconds is None:
            return self
        return replace(self, deadline=min(self.deadline, self.clock.now() + seconds))

    def remedy(self, seconds: float) -> str:
        """The time budget that would help work that takes so long, and comes after others."""
        budget = max(seconds / (ABOVE - CHEAP), (self.spent + seconds) / ABOVE)
        minutes = math.ceil(budget / 60)
        some = f"{math.ceil(budget)} s" if budget < 100 else f"{minutes} minutes"
        return f"a time budget of about {some} would help"

    def too_dear(self, price: float) -> str | None:
        """Why work of this price, in seconds of reference, is not begun; None where it is."""
        if not self.limited:
            some = f"it would take about {price:.2g} s"
            return None if price <= WORTH else f"{some}: name it to have it run"
        seconds = price * REFERENCE / self.clock.rate if price else 0.0
        if seconds <= max(self.left, 0.0):
            return None
        some = f"it would take about {seconds:.2g} s"
        return f"{some}, more than its part of the time: give more, or name it"


UNLIMITED = Budget()
"""As long as it takes."""

SPENT = Budget(deadline=-math.inf)
"""No time at all."""


@dataclass(frozen=True)
class Turns:
    """How the members of a portfolio share a time budget.

    The first upper bound may take most of the time: it is the one that there has to be.  Those that
    cost little leave some for the one that uses what it gets, and all of them some for the lower
    bound.  Who was cut short or came too late has another turn once that one has ended early.
    """

    first: Budget
    cheap: Budget
    last: Budget

    @staticmethod
    def of(budget: Budget, part: float, below: bool) -> "Turns":
        """A part of the time that is left; a lower bound is searched for afterwards or not."""
        whole = part if below else part / ABOVE
        shares = (min(part, share * whole) for share in (FIRST, CHEAP, ABOVE))
        return Turns(*map(budget.within, shares))

    def after_the_first(self, lasting: bool, others: bool) -> Budget:
        """That of a method that has an upper bound before it, and a lasting method after it or
        not."""
        return self.cheap if others and not lasting else self.last
