"""Rows: how far one entry of an operand goes from what it is at the middle o of the region, by a
quadratic form on the slopes between o and any other point.

H >= 0 (see forms) with y that entry shows y^2 <= sum mu_i (x - o)_i^2, which is largest at a corner
of a box, or anywhere on the edge of a ball.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autolip_check.admission import LEAST, fields_of, list_of, positive, quoted, text_of
from autolip_check.container import Array, Document, require
from autolip_check.effort import Effort
from autolip_check.enclosed import Enclosed, above
from autolip_check.forms import Form, prove, work_of
from autolip_check.graph import Edge, Network, Slopes, Vertex
from autolip_check.maps import UNIT, Diagonal, Map, Tensors, Wiring, tensor
from autolip_check.reach import Place

NARROW = 2.0**-10
"""Chosen: relative width of slopes below which their middle is taken out of them."""

TOUCHED = 2.0**-600
"""Proved: less than any entry of a map, which are 2^-250 at least, and more than the 2^-900 that
a map adds with `absolute`."""

MOVES, ENTRY = "|x", "|y"
"""Defined here: the names of the input, and of the entry that is read."""

Bent = dict[str, tuple[str, Array, Array]]
"""By the name of a function, what it reads, and its slopes between o and any other point."""


FIELDS = {"step", "at", "entry", "multipliers", "inputs"}
"""Defined by the format: those of a row."""


def rows_of(steps: Any) -> tuple[dict[str, list[Document]], list[Any]]:
    """The rows of a proof, by the names of their values, and its other steps."""
    found: dict[str, list[Document]] = {}
    others = list[Any]()
    for step in list_of(steps, "the proof"):
        if not isinstance(step, dict) or step.get("step") != "row":
            others.append(step)
            continue
        row = fields_of(step, FIELDS, "a row")
        name = text_of(row["at"], "the value of a row")
        found.setdefault(name, []).append(row)
    return found, others


@dataclass(frozen=True)
class Rows:
    """The network up to a value, on differences from o: functions with their slopes."""

    network: Network
    start: str
    place: Place
    bent: Bent

    def reach(self, row: Document, tensors: Tensors, effort: Effort) -> float:
        """How far the entry goes at most; Rejected where the form does not show it."""
        turned = self._turned(self._reading(row))
        multipliers = _multipliers(row, turned, tensors)
        reached = turned.sources(ENTRY, (MOVES, *multipliers))
        require(reached <= {MOVES, *multipliers}, "a row depends on what is not followed")
        told = tensor(row["inputs"], tensors)
        mu = np.broadcast_to(told, turned[MOVES].shape)
        positive(mu, "a weight of the input")
        one = np.array(1.0)
        form = Form(turned, MOVES, ENTRY, mu, one, multipliers)
        effort.spend(work_of(form))
        prove(form)
        return self._farthest(mu.reshape(-1))

    def _reading(self, row: Document) -> Vertex:
        """The entry alone."""
        name = row["at"]
        entry = row["entry"]
        size = self.network.size(name)
        is_entry = type(entry) is int and 0 <= entry < size
        require(is_entry, f"a row is about an entry that {quoted(name)} does not have")
        first = np.zeros(1, dtype=np.int64)
        chosen = np.array([entry])
        shape = self.network[name].shape
        reading = Wiring(first, chosen, shape, (1,))
        return Vertex(ENTRY, (1,), (Edge(name, reading),))

    def _farthest(self, mu: Array) -> float:
        """The root of the largest sum mu_i (x - o)_i^2, or more."""
        far = self.place.far
        parts = mu * far**2
        is_round = self.place.norm in ("l1", "l2")
        square = parts.max(initial=0.0) if is_round else parts.sum()
        most = above(np.array(square), len(mu) + 4)
        return float(np.sqrt(most) * (1 + 4 * UNIT))

    def _turned(self, reading: Vertex) -> Network:
        """From the entries that move to the entry that is read; functions as known slopes times
        their operand and the rest, which is nothing where the entry does not depend on it."""
        heard = self._heard(reading)
        shape = self.network[self.start].shape
        moves = self.place.far > 0
        mask = moves.astype(np.float64)
        moving = Diagonal(mask.reshape(shape), shape, 0.0)
        start = Vertex(self.start, shape, (Edge(MOVES, moving),))
        vertices = {MOVES: Vertex(MOVES, shape, ())}
        vertices[self.start] = start
        for vertex in self.network:
            if vertex.name in self.bent:
                for part in self._apart(vertex, heard[vertex.name]):
                    vertices[part.name] = part
            elif vertex.is_affine and vertex.name != self.start:
                vertices[vertex.name] = vertex
        vertices[ENTRY] = reading
        return replace(self.network, input=MOVES, output=ENTRY, vertices=vertices)

    def _apart(self, vertex: Vertex, heard: NDArray[np.bool_]) -> Iterable[Vertex]:
        source, lo, hi = self.bent[vertex.name]
        shape = vertex.shape
        steepest = np.maximum(np.abs(lo), np.abs(hi))
        narrow = hi - lo <= NARROW * steepest
        centre = Enclosed.between(lo, hi).value
        near = np.where(narrow, centre, 0.0)
        middle = np.where(lo == hi, lo, near)
        bends = heard & (lo < hi)
        below = less(lo, middle)
        above_it = -less(-hi, -middle)
        low = np.where(bends, below, 0.0)
        high = np.where(bends, above_it, 0.0)
        known = Diagonal(middle.reshape(shape), shape, 0.0)
        straight = Edge(source, known)
        if not bends.any():
            return [replace(vertex, edges=(straight,))]
        slopes = Slopes(low.reshape(shape), high.reshape(shape))
        bent = Edge(source, slopes)
        rest = Vertex(f"{vertex.name}|", shape, (bent,))
        mask = bends.astype(np.float64)
        kept = Diagonal(mask.reshape(shape), shape, 0.0)
        back = Edge(rest.name, kept)
        return [rest, replace(vertex, edges=(straight, back))]

    def _heard(self, reading: Vertex) -> dict[str, NDArray[np.bool_]]:
        """On which results the entry depends, by the entries of all maps."""
        marks: dict[str, Array] = {reading.name: np.ones((1, 1))}
        for vertex in (reading, *reversed(list(self.network))):
            mark = marks.get(vertex.name)
            if mark is None or vertex.name == self.start:
                continue
            if vertex.name in self.bent:
                source = self.bent[vertex.name][0]
                before = marks.get(source, 0.0)
                marks[source] = np.maximum(before, mark)
                continue
            for edge in vertex.edges if vertex.is_affine else ():
                assert isinstance(edge.slope, Map)
                image = edge.slope.act(mark, back=True, absolute=True)
                before = marks.get(edge.source, 0.0)
                marks[edge.source] = np.maximum(before, image > TOUCHED)
        size = self.network.size
        return {name: marks.get(name, np.zeros(size(name))).reshape(-1) > 0 for name in self.bent}


def _multipliers(row: Document, turned: Network, tensors: Tensors) -> dict[str, Array]:
    """One number > 0 for every entry of what bends."""
    told = row["multipliers"]
    require(isinstance(told, dict), "multipliers are given by name")
    found = dict[str, Array]()
    for vertex in turned:
        if vertex.is_affine or not vertex.edges:
            continue
        name = vertex.name.removesuffix("|")
        require(name in told, f"{quoted(name)} carries no multiplier in a row")
        numbers = tensor(told[name], tensors)
        positive(numbers, "a multiplier")
        found[vertex.name] = np.broadcast_to(numbers, vertex.shape)
    return found


def less(end: Array, known: Array) -> Array:
    """At most end - known, and 0 or of a size that is admitted."""
    rest = end - known
    rest = np.where(known == 0, rest, np.nextafter(rest, -np.inf))
    small = (np.abs(rest) < LEAST) & (rest != 0)
    return np.where(small, np.where(rest < 0, -LEAST, 0.0), rest)
