"""Where the inputs of a case lie, exactly: half-spaces, and proofs that nothing lies in them.

A case is the pieces left to every neuron.  v >= break below the first of them and v <= break above
the last one; where all neurons that v depends on lie on one piece each, v is affine in the input,
and these are half-spaces h(x) >= 0.  With weights y > 0 there is no such input where the sum of
y h is below 0 all over the region (Farkas 1902).  Where that sum is 0 each of them is met with
equality: the case is part of a hyperplane, if one of them has a row that is not 0.  Such cases may
be left out, for the others are closed, finitely many, and cover all but a set of measure 0: almost
every line parallel to a given one meets what was left out in measure 0, and f is continuous.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autolip_check.admission import finite
from autolip_check.container import Array, Document, require
from autolip_check.dyadic import Dyadic, Whole, root_above
from autolip_check.layers import Layers

MOST_SIDES = 400
"""Tuned: half-spaces of one proof, a limit on the work."""


@dataclass(frozen=True)
class Bounds:
    """The region by numbers: a box, or a ball; neither where it has no bounds."""

    lo: Dyadic | None = None
    hi: Dyadic | None = None
    center: Dyadic | None = None
    radius: Fraction = Fraction(0)
    norm: str = ""

    @staticmethod
    def of(entry: Document) -> "Bounds":
        """From the region of a certificate, which was read before."""
        if entry.get("kind") == "box":
            return Bounds(_exact(entry["lo"]), _exact(entry["hi"]))
        if entry.get("kind") == "ball":
            radius = Fraction(finite(entry["radius"]))
            return Bounds(center=_exact(entry["center"]), radius=radius, norm=entry["norm"])
        require(
            entry.get("kind", "everywhere") == "everywhere",
            "pieces are told everywhere, on boxes and on balls",
        )
        return Bounds()

    @property
    def is_bounded(self) -> bool:
        return self.lo is not None or self.center is not None

    def highest(self, row: Dyadic) -> Fraction | None:
        """At least row x for every x of the region; None where there is no bound."""
        if row.is_zero:
            return Fraction(0)
        if self.lo is not None and self.hi is not None:
            up = Dyadic(np.maximum(row.whole, 0), row.exponent)
            down = Dyadic(np.minimum(row.whole, 0), row.exponent)
            return (up @ self.hi + down @ self.lo).number()
        if self.center is None:
            return None
        return (row @ self.center).number() + self.radius * _length(row, self.norm)


def _exact(values: Any) -> Dyadic:
    return Dyadic.of(np.array([finite(value) for value in values]))


def _length(row: Dyadic, norm: str) -> Fraction:
    """At least the length of a row in the norm dual to this one."""
    sizes = abs(row)
    if norm == "l1":
        return Dyadic(np.array([max(sizes.whole.tolist())], dtype=object), row.exponent).number()
    if norm == "linf":
        return Dyadic(np.array([sum(sizes.whole.tolist())], dtype=object), row.exponent).number()
    return root_above((row @ row).number())


@dataclass(frozen=True)
class Case:
    """The first and the last piece that are left to every neuron."""

    first: NDArray[Any]
    last: NDArray[Any]

    def half(self, neuron: int, piece: int, low: bool) -> "Case":
        """The pieces up to this one, or those after it."""
        first = self.first.copy()
        last = self.last.copy()
        if low:
            last[neuron] = piece
        else:
            first[neuron] = piece + 1
        return Case(first, last)


@dataclass(frozen=True)
class HalfSpace:
    """row x + offset >= 0, the offset rounded up where it is not known."""

    row: Dyadic
    offset: Fraction


@dataclass(frozen=True)
class Cell:
    """The half-spaces of a case: `cut` the pieces that it was cut to, `case` those left of them."""

    layers: Layers
    bounds: Bounds
    cut: Case
    case: Case

    def half_space(self, side: int) -> HalfSpace:
        """Of neuron side // 2: its lower end for an even number, its upper end for an odd one."""
        neuron, is_upper = divmod(side, 2)
        layer, place = self.layers.place(neuron)
        breaks = self.layers.layers[layer].pieces.breaks
        piece = int(self.cut.last[neuron]) if is_upper else int(self.cut.first[neuron]) - 1
        require(0 <= piece < len(breaks), "a half-space is used that the case does not have")
        sign = -1 if is_upper else 1
        return self._pulled(layer, place, Fraction(breaks[piece]), sign)

    def _pulled(self, layer: int, place: int, at: Fraction, sign: int) -> HalfSpace:
        """sign (v - at) as a function of the input, from the last layer to the first."""
        layers = self.layers.layers
        start = np.full(len(layers[layer]), 0, dtype=object)
        start[place] = sign
        waiting = {layer + 1: Dyadic(start, 0)}
        row = Dyadic.zeros(self.layers.inputs)
        offset = -sign * at
        for number in range(layer + 1, 0, -1):
            force = waiting.pop(number, None)
            if force is None or force.is_zero:
                continue
            here = layers[number - 1]
            if number <= layer:  # a result, not the operand that is asked for
                force, gained = self._through(number - 1, force)
                offset += gained
            offset += (force @ here.offset).number() + (abs(force) @ here.off).number()
            for source, matrix in here.maps.items():
                pulled = force @ matrix
                if source == 0:
                    row = row + pulled
                else:
                    before = waiting.get(source)
                    waiting[source] = pulled if before is None else before + pulled
        return HalfSpace(row, offset)

    def _through(self, layer: int, force: Dyadic) -> tuple[Dyadic, Fraction]:
        """From the results of a layer to its operands, each on its piece."""
        start = self.layers.starts[layer]
        stop = start + len(force.whole)
        first = self.case.first[start:stop]
        used = force.whole != 0
        known = first == self.case.last[start:stop]
        require(bool(known[used].all()), "a half-space depends on a neuron that has pieces left")
        pieces = self.layers.layers[layer].pieces
        taken = np.minimum(first, len(pieces.slopes) - 1)
        slopes = Dyadic.of(np.array(pieces.slopes)[taken])
        offsets = Dyadic.of(np.array(pieces.offsets)[taken])
        return force * slopes, (force @ offsets).number()

    def is_empty(self, sides: list[int], weights: Array) -> bool:
        """Whether these half-spaces show that the case may be left out."""
        require(0 < len(sides) <= MOST_SIDES, "a case is said to be empty for no reason")
        spaces = [self.half_space(side) for side in sides]
        top = self.highest(Dyadic.zeros(self.layers.inputs), spaces, weights)
        return (top is not None and top < 0) or contradict(spaces, weights)

    def highest(self, row: Dyadic, spaces: list[HalfSpace], weights: Array) -> Fraction | None:
        """At least row x for every x of the region in the half-spaces, with weights >= 0."""
        offset = Fraction(0)
        for space, weight in zip(spaces, weights.tolist(), strict=True):
            factor = Dyadic.of(np.array(weight))
            row = row + factor * space.row
            offset += Fraction(weight) * space.offset
        top = self.bounds.highest(row)
        return None if top is None else top + offset


