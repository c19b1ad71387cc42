"""Slopes of functions that are linear in pieces, on an interval for every entry: between any two of
its points, or between any of them and one that is known up to rounding.

(f(t) - f(s)) / (t - s) is monotone in t while t stays on one piece and s on another one; on one
piece it is the slope there.  So its extremes are slopes of pieces and quotients at ends and breaks.
"""

import numpy as np

from autolip_check.container import Array
from autolip_check.enclosed import Enclosed
from autolip_check.maps import TINY, UNIT
from autolip_check.pieces import Pieces


def nodes(pieces: Pieces, lo: Array, hi: Array) -> Array:
    """Both ends of every interval and the breaks in it, in rising order; for a break outside an
    end: (m + 2, n)."""
    inside = [np.clip(at, lo, hi) for at in pieces.breaks]
    return np.stack([lo, *inside, hi])


def values(pieces: Pieces, t: Array) -> Enclosed:
    """f(t)."""
    breaks = np.array(pieces.breaks)
    passed = breaks < t[..., None]
    piece = passed.sum(-1)
    slope = np.array(pieces.slopes)[piece]
    offset = np.array(pieces.offsets)[piece]
    return Enclosed.exact(slope) * Enclosed.exact(t) + Enclosed.exact(offset)


def image(pieces: Pieces, lo: Array, hi: Array) -> tuple[Array, Array]:
    """The least and the largest value on every interval."""
    at = values(pieces, nodes(pieces, lo, hi))
    return at.lo.min(0), at.hi.max(0)


def reached(pieces: Pieces, lo: Array, hi: Array) -> tuple[Array, Array]:
    """The least and the largest slope of the pieces that every interval meets."""
    breaks = np.array(pieces.breaks)
    low = (breaks <= lo[:, None]).sum(1)
    high = (breaks < hi[:, None]).sum(1)
    first = np.minimum(low, high)
    last = np.maximum(low, high)
    which = np.arange(len(pieces.slopes))
    begun = first[:, None] <= which
    met = begun & (which <= last[:, None])
    slopes = np.array(pieces.slopes)
    return np.where(met, slopes, np.inf).min(1), np.where(met, slopes, -np.inf).max(1)


def secants(
    pieces: Pieces, lo: Array, hi: Array, point: tuple[Array, Array]
) -> tuple[Array, Array]:
    """The same between the points of each interval and one that is between two numbers, close to
    each other and in it."""
    near = np.minimum(lo, point[0])
    far = np.maximum(hi, point[1])
    least, most = reached(pieces, near, far)
    low, high = reached(pieces, *point)
    for s in nodes(pieces, *point):
        for t in nodes(pieces, near, far):
            below, above = _quotient(pieces, t, s)
            low = np.minimum(low, below)
            high = np.maximum(high, above)
    return np.maximum(low, least), np.minimum(high, most)


def _quotient(pieces: Pieces, t: Array, s: Array) -> tuple[Array, Array]:
    """What contains (f(t) - f(s)) / (t - s); any number where t and s are next to each other, and
    nothing where they are the same: then it is the slope of a piece."""
    rise = values(pieces, t) + -values(pieces, s)
    run = t - s
    middle = rise.value / run
    size = np.abs(middle)
    rounded = 4 * UNIT * size
    length = np.abs(run)
    known = rise.error / length
    total = known + rounded
    off = total * (1 + 32 * UNIT) + TINY
    apart = t != s
    low = np.where(apart, middle - off, np.inf)
    high = np.where(apart, middle + off, -np.inf)
    return np.nan_to_num(low, nan=-np.inf, neginf=-np.inf, posinf=np.inf), np.nan_to_num(
        high, nan=np.inf, neginf=-np.inf, posinf=np.inf
    )
