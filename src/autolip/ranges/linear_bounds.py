"""Linear bounds on how far an operation's value is from its value at a point of reference.

All values are counted from those at one input: d_v = v(x) - v_ref, where v_ref is what floating
point makes of v there.  Nothing need be exact about v_ref: what an operation itself loses there is
part of its offsets.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.intervals import Interval
from autolip.operators.norms.rounding import upper_product
from autolip.operators.operator import Operator
from autolip.roundoff import SMALLEST, TINY, dot_error, raised
from autolip.rules.lines import lines
from autolip.rules.rule import Action, Outcome, Pointwise
from autolip.slopes import Between, Exact

INF = math.inf


@dataclass(frozen=True)
class Straight:
    """A d_source."""

    source: str
    operator: Operator


@dataclass(frozen=True)
class Slanted:
    """At least lo d_source and at most hi d_source, each with an offset, entry by entry."""

    source: str
    lo: Float[Tensor, "*shape"]
    hi: Float[Tensor, "*shape"]


Edge = Straight | Slanted


@dataclass(frozen=True)
class LinearBounds:
    """sum_e lo_e d_e + lo <= d <= sum_e hi_e d_e + hi.

    A computed combination c d of these bounds is off by at most |c| weight + lost, for operands
    within their ranges: what floating point does to a coefficient counts times the deviation.
    """

    edges: tuple[Edge, ...]
    lo: Float[Tensor, "*shape"]
    hi: Float[Tensor, "*shape"]
    weight: Float[Tensor, "*shape"]
    lost: float
    """By underflow."""


@dataclass(frozen=True)
class Surroundings:
    """What is known of an operation and its operands: values at the point of reference, how far
    from them each may be, and where the operation's exact value lies at those."""

    values: Mapping[str, Tensor]
    deviations: Mapping[str, Interval]
    there: Interval

    def holds_reference(self, names: Iterable[str]) -> bool:
        """Whether the operands' values at the point of reference are in their ranges."""
        return all(_holds_zero(self.deviations[name]) for name in names)


def linear_bounds(
    outcome: Outcome, action: Action, image: Interval, value: Tensor, around: Surroundings
) -> LinearBounds:
    """The bounds that follow from what a rule says; `value` is the operation's own reference."""
    if isinstance(outcome, Pointwise) and outcome.operand.shape == image.shape:
        edges, offsets = _curved(outcome, value, around)
    else:
        edges, offsets = _by_slopes(action, image, value, around)
    shape = image.shape
    lo, hi = (end.expand(shape).contiguous() for end in (offsets.lo, offsets.hi))
    return LinearBounds(edges, lo, hi, *_weight(edges, Interval(lo, hi), around.deviations))


def _minus(values: Interval, reference: Tensor) -> Interval:
    return values - Interval(reference, reference)


def _curved(
    curve: Pointwise, value: Tensor, around: Surroundings
) -> tuple[tuple[Edge, ...], Interval]:
    """a t + b with t = t_ref + d: a d + (a t_ref + b - value)."""
    name, shape = curve.operand.name, curve.operand.shape
    below_slope, below_offset, above_slope, above_offset = (
        part.expand(shape) for part in lines(curve)
    )
    point = Interval(around.values[name], around.values[name])
    below = point * Interval(below_slope, below_slope) + Interval(below_offset, below_offset)
    above = point * Interval(above_slope, above_slope) + Interval(above_offset, above_offset)
    offsets = _minus(Interval(below.lo, above.hi), value)
    return (Slanted(name, below_slope, above_slope),), offsets


