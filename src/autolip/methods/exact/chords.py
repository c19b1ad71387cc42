"""Chords from one point to a linear cell: the largest |f(x) - f(c)| / |x - c|, proved.

On a cell R x + b >= 0 let f(x) be J x + e, and for one output, or one sum of outputs with signs,

    f(x) - f(c)  =  a h + d,    h = x - c,    R h + o >= 0,    o = R c + b

(d is what the cell's affine function is at c, less f(c)).  With weights y >= 0

    a h + d  <=  (a + y R) h + (d + y o)  <=  (|a + y R|_p' + (d + y o) / r) |h|_p

wherever d + y o <= 0 and |h| <= r.  By duality of linear and of conic programs the least of these
is the largest quotient, on a cell with interior: with t = 1 / |h| it maximises a h + d t over
R h + o t >= 0, |h| <= 1, t >= 1 / r (Charnes and Cooper, Naval Research Logistics 9, 1962).
Weights come from programs in floating point; what they show is computed with its rounding.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int64
from numpy.typing import NDArray
from scipy.optimize import linprog, minimize_scalar, nnls
from torch import Tensor

from autolip.budget import charge
from autolip.methods.exact.proved import jacobians
from autolip.norms import Norm
from autolip.operators.operator import DTYPE
from autolip.piecewise import signs
from autolip.piecewise.cells import HalfSpaces
from autolip.piecewise.network import Network
from autolip.regions import Ball
from autolip.rounded import Rounded, total
from autolip.roundoff import lowered, raised

Array = NDArray[np.float64]

HEAVY = 1e4
"""Chosen: the weight of what has to be met with equality among least squares."""

A_FORM = 1e-2
"""Measured, about: seconds of reference for the weights of one form."""

NUDGE = 1e-12
"""Chosen: part of all that is added by which d + y o is brought below 0, more than rounding."""

FAR = 1e9
"""Chosen: how far away a point is looked for where the quotient grows with the distance."""


@dataclass(frozen=True)
class Cone:
    """R h + o t >= 0, the rows as numbers, and 1 / r."""

    rows: Array
    ends: Array
    least: float


@dataclass
class Chords:
    """Of a network, from one point, in the norms p and q."""

    network: Network
    centre: Float[Tensor, " n0"]
    p: Norm
    q: Norm
    met: list[Tensor] = field(default_factory=list)
    """Points at which quotients should be nearly as large as was proved."""

    @cached_property
    def values(self) -> tuple[list[Rounded], Int64[Tensor, " n"], Int64[Tensor, " n"]]:
        """The operands of all layers at the centre, and the pieces that may hold them: the whole of
        a result is within those of its piece."""
        network = self.network
        pieces = network.pieces
        values, operands = [Rounded.exact(self.centre.unsqueeze(1))], list[Rounded]()
        low, high = list[Tensor](), list[Tensor]()
        for layer, place in zip(network.layers, network.places, strict=True):
            offset = layer.offset[:, None]
            v = _combined(layer.maps, values, offset)
            known = v.error == 0
            ends = v.interval()
            below, above = (v.value.where(known, end) for end in (ends.lo, ends.hi))
            breaks = pieces.breaks[place]
            low.append((breaks < below).sum(1))
            high.append((breaks < above).sum(1))
            operands.append(v)
            values.append(_image(network, place, v, low[-1], high[-1]))
        return operands, torch.cat(low), torch.cat(high)

    def hull(
        self, first: Int64[Tensor, "k n"], last: Int64[Tensor, "k n"]
    ) -> tuple[Int64[Tensor, "k n"], Int64[Tensor, "k n"]]:
        """The pieces between those of a case and those of the centre: chords have slopes among
        theirs."""
        _, low, high = self.values
        return torch.minimum(first, low), torch.maximum(last, high)

    @cached_property
    def reach(self) -> float:
        """At least |x - c| for every x of the region."""
        network = self.network
        region = network.region
        shape = network.input_shape
        lo, hi = self._sides
        far = Rounded.exact(torch.maximum(lo, hi)).lengths(-1, self.p).item()
        if not isinstance(region, Ball):
            return far
        away = (region.origin(shape).reshape(-1) - self.centre)[self.network.moving]
        radius = region.norm.equivalence(self.p, len(away)).value * region.radius
        off = Rounded.nearest(away).lengths(-1, self.p).item()
        around = raised(radius + off, 2)
        return min(far, around)

    @cached_property
    def _sides(self) -> tuple[Tensor, Tensor]:
        """At least c - lo and hi - c of the region's box, of entries that move."""
        network = self.network
        region = network.region
        box = region.interval(network.input_shape)
        up = torch.tensor(math.inf, dtype=DTYPE)
        lo = box.lo.reshape(-1)
        hi = box.hi.reshape(-1)
        ends = [(self.centre - lo).nextafter(up), (hi - self.centre).nextafter(up)]
        return ends[0][self.network.moving], ends[1][self.network.moving]

    def bound(self, cell: HalfSpaces, pattern: Int64[Tensor, " n"], goal: float) -> float:
        """At least the quotient in the cell on which all neurons lie on these pieces; not looked
        for below the goal."""
        every = torch.arange(self.network.neurons)
        pieces = self.network.pieces
        chosen = pieces.slopes[every, pattern]
        slopes = chosen.unsqueeze(0)
        radius = torch.zeros_like(slopes)
        maps = jacobians(self.network, slopes, radius)[0]
        off = self._offset(pattern)
        rows, ends = self._half_spaces(cell)
        worst = 0.0
        for corner in self._corners():
            row = Rounded.exact(corner.unsqueeze(0))
            form = row @ maps
            apart = row @ off
            start = apart[0, 0]
            worst = max(worst, self._of_form(form, start, rows, ends, max(goal, worst)))
        return worst

    def _corners(self) -> Float[Tensor, "k m"]:
        """The combinations of outputs whose largest value is the length of an output."""
        count = len(self.network.output)
        if self.q is Norm.L1:
            half = torch.cat(list(signs.combinations(count, count)))
        else:
            half = torch.eye(count, dtype=DTYPE)
        return torch.cat([half, -half])

    def _offset(self, pattern: Int64[Tensor, " n"]) -> Rounded:
        """(m, 1): the affine function of the cell at the centre, less the value there; what does
        not differ is exactly 0."""
        network = self.network
        pieces = network.pieces
        operands, low, high = self.values
        size = network.inputs
        differences = [Rounded.exact(torch.zeros(size, 1, dtype=DTYPE))]
        for k, (layer, place) in enumerate(zip(network.layers, network.places, strict=True)):
            moved = _combined(layer.maps, differences)
            every = torch.arange(place.start, place.stop)
            piece = pattern[place]
            slope = Rounded.exact(pieces.slopes[every, piece].unsqueeze(1))
            own = slope * operands[k] + pieces.offsets[every, piece][:, None]
            there = _image(network, place, operands[k], low[place], high[place])
            apart = own - there
            is_low = low[place] == piece
            is_high = high[place] == piece
            both = is_low & is_high
            touches = self._touches(place, piece, operands[k])
            same = both.unsqueeze(1) | touches
            apart = Rounded(apart.value.where(~same, 0.0), apart.error.where(~same, 0.0))
            differences.append(slope * moved + apart)
        return _combined(network.output.maps, differences)

    def _touches(self, place: slice, piece: Tensor, v: Rounded) -> Tensor:
        """Where an operand is known, and lies at an end of the piece: both functions agree."""
        breaks = self.network.pieces.breaks[place]
        if not breaks.shape[1]:
            return torch.zeros_like(v.value, dtype=torch.bool)
        ends = [
            breaks.gather(1, (piece + shift).clamp(0, breaks.shape[1] - 1).unsqueeze(1))
            for shift in (-1, 0)
        ]
        inside = ((piece > 0).unsqueeze(1), (piece < breaks.shape[1]).unsqueeze(1))
        at = [(end == v.value) & there for end, there in zip(ends, inside, strict=True)]
        return (at[0] | at[1]) & (v.error == 0)

    def _half_spaces(self, cell: HalfSpaces) -> tuple[Rounded, Rounded]:
        """R and o of a cell, and of the region's box."""
        moving = self.network.moving
        rows = cell.rows[:, moving]
        column = cell.offsets.unsqueeze(1)
        offsets = Rounded.exact(column)
        ends = _combined({0: cell.rows}, [Rounded.exact(self.centre.unsqueeze(1))], offsets)
        values = [rows.value]
        errors = [rows.error]
        tops = [ends]
        eye = torch.eye(int(moving.sum()), dtype=DTYPE)
        for sign, side in zip((1.0, -1.0), self._sides, strict=True):
            known = side.isfinite()
            values.append(sign * eye[known])
            errors.append(torch.zeros_like(eye[known]))
            tops.append(Rounded.exact(side[known].unsqueeze(1)))
        whole = Rounded(torch.cat(values), torch.cat(errors))
        return whole, Rounded(
            torch.cat([x.value for x in tops]), torch.cat([x.error for x in tops])
        )

    def _of_form(
        self, form: Rounded, start: Rounded, rows: Rounded, ends: Rounded, goal: float
    ) -> float:
        """The bound for one form, the better of no weights and of those that a program finds."""
        none = torch.zeros(len(rows.value), dtype=DTYPE)
        plain = self._shown(form, start, rows, ends, none)
        if plain <= goal:
            return plain
        charge(0.0, A_FORM)
        lengths = rows.value.norm(dim=1)
        used = lengths > 0
        if not bool(used.any()):
            return plain
        scale = lengths[used]
        cone = Cone(
            (rows.value[used] / scale.unsqueeze(1)).numpy(),
            (ends.value[used, 0] / scale).numpy(),
            1 / self.reach,
        )
        a = form.value[0].numpy()
        d = float(start.value)
        found = _round(a, d, cone) if self.p is Norm.L2 else _straight(a, d, cone, self.p)
        if found is None:
            return plain
        h, t, weights = found
        self._meet(torch.from_numpy(h), t)
        y = none.clone()
        given = torch.from_numpy(weights)
        y[used] = given.clamp_min(0.0) / scale
        return min(plain, self._shown(form, start, rows, ends, self._lowered(start, ends, y)))

    def _lowered(self, start: Rounded, ends: Rounded, y: Tensor) -> Tensor:
        """The weights, where d + y o is above 0 but for rounding less of those that raise it, or
        more of one that lowers it."""
        if self._sum(start, ends, y) <= 0:
            return y
        tops = ends.value + ends.error
        away = tops[:, 0]
        sizes = y * away.abs()
        added = sizes.sum() + start.size
        room = NUDGE * float(added)
        falling = y.where(away <= 0, 0.0)
        least = self._sum(start, ends, falling)
        rising = y * away.clamp_min(0.0)
        above = float(rising.sum())
        if least <= 0:
            share = max(0.0, (-least - room) / above) if above > 0 else 0.0
            return torch.where(away > 0, y * min(share, 1.0), y)
        if bool((away < 0).any()):
            place = int(away.argmin())
            falling[place] += (least + room) / -float(away[place])
        return falling

    def _sum(self, start: Rounded, ends: Rounded, y: Tensor) -> float:
        """At least d + y o; d itself where nothing is added."""
        size = ends.size[:, 0]
        is_added = y > 0
        counts = is_added & (size > 0)
        whole = start
        if bool(counts.any()):
            whole = (Rounded.exact(y[counts].unsqueeze(0)) @ ends[counts])[0, 0] + start
        return float(whole.value) if whole.is_exact else float(whole.interval().hi)

    def _shown(
        self, form: Rounded, start: Rounded, rows: Rounded, ends: Rounded, y: Tensor
    ) -> float:
        """What weights >= 0 show; infinite where they show nothing."""
        top = self._sum(start, ends, y)
        if not top <= 0:
            return math.inf
        row = Rounded.exact(y.unsqueeze(0))
        whole = row @ rows + form
        dual = self.p.dual
        lengths = whole.lengths(-1, dual)
        length = lengths[0].item()
        quotient = top / self.reach
        gained = lowered(quotient, 1)
        return max(0.0, math.nextafter(length + gained, math.inf))

    def _meet(self, h: Tensor, t: float) -> None:
        """The point c + h / t, or one far away."""
        size = float(h.abs().amax()) or 1.0
        x = self.centre.clone()
        x[self.network.moving] += h / max(t, size / FAR)
        self.met.append(x)


