"""What the pictures of a page show, in hundredths of their width and height."""

import math
from dataclasses import dataclass

from autolip.report.bars import round_numbers
from autolip.report.digits import digits_near


@dataclass(frozen=True)
class Bar:
    """A bar from `start` to `end`, in hundredths of the axis; what is written beside it."""

    name: str
    text: str
    kind: str
    start: float
    end: float
    title: str = ""


@dataclass(frozen=True)
class Chart:
    """Bars over one axis, the ticks of which are labels and places in hundredths."""

    label: str
    bars: tuple[Bar, ...]
    ticks: tuple[tuple[str, float], ...]
    mark: float | None = None

    @property
    def height(self) -> int:
        """In pixels: a line of text and a bar for each, and the axis."""
        return 40 * len(self.bars) + (24 if self.ticks else 0)


@dataclass(frozen=True)
class Line:
    """A line through points, in hundredths of width and height; what it says in words."""

    name: str
    text: str
    kind: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Plot:
    """Lines of shares, from 0 to 100%, over one axis."""

    label: str
    lines: tuple[Line, ...]
    ticks: tuple[tuple[str, float], ...]


def along(value: float, low: float, high: float) -> float:
    """Where a value stands on a logarithmic axis, in hundredths."""
    return 100 * math.log(value / low) / math.log(high / low)


def ticks(low: float, high: float) -> tuple[tuple[str, float], ...]:
    """Round numbers between the ends, with their places."""
    numbers = round_numbers(low, high)
    return tuple((digits_near(number), along(number, low, high)) for number in numbers)
