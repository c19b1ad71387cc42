"""Secants of a pointwise function from one point, from its one record.

    s(t) = (f(t) - f(c)) / (t - c),   t in the operand's range, c known to lie in a small interval.

By the mean value theorem s(t) is within the derivative's range between c and t, turns included.
Between two turns f is convex or concave, which says more:

* Next to c, s is monotone, so that one end is s at the far end of the piece.
* Away from c, with g the range of f(t) - a t on the piece,

      s(t) = a + (g + a c - f(c)) / (t - c)   for every slope a:

  that of the piece's chord is good on one side, that of its tangent through (c, f(c)) on the other.
"""

import itertools
import math
from dataclasses import replace

import torch
from torch import Tensor

from autolip.intervals import Interval, inverted
from autolip.rules.curves import slope_range, slopes_beside, value_at, value_range
from autolip.rules.lines import joined, offsets_between
from autolip.rules.rule import Pointwise

INF = math.inf

HALVINGS = 25
"""Tuned: steps of the search for the tangent from the centre, whose miss counts squared."""


def secant_range(curve: Pointwise) -> Interval:
    """The slopes between any two points of the range; from the centre, where there is one."""
    known = slope_range(curve)
    centre = curve.operand.centre
    if centre is None or centre.lo.numel() == 0:
        return known
    lo, hi = curve.operand.range.ends()
    c = Interval(torch.maximum(centre.lo, lo), torch.minimum(centre.hi, hi))
    finite = known.lo.isfinite() & known.hi.isfinite()
    usable = finite & lo.isfinite() & hi.isfinite() & (c.lo <= c.hi)
    if not bool(usable.any()):
        return known
    found = _from(curve, c)
    least = torch.maximum(known.lo, found.lo)
    most = torch.minimum(known.hi, found.hi)
    usable = usable & (least <= most)
    return Interval(torch.where(usable, least, known.lo), torch.where(usable, most, known.hi))


def _from(curve: Pointwise, c: Interval) -> Interval:
    """The hull of what is known on every piece; empty where there is none beside the centre."""
    breaks = _breaks(curve, c)
    least = torch.full_like(breaks[0], INF)
    most = torch.full_like(breaks[0], -INF)
    for p, q in itertools.pairwise(breaks):
        inside = p < q
        if not bool(inside.any()):
            continue
        found = _on_piece(curve, c, p, q)
        least = torch.where(inside, torch.minimum(least, found.lo), least)
        most = torch.where(inside, torch.maximum(most, found.hi), most)
    return Interval(least, most)


def _breaks(curve: Pointwise, c: Interval) -> list[Tensor]:
    """The ends of the range, the turns inside and both ends of the centre, in rising order."""
    lo, hi = curve.operand.range.ends()
    turns = [torch.as_tensor(turn.at, dtype=lo.dtype) for turn in curve.slope_turns]
    inside = [torch.minimum(torch.maximum(turn, lo), hi) for turn in turns]
    every = torch.broadcast_tensors(lo, *inside, c.lo, c.hi, hi)
    return list(torch.stack(every).sort(0).values)


def _on_piece(curve: Pointwise, c: Interval, p: Tensor, q: Tensor) -> Interval:
    """The secants to all t of [p, q], which is beside the centre, or within what is known of it."""
    between = Interval(torch.minimum(p, c.lo), torch.maximum(q, c.hi))
    known = slope_range(_restricted(curve, between))
    d, e = slopes_beside(curve, p)[1], slopes_beside(curve, q)[0]
    relative, absolute = curve.slope_allowance
    wrong = torch.maximum(d.abs(), e.abs()) * relative + absolute
    bends = (d - e).abs() > 4 * wrong
    convex = d < e
    near = _next_to(curve, c, (p, q), bends, convex)
    far = _away(curve, c, (p, q), (bends, convex))
    return known.meet(near).meet(far)


def _restricted(curve: Pointwise, to: Interval) -> Pointwise:
    operand = curve.operand
    return replace(curve, operand=replace(operand, range=to, centre=None))


def _next_to(
    curve: Pointwise, c: Interval, ends: tuple[Tensor, Tensor], bends: Tensor, convex: Tensor
) -> Interval:
    """Of a piece from c on: a convex s rises, so that it is at most s(q) after c, and at least s(p)
    before it; alike for a concave one.

    A turn within what is known of c would be one of the piece.
    """
    p, q = ends
    turns = [torch.as_tensor(turn.at, dtype=p.dtype) for turn in curve.slope_turns]
    turned = torch.zeros_like(p, dtype=torch.bool)
    for turn in turns:
        turned = turned | ((c.lo <= turn) & (turn <= c.hi) & (c.lo < c.hi))
    after = (p == c.hi) & bends & ~turned
    before = (q == c.lo) & bends & ~turned
    last, first = _secant(curve, c, q), _secant(curve, c, p)
    least, most = torch.full_like(p, -INF), torch.full_like(p, INF)
    most = torch.where(after & convex, last.hi, most)
    least = torch.where(after & ~convex, last.lo, least)
    least = torch.where(before & convex, torch.maximum(least, first.lo), least)
    most = torch.where(before & ~convex, torch.minimum(most, first.hi), most)
    return Interval(least, most)


def _secant(curve: Pointwise, c: Interval, t: Tensor) -> Interval:
    """s(t) for one t."""
    rise = _value(curve, t) - _value_there(curve, c)
    return rise * inverted(Interval(t, t) - c)


def _away(
    curve: Pointwise,
    c: Interval,
    ends: tuple[Tensor, Tensor],
    shape: tuple[Tensor, Tensor],
) -> Interval:
    """a + (g + a c - f(c)) / (t - c), of a piece that does not touch the centre."""
    p, q = ends
    run = Interval(p, q) - c
    there = _value_there(curve, c)
    tangent = _tangent_from(curve, c, ends, shape)
    chord = (value_at(curve, q) - value_at(curve, p)) / (q - p)
    found = Interval(torch.full_like(p, -INF), torch.full_like(p, INF))
    for slope in (chord, tangent):
        a = slope.nan_to_num(0.0, 0.0, 0.0)
        exact = Interval(a, a)
        rest = offsets_between(curve, a, ends) + exact * c - there
        found = found.meet(_known(exact + rest * inverted(run)))
    return found


def _tangent_from(
    curve: Pointwise, c: Interval, ends: tuple[Tensor, Tensor], shape: tuple[Tensor, Tensor]
) -> Tensor:
    """About the slope of the tangent through (c, f(c)) to the piece, by halving; where none touches
    inside, of that at the end where s is extreme.

    s'(t) (t - c)^2 = f'(t) (t - c) - f(t) + f(c), which a piece's bend makes monotone.
    """
    left, right = ends
    bends, convex = shape
    if not bool(bends.any()):
        return curve.derivative(left)
    centre = c.lo / 2 + c.hi / 2
    height = value_at(curve, centre)
    before = right <= centre
    for _ in range(HALVINGS):
        middle = left / 2 + right / 2
        rising = curve.derivative(middle) * (middle - centre) - value_at(curve, middle) + height > 0
        onwards = rising == (convex == before)
        left, right = torch.where(onwards, middle, left), torch.where(onwards, right, middle)
    return curve.derivative(left / 2 + right / 2)


def _value(curve: Pointwise, t: Tensor) -> Interval:
    return value_range(_restricted(curve, Interval(t, t)))


def _value_there(curve: Pointwise, c: Interval) -> Interval:
    """f(c)."""
    return value_range(_restricted(curve, c))


def _known(x: Interval) -> Interval:
    """Infinite where an end is NaN."""
    return joined([x])