def _image(network: Network, place: slice, v: Rounded, low: Tensor, high: Tensor) -> Rounded:
    """The results where operands v lie on pieces from low to high: one of what these give."""
    pieces = network.pieces
    every = torch.arange(place.start, place.stop)
    ends = list[Rounded]()
    for number in range(int(low.min()), int(high.max()) + 1):
        piece = torch.minimum(torch.full_like(low, number).maximum(low), high)
        slope = Rounded.exact(pieces.slopes[every, piece].unsqueeze(1))
        ends.append(slope * v + pieces.offsets[every, piece][:, None])
    if len(ends) == 1:
        return ends[0]
    lo, hi = (torch.stack([getattr(x.interval(), end) for x in ends]) for end in ("lo", "hi"))
    least = lo.amin(0)
    most = hi.amax(0)
    middle = (least + most) / 2
    above = most - middle
    below = middle - least
    far = torch.maximum(above, below)
    error = raised(far, 1)
    one = (low == high).unsqueeze(1)
    value = torch.where(one, ends[0].value, middle)
    return Rounded(value, torch.where(one, ends[0].error, error))


def _combined(
    maps: Mapping[int, Rounded], parts: list[Rounded], offset: Rounded | None = None
) -> Rounded:
    """sum_j A_j x_j + b: without an error where x_j, or b, is exactly 0."""
    pairs = [(matrix, parts[j]) for j, matrix in maps.items()]
    terms = [matrix @ x for matrix, x in pairs if not x.is_exact or bool(x.value.any())]
    if offset is not None and (not terms or not offset.is_exact or bool(offset.value.any())):
        terms.append(offset)
    size = len(next(iter(maps.values())).value)
    return total(terms) if terms else Rounded.exact(torch.zeros(size, 1, dtype=DTYPE))


