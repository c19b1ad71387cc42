"""Which entries are 0 whatever the input is, because what they are made of cancels.

Where overlapping windows share their maximum on a region, it is compared with itself: a - a.  Of
ranges, rounding leaves an interval about 0; but along wiring and the slopes 0 and 1 of settled
maxima everything is a whole number, and adds up exactly.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from autolip.graph.views import Vertex
from autolip.intervals import Interval
from autolip.operators.operator import DTYPE, Operator

NARROW = 2.0**-30
"""Chosen: width of an entry's range, in terms of the largest value around, from which on it is not
looked at."""

LARGEST = 2.0**20
"""Chosen: whole numbers below this are followed: sums of 2^30 of them are exact."""

AT_ONCE = 2**22
"""Chosen: numbers of a batch of rows."""


def cancelled(before: Sequence[Vertex], name: str, suspects: Tensor) -> Tensor:
    """Of some entries of an affine vertex those that are 0, or constant, as functions of the input
    and of the vertices that are not affine; proved, but not all of them."""
    start = next(vertex for vertex in before if vertex.name == name)
    size = suspects.numel()
    marks = suspects.reshape(-1)
    places = marks.nonzero().reshape(-1)
    nil = torch.zeros_like(marks)
    many = max(1, AT_ONCE // size)
    for part in places.split(many):
        numbers = torch.arange(len(part))
        rows = torch.zeros(len(part), size, dtype=DTYPE)
        rows[numbers, part] = 1.0
        units = rows.reshape(-1, *suspects.shape)
        nil[part] = ~_arriving(before, start, units)
    return nil.reshape(suspects.shape)


def narrow(values: Interval, largest: float) -> Tensor:
    """The entries whose range is hardly wider than roundings of the largest value around."""
    width = values.hi - values.lo
    return width <= NARROW * largest


def largest_of(values: Interval) -> float:
    """The largest modulus that is finite; 0 where none is."""
    size = values.magnitude()
    finite = size.isfinite()
    return size[finite].max().item() if bool(finite.any()) else 0.0


def _arriving(before: Sequence[Vertex], start: Vertex, rows: Tensor) -> Tensor:
    """Which rows, traced back through whole numbers, are not 0 where those end."""
    pending = {start.name: rows}
    arriving = torch.zeros(len(rows), dtype=torch.bool)
    for vertex in reversed(before):
        row = pending.pop(vertex.name, None)
        if row is None:
            continue
        if not vertex.is_affine or not vertex.edges:
            arriving |= _any(row)
            continue
        for link in vertex.links:
            whole, lost = _pulled(link.operator, row)
            total = pending.get(link.source, 0.0) + whole
            arriving |= lost
            arriving |= _any(total.abs() >= LARGEST)
            pending[link.source] = total
    return arriving


def _pulled(operator: Operator, row: Tensor) -> tuple[Tensor, Tensor]:
    """A^T y in whole numbers, and which rows were lost on the way."""
    if operator.is_wiring or operator.is_zero:
        none = torch.zeros(len(row), dtype=torch.bool)
        return operator.rmv(row), none
    scale = operator.diagonal
    if scale is None or operator.relative_error:
        nothing = row.new_zeros(len(row), *operator.in_shape)
        return nothing, _any(row)
    is_small = scale.abs() < LARGEST
    is_whole = is_small & (scale == scale.round())
    factors = torch.where(is_whole, scale, 0.0)
    kept = row * factors
    return kept, _any((row != 0) & ~is_whole)


def _any(row: Tensor) -> Tensor:
    """Which rows have an entry that is not 0."""
    return row.flatten(1).ne(0).any(1)
