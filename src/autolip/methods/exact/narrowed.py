"""Pieces that a case cannot reach: ranges of all operands on the region and on a box in it.

There every value is an affine function of the input and of numbers in [-1, 1], layer by layer:
with phi(v) in a v + mu +- r for v in [l, u], each neuron that has more than one piece left brings a
number of its own, times r (Singh, Gehr, Mirman, Pueschel and Vechev, NeurIPS 2018, section 3).
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from autolip.intervals import Interval, centre_and_radius
from autolip.operators.operator import DTYPE
from autolip.piecewise.network import Network
from autolip.rounded import Rounded, total
from autolip.roundoff import raised

CLEAR = 1e-10
"""Chosen: part of its size by which a value is taken to be larger, so that other arithmetic than
this finds the same."""

Ends = tuple[Int64[Tensor, "k n"], Int64[Tensor, "k n"]]


@dataclass(frozen=True)
class _Around:
    """Boxes of a batch, (k, n0), in the region of a network."""

    network: Network
    boxes: Interval

    def values(self, forms: Rounded) -> Interval:
        """Where forms (k, n, c) lie, affine in the input and in numbers in [-1, 1]: their last
        column is added."""
        size = self.network.inputs
        rows, numbers, offset = forms[..., :size], forms[..., size:-1], forms[..., -1:]
        beside = raised(numbers.size.sum(-1), numbers.size.shape[-1])
        ends = [self._on_boxes(rows, offset), self._on_region(rows, offset)]
        lo = torch.maximum(*(end.lo for end in ends))
        hi = torch.minimum(*(end.hi for end in ends))
        return Interval(lo, hi) + Interval(-beside, beside)

    def _on_boxes(self, rows: Rounded, offset: Rounded) -> Interval:
        middle, reach = (x.unsqueeze(-1) for x in centre_and_radius(self.boxes.lo, self.boxes.hi))
        about = (rows @ Rounded.exact(middle) + offset)[..., 0].interval()
        spread = raised((rows.size @ reach)[..., 0], rows.size.shape[-1])
        return about + Interval(-spread, spread)

    def _on_region(self, rows: Rounded, offset: Rounded) -> Interval:
        region, shape = self.network.region, self.network.input_shape
        origin = Rounded.exact(region.origin(shape).reshape(-1, 1))
        about = (rows @ origin + offset)[..., 0].interval()
        flat = rows.value.reshape(-1, *shape)
        up, down = (region.support(sign * flat).reshape(about.hi.shape) for sign in (1.0, -1.0))
        off = rows.error @ region.reach(shape).reshape(-1)
        moved = raised(off, rows.value.shape[-1])
        return about + Interval(-down, up) + Interval(-moved, moved)


def narrowed(
    network: Network, first: Int64[Tensor, "k n"], last: Int64[Tensor, "k n"], boxes: Interval
) -> Ends:
    """The pieces of these on which neurons may lie in bounded boxes, (k, n0) each, of the region.

    Where none would be left, all are.
    """
    around = _Around(network, boxes)
    first, last = first.clone(), last.clone()
    free = (first < last).any(0)
    column = network.inputs + free.cumsum(0) - 1
    count = network.inputs + int(free.sum()) + 1
    start = torch.eye(network.inputs, count, dtype=DTYPE)
    values = [Rounded.exact(start.expand(len(first), -1, -1))]
    for k, layer in enumerate(network.layers):
        place = network.places[k]
        forms = total([matrix @ values[j] for j, matrix in layer.maps.items()])
        forms = forms + _at_end(layer.offset, count)
        operands = around.values(forms)
        _narrow(network, place, operands, first, last)
        ends = first[:, place], last[:, place]
        slope, rest = _lines(network, place, operands, ends)
        off = rest.error.where(ends[0] < ends[1], 0.0)
        own = torch.zeros(*off.shape, count, dtype=DTYPE)
        which = free[place].nonzero().reshape(-1)
        own[:, which, column[place][which]] = off[:, which]
        scaled = Rounded.exact(slope.unsqueeze(-1)) * forms
        scaled = scaled + _at_end(Rounded(rest.value, rest.error - off), count)
        values.append(Rounded(scaled.value + own, scaled.error))  # 0 stands where it is added
    return first, last


def _at_end(x: Rounded, count: int) -> Rounded:
    """As the last of so many columns, the others being 0."""

    def beside(end: Tensor) -> Tensor:
        return torch.cat([end.new_zeros(*end.shape, count - 1), end.unsqueeze(-1)], -1)

    return Rounded(beside(x.value), beside(x.error.expand(x.value.shape)))


def _narrow(network: Network, place: slice, values: Interval, first: Tensor, last: Tensor) -> None:
    """Leaves out pieces that lie clearly beyond the values, in place; values that overflowed may be
    any."""
    breaks = network.pieces.breaks[place]
    room = CLEAR * values.magnitude()
    least = (values.lo - room).nan_to_num(-math.inf, math.inf, -math.inf)
    most = (values.hi + room).nan_to_num(math.inf, math.inf, -math.inf)
    low = (breaks <= least.unsqueeze(-1)).sum(-1)
    high = torch.maximum(low, (breaks < most.unsqueeze(-1)).sum(-1))
    low = torch.maximum(low, first[:, place])
    high = torch.minimum(high, last[:, place])
    fits = low <= high
    first[:, place] = torch.where(fits, low, first[:, place])
    last[:, place] = torch.where(fits, high, last[:, place])


def _lines(
    network: Network, place: slice, values: Interval, ends: Ends
) -> tuple[Float[Tensor, "k n"], Rounded]:
    """A slope a for every neuron, and phi(v) - a v within an error, for v among the values.

    phi(v) - a v is linear on every piece: its extremes are at the ends of what is left of it.
    """
    pieces = network.pieces
    slopes, breaks = pieces.slopes[place], pieces.breaks[place]
    first, last = ends
    every = torch.arange(len(slopes))
    chord = _chord(network, place, values)
    slope = torch.where(first < last, chord, slopes[every, first])
    infinite = breaks.new_full((len(slopes), 1), math.inf)
    starts = torch.cat([-infinite, breaks], 1)
    stops = torch.cat([breaks, infinite], 1)
    least = torch.full_like(slope, math.inf)
    most = -least
    for k in range(slopes.shape[1]):
        counts = (first <= k) & (k <= last)
        tilt = Rounded.exact(slopes[:, k].expand_as(slope)) - Rounded.exact(slope)
        offset = pieces.offsets[place.start : place.stop, k]
        for end in (values.lo, values.hi):
            at = torch.minimum(torch.maximum(end, starts[:, k]), stops[:, k])
            rest = (tilt * Rounded.exact(at) + offset).interval()
            least = torch.where(counts, torch.minimum(least, rest.lo), least)
            most = torch.where(counts, torch.maximum(most, rest.hi), most)
    return slope, Rounded(*centre_and_radius(least, most))


def _chord(network: Network, place: slice, values: Interval) -> Float[Tensor, "k n"]:
    """About the slope of the line through a function's values at both ends: any slope is sound."""
    pieces = network.pieces
    every = torch.arange(place.start, place.stop)
    ends = list[Tensor]()
    for end in (values.lo, values.hi):
        piece = (pieces.breaks[place] < end.unsqueeze(-1)).sum(-1)
        ends.append(pieces.slopes[every, piece] * end + pieces.offsets.value[every, piece])
    width = values.hi - values.lo
    slope = (ends[1] - ends[0]) / width
    return torch.where((width > 0) & slope.isfinite(), slope, 0.0)
