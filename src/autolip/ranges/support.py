"""The largest value of linear forms on a region, counted from its centre."""

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.intervals import Interval
from autolip.norms import Norm
from autolip.operators.operator import flat
from autolip.regions import Ball, Region
from autolip.roundoff import TINY, dot_error, raised


def centre(region: Region, shape: torch.Size) -> Float[Tensor, "*shape"]:
    """A ball's centre, the middle of any other bounded region's interval."""
    if isinstance(region, Ball):
        return region.shaped(shape).center
    box = region.interval(shape)
    return box.lo / 2 + box.hi / 2


def support(region: Region, forms: Float[Tensor, "k *shape"]) -> Float[Tensor, " k"]:
    """At least max over x in the region of <forms_i, x - centre>.

    R ||form||_dual on a ball of radius R, sum_j max(form_j (lo_j - c_j), form_j (hi_j - c_j)) on a
    box.
    """
    shape = forms.shape[1:]
    if isinstance(region, Ball):
        return _above(region.radius * _lengths(flat(forms), region.norm.dual), shape.numel())
    middle = centre(region, shape)
    moved = region.interval(shape) + Interval(-middle, -middle)
    ends = flat(torch.maximum(forms * moved.lo, forms * moved.hi))
    reach = flat(forms).abs() @ moved.magnitude().reshape(-1)
    return ends.sum(1) + dot_error(shape.numel(), reach) + shape.numel() * TINY


def _lengths(rows: Tensor, norm: Norm) -> Tensor:
    """The norms of rows, with no under- or overflow on the way."""
    largest = rows.abs().amax(1, keepdim=True)
    scaled = rows / largest.where(largest > 0, 1.0)
    return norm.of_rows(scaled) * largest[:, 0]


def _above(lengths: Tensor, terms: int) -> Tensor:
    """Above what was computed with so many terms; 0 stays 0."""
    return torch.where(lengths == 0, 0.0, raised(lengths, terms + 5) + TINY)
