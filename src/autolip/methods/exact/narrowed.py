"""Pieces that a case cannot reach: ranges of all operands on a box around its cell.

On a box every value is an affine function of the input and a rest within an error, layer by layer:
exactly where a neuron lies on one piece; with phi(v) in a v + mu +- r for v in [l, u] elsewhere.
"""

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from autolip.intervals import Interval, centre_and_radius
from autolip.piecewise.network import Network
from autolip.rounded import Rounded, total
from autolip.roundoff import raised

Ends = tuple[Int64[Tensor, "k n"], Int64[Tensor, "k n"]]


def narrowed(
    network: Network, first: Int64[Tensor, "k n"], last: Int64[Tensor, "k n"], boxes: Interval
) -> Ends:
    """The pieces of these on which neurons may lie in bounded boxes, (k, n0) each.

    Where none would be left, all are.
    """
    middle, reach = (end.unsqueeze(-1) for end in centre_and_radius(boxes.lo, boxes.hi))
    first, last = first.clone(), last.clone()
    results = dict[int, tuple[Rounded, Rounded]]()
    for k, layer in enumerate(network.layers):
        place = network.places[k]
        rows, rest = list[Rounded](), [_column(layer.offset)]
        for j, matrix in layer.maps.items():
            if j == 0:
                rows.append(matrix)
            else:
                rows.append(matrix @ results[j][0])
                rest.append(matrix @ results[j][1])
        a, c = total(rows), total(rest)
        around = a @ Rounded.exact(middle) + c
        spread = raised(a.size @ reach, a.value.shape[-1])
        whole = Rounded(around.value, raised(around.error + spread, 1)).interval()
        values = Interval(whole.lo[..., 0], whole.hi[..., 0])
        _narrow(network, place, values, first, last)
        results[k + 1] = _after(network, place, (a, c), values, (first[:, place], last[:, place]))
    return first, last


def _column(x: Rounded) -> Rounded:
    return Rounded(x.value.unsqueeze(-1), x.error.unsqueeze(-1))


def _narrow(network: Network, place: slice, values: Interval, first: Tensor, last: Tensor) -> None:
    """Leaves out pieces beyond the values, in place; values that overflowed may be any."""
    breaks = network.pieces.breaks[place]
    least = values.lo.nan_to_num(-math.inf, math.inf, -math.inf)
    most = values.hi.nan_to_num(math.inf, math.inf, -math.inf)
    low = (breaks <= least.unsqueeze(-1)).sum(-1)
    high = torch.maximum(low, (breaks < most.unsqueeze(-1)).sum(-1))
    low = torch.maximum(low, first[:, place])
    high = torch.minimum(high, last[:, place])
    fits = low <= high
    first[:, place] = torch.where(fits, low, first[:, place])
    last[:, place] = torch.where(fits, high, last[:, place])


def _after(
    network: Network, place: slice, forms: tuple[Rounded, Rounded], values: Interval, ends: Ends
) -> tuple[Rounded, Rounded]:
    """The results of a layer as affine functions of the input, and what is beside."""
    slope, offset = _lines(network, place, values, ends)
    scale = Rounded.exact(slope.unsqueeze(-1))
    return scale * forms[0], scale * forms[1] + _column(offset)


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
    slope = (slopes[every, first] + slopes[every, last]) / 2
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