def contradict(spaces: list[HalfSpace], near: Array) -> bool:
    """Whether there are weights y > 0, close to those given, with the sum of y rows 0 and that of y
    offsets below 0; or 0, where a row is not 0."""
    least = min(space.row.exponent for space in spaces)
    table = np.array(
        [space.row.whole << (space.row.exponent - least) for space in spaces], dtype=object
    )
    weights = combination(table, Dyadic.of(near).whole)
    if weights is None or min(weights) <= 0 or (np.array(weights, dtype=object) @ table).any():
        return False
    pairs = zip(weights, spaces, strict=True)
    total = sum((weight * space.offset for weight, space in pairs), Fraction(0))
    is_flat = any(not space.row.is_zero for space in spaces)
    return total < 0 or (is_flat and total == 0)


def combination(rows: Whole, near: Whole) -> list[int] | None:
    """Whole numbers y with the sum of y rows 0, in proportion to those given wherever they can be
    chosen; None where y is 0.

    By elimination without fractions (E. H. Bareiss, Math. Comp. 22, 1968): after k steps all
    entries are minors of order k.
    """
    table = np.array(rows.T, dtype=object)
    count = len(rows)
    pivots = list[int]()
    top, last = 0, 1
    for column in range(count):
        found = next((r for r in range(top, len(table)) if table[r, column]), None)
        if found is None:
            continue
        table[[top, found]] = table[[found, top]]
        pivot = table[top, column]
        others = np.arange(len(table)) != top
        cleared = table[others] * pivot - np.outer(table[others, column], table[top])
        table[others] = cleared // last  # exact: Bareiss
        last = pivot
        pivots.append(column)
        top += 1
    free = [column for column in range(count) if column not in pivots]
    if not free:
        return None
    sign = 1 if last > 0 else -1
    weights = [0] * count
    for column in free:
        weights[column] = sign * int(last) * int(near[column])
    for place, column in enumerate(pivots):
        weights[column] = -sign * int(table[place, free] @ near[free])
    return weights
