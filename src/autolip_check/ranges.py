"""Where operands lie on a box or a ball, derived from the region and the graph alone, and the
slopes that functions have there.

Linear forms of a value are pulled back to the input (Zhang, Weng, Chen, Hsieh and Daniel, NeurIPS
2018): through affine operations by their adjoints, through z = f(v) by two lines

    a v + b <= f(v) <= c v + d    for v in its range,

a form w z being at most (w+ c + w- a) v + w+ d + w- b.  Which lines are taken is a choice; of each
the offset is proved.  At the input the region's own support function says what is left.
"""

import itertools
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from autolip_check.activations import name_of
from autolip_check.admission import quoted
from autolip_check.bends import Bend, bends, widened
from autolip_check.cells import Bounds
from autolip_check.container import Array, Document, require
from autolip_check.effort import Effort
from autolip_check.enclosed import Enclosed, above
from autolip_check.graph import MOVES, Network, Section, Vertex
from autolip_check.linear import ALWAYS, WITH_CONSTANTS
from autolip_check.maps import UNIT, Diagonal, Tensors, gamma
from autolip_check.reach import Place
from autolip_check.rows import Rows, less
from autolip_check.secants import image, nodes, reached, secants, values

CLOSE = 2.0**-30
"""Chosen: how much narrower than what is derived slopes may be, relatively to the steepest, as they
were rounded otherwise.  The wider ones are then taken."""

TILE = 2**22
"""Tuned: numbers of a batch of forms (32 MB)."""

Ends = tuple[Array, Array]
Parts = dict[str, Enclosed]
"""By the name of a value: a row for each form of it."""


@dataclass(frozen=True)
class Known:
    """An operand v, and z = f(v): where v lies, lines around f there, where z lies; and both where
    the input is one of the points of reference."""

    bend: Bend
    constant: Enclosed
    lo: Array
    hi: Array
    below: Array
    above: Array
    lowest: Array
    highest: Array
    result: Enclosed
    there: tuple[Enclosed, ...] = ()
    result_there: tuple[Enclosed, ...] = ()


