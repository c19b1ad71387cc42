"""Pieces that a case cannot reach, on a bounded region and on a box in it.

Layer by layer every value is an affine function of the input and of numbers in [-1, 1]: with f(v)
in a v + mu +- r for v in [l, u], each neuron that has more than one piece left brings a number of
its own, times r (Singh, Gehr, Mirman, Pueschel and Vechev, NeurIPS 2018, section 3).  a is about
the slope of the chord; any would do.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from autolip_check.cells import Bounds, Case
from autolip_check.container import Array
from autolip_check.dyadic import upwards
from autolip_check.enclosed import Enclosed, above
from autolip_check.layers import Layer, Layers
from autolip_check.maps import UNIT


@dataclass(frozen=True)
class Place:
    """A bounded region, and a box that holds the part of it in which a case lies."""

    center: Array
    radius: float
    norm: str
    """Of a ball; empty where the region is a box."""
    lo: Array
    hi: Array

    @staticmethod
    def of(bounds: Bounds) -> "Place":
        """All of a region."""
        if bounds.center is not None:
            center = Enclosed.of(bounds.center)
            radius = upwards(bounds.radius)
            lo, hi = _wider(center.lo, center.hi, radius)
            return Place(center.value, radius, bounds.norm, lo, hi)
        assert bounds.lo is not None and bounds.hi is not None
        lo = Enclosed.of(bounds.lo).value
        return Place(lo, 0.0, "", lo, Enclosed.of(bounds.hi).value)

    @property
    def middle(self) -> Array:
        """A point of it: the ball's centre, or the middle of the box."""
        if self.norm:
            return self.center
        half = self.lo / 2
        return np.where(self.lo == self.hi, self.lo, half + self.hi / 2)

    @property
    def far(self) -> Array:
        """At least how far every entry may be from the middle: nothing where it cannot move."""
        if self.norm:
            return np.full(len(self.lo), self.radius)
        above_it = self.hi - self.middle
        below = self.middle - self.lo
        reach = np.maximum(above_it, below)
        return np.where(self.lo == self.hi, 0.0, reach * (1 + 4 * UNIT))

    def cut(self, tops: list[Fraction | None]) -> "Place":
        """The same in a smaller box: bounds on every entry, and then on every entry's negative."""
        size = len(self.lo)
        ups = np.array([np.inf if top is None else upwards(top) for top in tops])
        hi = np.minimum(self.hi, ups[:size])
        lo = np.maximum(self.lo, -ups[size:])
        whole = bool((lo <= hi).all())
        return Place(self.center, self.radius, self.norm, lo, hi) if whole else self

    def values(self, forms: Enclosed) -> tuple[Array, Array]:
        """Where forms lie that are affine in the input and in numbers in [-1, 1], with what their
        last column adds."""
        size = len(self.lo)
        rows = forms[:, :size]
        offset = forms[:, -1:]
        numbers = forms[:, size:-1].size
        beside = above(numbers.sum(1), numbers.shape[1])
        box = Enclosed.between(self.lo, self.hi)
        at = (rows @ Enclosed.exact(box.value[:, None]) + offset)[:, 0]
        sizes = rows.size
        spread = above(sizes @ box.error, size)
        lo, hi = _wider(at.lo, at.hi, spread)
        if self.norm:
            at = (rows @ Enclosed.exact(self.center[:, None]) + offset)[:, 0]
            spread = above(self.radius * _lengths(sizes, self.norm), size + 2)
            least, most = _wider(at.lo, at.hi, spread)
            lo, hi = np.maximum(lo, least), np.minimum(hi, most)
        return _wider(lo, hi, beside)


def _wider(lo: Array, hi: Array, by: Array | float) -> tuple[Array, Array]:
    """At most lo - by, and at least hi + by."""
    return np.nextafter(lo - by, -np.inf), np.nextafter(hi + by, np.inf)


def _lengths(sizes: Array, norm: str) -> Array:
    """Of rows, in the norm dual to this one, as computed."""
    if norm == "l1":
        return np.asarray(sizes.max(1, initial=0.0))
    if norm == "linf":
        return np.asarray(sizes.sum(1))
    return np.asarray(np.sqrt((sizes**2).sum(1)) + 2.0**-500)