Solved = tuple[Array, float, Array]
"""h, t and weights."""


def _straight(a: Array, d: float, cone: Cone, p: Norm) -> Solved | None:
    """Where |h| is told by linear inequalities."""
    count, n = cone.rows.shape
    last = -cone.ends[:, None]
    time = (cone.least, np.inf)
    if p is Norm.LINF:
        cost = np.append(-a, -d)
        rows = np.hstack([-cone.rows, last])
        ends = np.zeros(count)
        bounds = [(-1.0, 1.0)] * n + [time]
    else:
        cost = np.concatenate([-a, a, [-d]])
        held = np.hstack([-cone.rows, cone.rows, last])
        length = np.append(np.ones(2 * n), 0.0)
        rows = np.vstack([held, length])
        ends = np.append(np.zeros(count), 1.0)
        bounds = [(0.0, np.inf)] * (2 * n) + [time]
    found = linprog(cost, rows, ends, bounds=bounds)
    if found.status != 0:
        return None
    h = found.x[:n]
    if p is not Norm.LINF:
        h = h - found.x[n : 2 * n]
    weights = -found.ineqlin.marginals[:count]
    return h, float(found.x[-1]), weights


def _round(a: Array, d: float, cone: Cone) -> Solved | None:
    """In l2: the least |a + y R| - s / r with d + y o + s = 0 and s >= 0; convex in s."""
    try:
        if not cone.least:
            weights = _slack_free(a, d, cone)
        else:
            most = float(np.linalg.norm(a)) / cone.least + abs(d)

            def value(s: float) -> float:
                return _length(a, d + s, cone) - s * cone.least

            best = minimize_scalar(value, bounds=(0, most), options={"xatol": 1e-13 * most})
            slack = min((0.0, float(best.x)), key=value)
            weights = _held(a, d + slack, cone)
    except RuntimeError:  # no end of its steps
        return None
    along = a + weights @ cone.rows
    h = along / (float(np.linalg.norm(along)) or 1.0)
    held = (weights > 0) & (cone.ends != 0)
    times = -(cone.rows[held] @ h) / cone.ends[held]
    t = float(np.median(times)) if held.any() else cone.least
    return h, max(t, cone.least), weights