@dataclass
class Ranges:
    """What is known so far, operation by operation."""

    network: Network
    place: Place
    start: str
    points: tuple[Array, ...]
    """The middle of the region, and what slopes are from, if they are from one point."""
    effort: Effort
    rows: dict[str, list[Document]] = field(default_factory=dict)
    tensors: Tensors = field(default_factory=dict)
    known: dict[str, Known] = field(default_factory=dict)

    @cached_property
    def bends(self) -> dict[str, Bend]:
        return {bend.name: bend for bend in bends(self.network)}

    @cached_property
    def section(self) -> Section:
        return Section(self.network, (self.start, *self.bends))

    @cached_property
    def terms(self) -> float:
        return self.section.terms()

    @cached_property
    def followed(self) -> set[str]:
        """Values that are the file's affine functions of the input and of results that are known by
        name: all operations up to them are named so that they are."""
        found = {self.start}
        for vertex in self.network:
            is_known = _is_affine_by_name(vertex) or vertex.name in self.bends
            sources = [edge.source for edge in vertex.edges]
            if vertex.name in self.bends:
                sources = [self.bends[vertex.name].source]
            if sources and is_known and found.issuperset(sources):
                found.add(vertex.name)
        return found

    def derive(self) -> None:
        """All that can be derived, from the first operation to the last."""
        for bend in self.bends.values():
            if bend.name in self.followed:
                self.known[bend.name] = self._known(bend)

    def _known(self, bend: Bend) -> Known:
        told = self.network.constants[bend.name]
        constant = Enclosed(told.value.reshape(-1), told.error.reshape(-1))
        lo, hi = self._by_intervals(bend, constant)
        breaks = bend.pieces.breaks
        is_open = np.any([(lo < at) & (at < hi) for at in breaks], axis=0)
        for tile in self._tiles(np.flatnonzero(is_open)):
            below, above_it = self._by_forms(bend, constant, tile)
            lo[tile] = np.maximum(lo[tile], below)
            hi[tile] = np.minimum(hi[tile], above_it)
        there = tuple(self._at(bend, constant, k) for k in range(len(self.points)))
        results = tuple(_image(bend, x.lo, x.hi) for x in there)
        self._by_rows(bend, there[0], lo, hi)
        result = _image(bend, lo, hi)
        below, lowest = _line(bend, lo, hi, -1.0)
        above_it, highest = _line(bend, lo, hi, 1.0)
        lines = below, above_it, lowest, highest
        return Known(bend, constant, lo, hi, *lines, result, there, results)

    def _tiles(self, places: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """So many entries at once that a batch of forms of them is not too large."""
        largest = max(self.network.size(name) for name in self.network.vertices)
        step = max(1, TILE // (2 * largest))
        return [places[first : first + step] for first in range(0, len(places), step)]

    def _by_intervals(self, bend: Bend, constant: Enclosed) -> Ends:
        """Forwards, from what every entry of the input and every result lies in."""
        box = Enclosed.between(self.place.lo, self.place.hi)
        results = {name: one.result for name, one in self.known.items()}
        found = self._pushed(bend, results, box)
        return _ends(found + constant)

    def _at(self, bend: Bend, constant: Enclosed, point: int) -> Enclosed:
        """Where the input is a point of reference."""
        results = {name: one.result_there[point] for name, one in self.known.items()}
        start = Enclosed.exact(self.points[point])
        return self._pushed(bend, results, start) + constant

    def _by_rows(self, bend: Bend, there: Enclosed, lo: Array, hi: Array) -> None:
        """Entry by entry, in place: as far from what they are at the middle as forms show."""
        told = self.rows.pop(bend.source, [])
        if not told:
            return
        bent = dict[str, tuple[str, Array, Array]]()
        for name, one in self.known.items():
            low, high = _secants(one, 0)
            bent[name] = one.bend.source, low, high
        rows = Rows(self.network, self.start, self.place, bent)
        for row in told:
            far = rows.reach(row, self.tensors, self.effort)
            entry = row["entry"]
            near = there[entry : entry + 1]
            off = near.error + far
            reached = Enclosed(near.value, off * (1 + 4 * UNIT))
            this = slice(entry, entry + 1)
            lo[this] = np.maximum(lo[this], reached.lo)
            hi[this] = np.minimum(hi[this], reached.hi)

    def _pushed(self, bend: Bend, results: dict[str, Enclosed], start: Enclosed) -> Enclosed:
        """The operand but for its constant."""
        given = {self.start: start, **results}
        needed = self._made_of(bend.source)
        rows = {name: given[name][None] for name in needed}
        if not rows:
            return Enclosed.exact(np.zeros(self.network.size(bend.source)))
        return self._moved(rows, {bend.source}, back=False)[bend.source][0]

    def _made_of(self, name: str) -> set[str]:
        """The input and the results that a value depends on through affine operations."""
        return self.network.sources(name, self.section.free)

    def _moved(self, rows: dict[str, Enclosed], targets: set[str], back: bool) -> Parts:
        """The images of values under the section's maps, with all that rounding does."""
        if targets == rows.keys():
            return rows
        lost = gamma(self.terms) * (1 + 8 * UNIT)
        near, off = dict[str, Array](), dict[str, Array]()
        for name, part in rows.items():
            shape = (len(part.value), *self.network[name].shape)
            near[name] = part.value.reshape(shape)
            rounded = lost * np.abs(part.value)
            off[name] = (rounded + part.error).reshape(shape)
        values = self.section.act(near, back)
        errors = self.section.act(off, back, absolute=True)
        found = dict[str, Enclosed]()
        for name in targets:
            count = len(values[name])
            value = values[name].reshape(count, -1)
            error = errors[name].reshape(count, -1)
            found[name] = Enclosed(value, error * (1 + 4 * gamma(self.terms)))
        return found

    def _by_forms(self, bend: Bend, constant: Enclosed, places: NDArray[np.int64]) -> Ends:
        """Backwards, of some entries."""
        size = len(constant.value)
        units = np.zeros((len(places), size))
        units[np.arange(len(places)), places] = 1.0
        forms = np.concatenate([units, -units])
        tops = self._highest(bend, constant, forms)
        above_it, below = np.split(tops, 2)
        return -below, above_it

    def _highest(self, bend: Bend, constant: Enclosed, forms: Array) -> Array:
        """At least the value of each form of an operand, all over the region."""
        self.effort.spend(3 * len(forms) * self.section.work)
        weights = Enclosed.exact(forms)
        offset = Enclosed.exact(np.zeros(len(forms)))
        pending: dict[str, Enclosed] = {}
        source = bend.source
        for one in [None, *reversed(self.known.values())]:
            if one is not None:
                if one.bend.name not in pending:
                    continue
                weights, gained = _through(one, pending.pop(one.bend.name))
                offset = offset + gained
                constant, source = one.constant, one.bend.source
            offset = offset + weights @ constant
            for name, part in self._pulled(source, weights).items():
                pending[name] = pending[name] + part if name in pending else part
        rows = pending.get(self.start)
        if rows is None:
            rows = Enclosed.exact(np.zeros((len(forms), len(self.place.lo))))
        last = offset[:, None]
        value = np.concatenate([rows.value, last.value], axis=1)
        error = np.concatenate([rows.error, last.error], axis=1)
        _, tops = self.place.values(Enclosed(value, error))
        return np.nan_to_num(tops, nan=np.inf, posinf=np.inf, neginf=np.inf)

    def _pulled(self, source: str, weights: Enclosed) -> Parts:
        """Forms of a value as forms of what it is made of."""
        needed = self._made_of(source)
        return self._moved({source: weights}, needed, back=True) if needed else {}


def _through(one: Known, weights: Enclosed) -> tuple[Enclosed, Enclosed]:
    """Forms of z as forms of v that are nowhere less, and what is added to them."""
    up = np.maximum(weights.value, 0.0)
    down = np.minimum(weights.value, 0.0)
    raised = up * one.above
    sunk = down * one.below
    slanted = raised + sunk  # one of both is 0
    gained = Enclosed.exact(up) @ Enclosed.exact(one.highest)
    lost = Enclosed.exact(down) @ Enclosed.exact(one.lowest)
    added = gained + lost
    count = weights.value.shape[1]
    strayed = weights.error @ one.result.size
    beside = above(strayed, count + 2)
    error = added.error + beside
    units = np.ones(count)
    unit = Enclosed.exact(units)
    turned = Enclosed.exact(slanted) * unit
    return turned, Enclosed(added.value, error * (1 + 4 * UNIT))


@dataclass(frozen=True)
class Derived:
    """The network with slopes that follow from the region, but for those that are further off than
    by rounding; by the name of an operation which of its slopes these are not, and the names of
    the steps of those that have none of these."""

    network: Network
    rest: dict[str, NDArray[np.bool_]]
    steps: set[str]


def derived(
    network: Network,
    centre: list[float] | None,
    effort: Effort,
    rows: dict[str, list[Document]],
    tensors: Tensors,
) -> Derived:
    """What follows where the region is a box or a ball; nothing where no slopes are narrower than
    their name's.

    Rejected where some row does not hold, or is about no operand that is followed.
    """
    found = Derived(network, {}, set())
    entry = network.region.entry
    start = _start(network)
    is_told = entry.get("kind") in ("box", "ball") and start is not None
    require(is_told or not rows, "rows are told where ranges are not followed")
    if not is_told or start is None:
        return found
    place = Place.of(Bounds.of(entry))
    beside = [] if centre is None else [np.array(centre)]
    points = (place.middle, *beside)
    ranges = Ranges(network, place, start, points, effort, dict(rows), tensors)
    if not rows and not any(_is_narrow(bend) for bend in ranges.bends.values()):
        return found
    ranges.derive()
    left = next(iter(ranges.rows), None)
    require(left is None, f"rows are about {quoted(left)}, which is no operand that is followed")
    for one in ranges.known.values():
        network, rest = _taken(network, one)
        found.rest[one.bend.name] = rest
        if not rest.any() and one.bend.bent != one.bend.name:
            found.steps.update(_steps(network, one.bend))
    return replace(found, network=network)


def _start(network: Network) -> str | None:
    """The input of the model: that of the graph, or what it is out of its units, but for entries
    that do not move; None where that is not told."""
    readers = [v for v in network if any(e.source == network.input for e in v.edges)]
    if len(readers) == 1 and leaves_out_the_settled(readers[0], network):
        return readers[0].name
    return network.input if bool((network.units == 1).all()) else None


def leaves_out_the_settled(vertex: Vertex, network: Network) -> bool:
    """Whether it is the input, out of its units, but for entries that are the same all over the
    region, for which it has 0: its differences are the input's."""
    size = network.size(network.input)
    settled = np.array(network.region.settled or (False,) * size, dtype=bool)
    edge = vertex.edges[0] if len(vertex.edges) == 1 else None
    if edge is None or edge.source != network.input:
        return False
    slope = edge.slope
    if not isinstance(slope, Diagonal) or slope.error or name_of(vertex.origin.operation) != MOVES:
        return False
    kept = np.broadcast_to(slope.entries, vertex.shape).reshape(-1)
    return bool(((kept == network.units) | ((kept == 0) & settled)).all())


def _is_narrow(bend: Bend) -> bool:
    """Whether some slope is narrower than those of all pieces together."""
    least, most = min(bend.pieces.slopes), max(bend.pieces.slopes)
    return len(bend.places) < len(bend.scale) or bool(((bend.lo > least) | (bend.hi < most)).any())


def _secants(one: Known, point: int) -> Ends:
    """Slopes between a point of reference and any other."""
    there = one.there[point]
    return secants(one.bend.pieces, one.lo, one.hi, (there.lo, there.hi))


def _steps(network: Network, bend: Bend) -> list[str]:
    return [bend.bent, network[bend.bent].edges[0].source] if bend.bent else []


def _taken(network: Network, one: Known) -> tuple[Network, NDArray[np.bool_]]:
    """The slopes that follow in place of those that are narrower by rounding only; and which are
    narrower by more."""
    bend = one.bend
    is_from_one = len(one.there) > 1
    low, high = _secants(one, 1) if is_from_one else reached(bend.pieces, one.lo, one.hi)
    error = max(bend.error - 4 * UNIT, 0.0)
    room = error * np.abs(bend.scale)
    is_below = bend.scale - room <= low
    is_above = high <= bend.scale + room
    rest = ~(is_below & is_above)
    if not bend.bent:
        return network, rest
    known = bend.scale[bend.places]
    below = less(low[bend.places], known)
    above_it = -less(-high[bend.places], -known)
    lo = np.minimum(bend.lo, below)
    hi = np.maximum(bend.hi, above_it)
    slopes = bend.pieces.slopes
    limit = CLOSE * max(map(abs, slopes))
    is_below = bend.lo - lo <= limit
    close = is_below & (hi - bend.hi <= limit)
    rest[bend.places] = ~close
    lo = np.where(close, lo, bend.lo)
    hi = np.where(close, hi, bend.hi)
    return widened(network, bend, lo, hi), rest


def _image(bend: Bend, lo: Array, hi: Array) -> Enclosed:
    """All values on every interval."""
    least, most = image(bend.pieces, lo, hi)
    return Enclosed.between(least, most)


def _line(bend: Bend, lo: Array, hi: Array, sign: float) -> Ends:
    """Slope and offset of a line above f on [lo, hi], or below it for a negative sign: that which
    touches the hull of the graph over the middle, by chords between ends and breaks."""
    at = nodes(bend.pieces, lo, hi)
    height = values(bend.pieces, at)
    half = lo / 2
    middle = half + hi / 2
    best = np.full(len(lo), -np.inf)
    slope = np.zeros(len(lo))
    for i, j in itertools.combinations(range(len(at)), 2):
        rise = height.value[j] - height.value[i]
        chord = rise / (at[j] - at[i])
        ahead = chord * (middle - at[i])
        there = sign * (height.value[i] + ahead)
        begun = at[i] < middle
        spans = begun & (middle < at[j])
        better = spans & np.isfinite(chord) & (there > best)
        best = np.where(better, there, best)
        slope = np.where(better, chord, slope)
    tilted = Enclosed.exact(np.stack([slope] * len(at)))
    rest = height + -(tilted * Enclosed.exact(at))
    return slope, rest.hi.max(0) if sign > 0 else rest.lo.min(0)


def _ends(x: Enclosed) -> Ends:
    """From what to what; values that overflowed may be any."""
    lo = np.nan_to_num(x.lo, nan=-np.inf, posinf=-np.inf, neginf=-np.inf)
    hi = np.nan_to_num(x.hi, nan=np.inf, posinf=np.inf, neginf=np.inf)
    return lo, hi


def _is_affine_by_name(vertex: Vertex) -> bool:
    name = name_of(vertex.origin.operation)
    return vertex.is_affine and (vertex.origin.is_step or name in ALWAYS or name in WITH_CONSTANTS)
