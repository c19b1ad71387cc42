"""Theorems about names: functions of one number that are linear between breaks, continuous.

f(v) = slopes[k] v + offsets[k]    for breaks[k - 1] <= v <= breaks[k],    k = 0, ..., m
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from autolip_check.activations import Parameters, name_of
from autolip_check.admission import number, quoted
from autolip_check.container import Rejected, require


@dataclass(frozen=True)
class Pieces:
    """One function; its numbers are doubles."""

    breaks: tuple[float, ...]
    slopes: tuple[float, ...]
    offsets: tuple[float, ...]

    def __post_init__(self) -> None:
        """Breaks rise, and neighbours meet in them: exactly."""
        for k, at in enumerate(self.breaks):
            ends = [Fraction(self.slopes[k + n]) * Fraction(at) for n in (0, 1)]
            left = ends[0] + Fraction(self.offsets[k])
            require(left == ends[1] + Fraction(self.offsets[k + 1]), "a function has a jump")
        require(list(self.breaks) == sorted(set(self.breaks)), "the breaks of a function are odd")


def _clipped(lo: Any, hi: Any) -> Pieces:
    """min(max(v, lo), hi), with either end or both: ends that are tensors are not in the file."""
    require(lo is not None or hi is not None, "a clamp has no ends that are numbers")
    breaks = list[float]()
    slopes, offsets = [1.0], [0.0]
    if lo is not None:
        breaks.append(number(lo))
        slopes.insert(0, 0.0)
        offsets.insert(0, number(lo))
    if hi is not None:
        breaks.append(number(hi))
        slopes.append(0.0)
        offsets.append(number(hi))
    return Pieces(tuple(breaks), tuple(slopes), tuple(offsets))


def _bent(below: float) -> Pieces:
    """v above 0, a multiple of it below."""
    return Pieces((0.0,), (below, 1.0), (0.0, 0.0))


def _shrunk(width: float) -> Pieces:
    """0 near 0, nearer to it by the width elsewhere."""
    return Pieces((-width, width), (1.0, 0.0, 1.0), (width, 0.0, -width))


def _hardtanh(given: Parameters) -> Pieces:
    return _clipped(given.get("min_val", -1.0), given.get("max_val", 1.0))


def _clamp(given: Parameters) -> Pieces:
    return _clipped(given.get("min"), given.get("max"))


NAMED: dict[str, tuple[set[str], Callable[[Parameters], Pieces]]] = {
    "relu": (set(), lambda given: _bent(0.0)),
    "relu6": (set(), lambda given: _clipped(0.0, 6.0)),
    "abs": (set(), lambda given: _bent(-1.0)),
    "absolute": (set(), lambda given: _bent(-1.0)),
    "leaky_relu": (
        {"negative_slope"},
        lambda given: _bent(number(given.get("negative_slope", 0.01))),
    ),
    "hardtanh": ({"min_val", "max_val"}, _hardtanh),
    "clamp": ({"min", "max"}, _clamp),
    "clamp_min": ({"min"}, _clamp),
    "clamp_max": ({"max"}, _clamp),
    "softshrink": ({"lambd"}, lambda given: _shrunk(number(given.get("lambd", 0.5)))),
}


def pieces_of(operation: str, parameters: Parameters) -> Pieces:
    """The function that an operation is in every entry; Rejected where name and parameters do not
    tell."""
    known, made = NAMED.get(name_of(operation), (set[str](), None))
    if made is None or not set(parameters) <= known:
        raise Rejected(f"{quoted(operation)} is not known to be linear in pieces")
    return made(parameters)