def _by_slopes(
    action: Action, image: Interval, value: Tensor, around: Surroundings
) -> tuple[tuple[Edge, ...], Interval]:
    """sum_i M_i d_i + (f(ref) - value), with M_i in the slope sets; where they say nothing linear,
    the image.

    Slopes hold between two points of the operands' ranges: the reference must be one.
    """
    plain = _minus(image, value)
    names = [operand.name for operand, _ in action.slopes]
    inside = around.holds_reference(names)
    edges, offsets = list[Edge](), _minus(around.there, value)
    for operand, slope in action.slopes:
        match slope:
            case Exact():
                edges.append(Straight(operand.name, slope.operator))
            case Between() if inside:
                edge, rest = _chords(operand.name, slope, around.deviations[operand.name])
                edges.append(edge)
                offsets = offsets + rest
            case _:
                return (), plain
    bad = ~(offsets.lo.isfinite() & offsets.hi.isfinite())
    if not bool(bad.any()):
        return tuple(edges), offsets
    if any(isinstance(edge, Straight) for edge in edges):
        return (), plain
    kept = tuple(
        Slanted(edge.source, torch.where(bad, 0.0, edge.lo), torch.where(bad, 0.0, edge.hi))
        for edge in edges
        if isinstance(edge, Slanted)
    )
    ends = ((plain.lo, offsets.lo), (plain.hi, offsets.hi))
    return kept, Interval(*(torch.where(bad, old, new) for old, new in ends))


def _holds_zero(deviations: Interval) -> bool:
    return bool((deviations.lo <= 0).all() and (deviations.hi >= 0).all())


def _chords(source: str, slope: Between, d: Interval) -> tuple[Edge, Interval]:
    """s d for s in [a, b], d in [-m, h]: at most the chord of max(a d, b d), at least that of the
    least.

    The upper chord has the slope (a m + b h) / (m + h), the lower (b m + a h) / (m + h); at d = 0
    they are m h (b - a) / (m + h) above and below.  A chord of another slope s needs, at both ends,
    max((s - a) m, (b - s) h), and max((b - s) m, (s - a) h): so the slopes may be rounded.
    """
    a, b, m, h = slope.lo, slope.hi, -d.lo, d.hi
    upper = _mean(a, m, b, h).clamp(a, b)
    lower = _mean(b, m, a, h).clamp(a, b)
    above = torch.maximum(_times(upper - a, m), _times(b - upper, h))
    below = torch.maximum(_times(b - lower, m), _times(lower - a, h))
    rest = Interval(-raised(below, 2) - TINY, raised(above, 2) + TINY)
    return Slanted(source, lower, upper), rest


def _mean(x: Tensor, m: Tensor, y: Tensor, h: Tensor) -> Tensor:
    """(x m + y h) / (m + h), 0 where that is no number."""
    width = m + h
    return torch.where(width > 0, (x * m + y * h) / width, 0.0).nan_to_num(0.0)


def _times(x: Tensor, y: Tensor) -> Tensor:
    """x y with 0 inf = 0."""
    return torch.where((x == 0) | (y == 0), 0.0, x * y)


def _weight(
    edges: Sequence[Edge], offsets: Interval, deviations: Mapping[str, Interval]
) -> tuple[Tensor, float]:
    """What rounding |A| |d| amounts to over the operands, and the inner product of the offsets with
    c; what underflows, at most one smallest number a product.

    The weight itself may underflow: by less than a smallest number for each operand.
    """
    size = offsets.magnitude()
    weight, lost = dot_error(2 * size.numel(), size), size.numel() * TINY
    for edge in edges:
        far = deviations[edge.source].magnitude()
        if isinstance(edge, Slanted):
            steepest = torch.maximum(edge.lo.abs(), edge.hi.abs())
            weight = weight + dot_error(1, _times(steepest, far))
            lost += float(far.sum()) * TINY
            continue
        majorant = edge.operator.majorant()
        if majorant is None:
            return torch.full_like(weight, INF), INF
        moved = upper_product(majorant, far.unsqueeze(0))[0]
        inexact = 2 * edge.operator.relative_error * moved
        weight = weight + dot_error(edge.operator.terms, moved) + inexact
        lost += float(far.sum()) * edge.operator.terms * TINY
    unseen = (2 * len(edges) + 2) * SMALLEST
    return raised(weight, 2 * len(edges) + 2) + unseen, lost
