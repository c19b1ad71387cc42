"""Linear relaxation, backwards: linear functions of the input above and below each entry.

Zhang, Weng, Chen, Hsieh, Daniel, Efficient Neural Network Robustness Certification with General
Activation Functions, NeurIPS 2018 (CROWN); on graphs: Xu et al., NeurIPS 2020.
"""

import math

import torch
from torch import Tensor

from autolip.intervals import Interval
from autolip.operators.operator import DTYPE
from autolip.ranges.engine import Allowance, Asked, range_engine
from autolip.ranges.prefix import Prefix

TILE = 2**22
"""Tuned: numbers of one batch of forms (32 MiB), of which a few are alive at once."""


@range_engine("relaxation")
def relaxation(asked: Asked, allowance: Allowance) -> Interval | None:
    """v_i - v_i(c) is at most the support function of a linear form above it, and alike below.

    Of entries for which there is not enough work left, those closest to being settled come first.
    """
    prefix = asked.prefix
    name = asked.name
    shape = asked.entries.shape
    lo, hi = (torch.full((shape.numel(),), end, dtype=DTYPE) for end in (-math.inf, math.inf))
    price = 2 * prefix.work(name)
    places = in_order(asked)[: max(0, int(allowance.work / price))]
    if not len(places):
        return None
    largest = max(value.numel() for value in prefix.values.values())
    for tile in places.split(max(1, TILE // (2 * largest))):
        allowance.spend(price * len(tile))
        lo[tile], hi[tile] = _ends(prefix, name, tile)
    return Interval(lo.reshape(shape), hi.reshape(shape))


def in_order(asked: Asked) -> Tensor:
    """The entries that are wanted, those whose range reaches least beyond 0 on one side first."""
    known = asked.prefix.ranges[asked.name]
    beyond = torch.minimum(known.hi, -known.lo).reshape(-1)
    places = asked.entries.reshape(-1).nonzero().reshape(-1)
    return places[beyond[places].argsort(stable=True)]


def _ends(prefix: Prefix, name: str, places: Tensor) -> tuple[Tensor, Tensor]:
    value = prefix.values[name]
    units = torch.zeros(len(places), value.numel(), dtype=DTYPE)
    units[torch.arange(len(places)), places] = 1.0
    forms = torch.cat([units, -units]).reshape(-1, *value.shape)
    above, below = prefix.upper(name, forms).chunk(2)
    middle = value.reshape(-1)[places]
    ends = Interval(middle - below, middle + above).widen()
    return ends.lo, ends.hi