def _length(a: Array, d: float, cone: Cone) -> float:
    """The least |a + y R| with d + y o = 0; much more where there is no such y."""
    weights = _held(a, d, cone)
    off = abs(d + float(weights @ cone.ends))
    return float(np.linalg.norm(a + weights @ cone.rows)) + HEAVY * off


def _held(a: Array, d: float, cone: Cone) -> Array:
    """The weights for which it is least, by least squares with weights >= 0 (Lawson and Hanson
    1974, chapter 23), what has to be 0 being heavy."""
    heavy = HEAVY / max(1.0, float(np.abs(cone.ends).max()))
    system = np.vstack([cone.rows.T, heavy * cone.ends])
    goal = np.append(-a, -heavy * d)
    weights, _ = nnls(system, goal, maxiter=30 * system.shape[1])
    return _polished(system, goal, weights)


def _slack_free(a: Array, d: float, cone: Cone) -> Array:
    """The same with d + y o <= 0: one weight more, which moves nothing."""
    rows = np.vstack([cone.rows, np.zeros(len(a))])
    return _held(a, d, Cone(rows, np.append(cone.ends, 1.0), cone.least))[:-1]


def _polished(system: Array, goal: Array, weights: Array) -> Array:
    """The same with those that count found by a factorisation, the last row with equality."""
    used = weights > 0
    count = int(used.sum())
    if not count:
        return weights
    counting = system[:, used]
    part = counting[:-1]
    last = counting[-1]
    kkt = np.zeros((count + 1, count + 1))
    kkt[:count, :count] = part.T @ part
    kkt[:count, -1] = kkt[-1, :count] = last
    right = np.append(part.T @ goal[:-1], goal[-1])
    solved = np.linalg.lstsq(kkt, right, rcond=None)[0][:count]
    if not np.isfinite(solved).all() or (solved < 0).any():
        return weights
    found = weights.copy()
    found[used] = solved
    return found
