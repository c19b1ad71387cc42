"""Seconds, by the wall clock or by the work that was counted.

Counted work is the same in every process and on every machine, so that what it ends has one answer.
"""

import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from autolip.operators.operator import Meter, metered

SLOWEST = 10.0
"""How many processor seconds one of counted work may take before they end what counted work would
have ended."""


class Clock(ABC):
    """Tells how many seconds have passed since some moment."""

    @abstractmethod
    def now(self) -> float: ...

    @property
    @abstractmethod
    def repeats(self) -> bool:
        """Whether another run of the same work would have been told the same."""


@dataclass(frozen=True)
class WallClock(Clock):
    """`time.monotonic()`."""

    def now(self) -> float:
        return time.monotonic()

    @property
    def repeats(self) -> bool:
        return False


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
    def _slowed(self) -> float:
        return (_processor_seconds() - self.started) / SLOWEST


def _processor_seconds() -> float:
    """Of one core."""
    return time.process_time() / torch.get_num_threads()


@contextlib.contextmanager
def counting() -> Iterator[WorkClock]:
    """A clock that goes with the work done inside the block."""
    with metered() as meter:
        yield WorkClock(meter, _processor_seconds())