def narrowed(layers: Layers, case: Case, place: Place) -> Case:
    """The case without the pieces on which no neuron lies: where none would be left, all are."""
    first, last = case.first.copy(), case.last.copy()
    free = first < last
    column = layers.inputs + np.cumsum(free) - 1
    count = layers.inputs + int(free.sum()) + 1
    values = [Enclosed.exact(np.eye(layers.inputs, count))]
    for number, layer in enumerate(layers.layers):
        start, stop = layers.starts[number], layers.starts[number + 1]
        forms = _at_end(layers.offsets[number], count)
        for j, matrix in layers.whole[number].items():
            forms = forms + matrix @ values[j]
        lo, hi = place.values(forms)
        here = slice(start, stop)
        _leave(layer, lo, hi, first[here], last[here])
        slope, middle, reach = _lines(layer, lo, hi, first[here], last[here])
        is_free = first[here] < last[here]
        scaled = Enclosed.exact(slope[:, None]) * forms
        rest = Enclosed(middle, np.where(is_free, 0.0, reach))
        scaled = scaled + _at_end(rest, count)
        which = np.flatnonzero(is_free)
        scaled.value[which, column[here][which]] = reach[which]  # 0 stood there
        values.append(scaled)
    return Case(first, last)


def _at_end(x: Enclosed, count: int) -> Enclosed:
    """As the last of so many columns, the others being 0."""
    shape = (len(x.value), count)
    value = np.zeros(shape)
    error = np.zeros(shape)
    value[:, -1] = x.value
    error[:, -1] = x.error
    return Enclosed(value, error)


def _leave(layer: Layer, lo: Array, hi: Array, first: Array, last: Array) -> None:
    """Leaves out pieces beyond the values, in place; values that overflowed may be any."""
    breaks = np.array(layer.pieces.breaks)
    least = np.nan_to_num(lo, nan=-np.inf, posinf=np.inf, neginf=-np.inf)
    most = np.nan_to_num(hi, nan=np.inf, posinf=np.inf, neginf=-np.inf)
    low = np.maximum(first, (breaks <= least[:, None]).sum(1))
    high = np.minimum(last, (breaks < most[:, None]).sum(1))
    fits = low <= high
    first[fits] = low[fits]
    last[fits] = high[fits]


def _lines(
    layer: Layer, lo: Array, hi: Array, first: Array, last: Array
) -> tuple[Array, Array, Array]:
    """a for every neuron, mu and r with f(v) - a v within r of mu, for v in [lo, hi] on the pieces
    that are left: linear on each of them, it is extreme at ends."""
    pieces = layer.pieces
    slopes = np.array(pieces.slopes)
    chord = _chord(layer, lo, hi)
    slope = np.where(first < last, chord, slopes[first])
    starts = [-np.inf, *pieces.breaks]
    stops = [*pieces.breaks, np.inf]
    least = np.full(len(lo), np.inf)
    most = -least
    for k, steep in enumerate(pieces.slopes):
        counts = (first <= k) & (k <= last)
        steepness = Enclosed.exact(np.full(len(lo), steep))
        tilt = steepness + Enclosed.exact(-slope)
        offset = Enclosed.exact(np.full(len(lo), pieces.offsets[k]))
        for end in (lo, hi):
            risen = np.maximum(end, starts[k])
            at = np.minimum(risen, stops[k])
            rest = tilt * Enclosed.exact(at) + offset
            least = np.where(counts, np.minimum(least, rest.lo), least)
            most = np.where(counts, np.maximum(most, rest.hi), most)
    rest = Enclosed.between(least, most)
    return slope, rest.value, rest.error


def _chord(layer: Layer, lo: Array, hi: Array) -> Array:
    """About the slope between the function's values at both ends."""
    breaks = np.array(layer.pieces.breaks)
    slopes, offsets = np.array(layer.pieces.slopes), np.array(layer.pieces.offsets)
    values = []
    for end in (lo, hi):
        piece = (breaks < end[:, None]).sum(1)
        values.append(slopes[piece] * end + offsets[piece])
    slope = (values[1] - values[0]) / (hi - lo)
    return np.where((hi > lo) & np.isfinite(slope), slope, 0.0)
