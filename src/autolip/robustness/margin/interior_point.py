"""Multipliers of a form, by an interior point method: nothing here is proved, `Form.proves` is.

With M(g, multipliers) the matrix of the form, Newton's method maximises

    t g + log det M + sum log b + sum log c + log m

for rising t (Yu. Nesterov and A. Nemirovskii, 1994); at the maximum g is about N / t below the
best, N counting M's rows and the logarithms.  For given multipliers the best g is that of a Schur
complement, less 1 / t, so that along a direction g is followed exactly.  A multiplier of p q moves
M by -(p q^T + q p^T) / 2; with X = M^-1

    d log det M = -p^T X q,
    d d' log det M = -((p^T X p') (q^T X q') + (p^T X q') (q^T X p')) / 2.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import torch
from jaxtyping import Float, Int
from torch import Tensor

from autolip.budget import charge
from autolip.robustness.margin.form import OFF, ON, OPEN, Form, Multipliers

STEPS = 80
"""Chosen: Newton steps at most."""

RISE = 8.0
"""Tuned on zoo/robustness/mnist_mlp: the factor from one t to the next."""

START = 0.2
"""Tuned there: the first multipliers, in parts of the margin's size."""

CENTRED = 1.0
"""Chosen: Newton decrement below which t rises."""

FINE = 1e-5
"""Chosen: part of the margin's size below which a gap ends the search."""

BACK, ONWARD, INSIDE = 0.6, 1.7, 0.98
"""Chosen: factors of a step that is too long, or short, and how far it may go to the boundary."""

AHEAD, TRIED = 0.98, 6
"""Chosen: part of the way to where a line leads that is gone at first, and how many are tried."""

SHIFTS = (1e-13, 1e-11, 1e-9, 1e-7)
"""Chosen: what is added to Newton's scaled matrix, for its rounding: the first that leaves it
definite."""


@dataclass(frozen=True)
class Place:
    """Multipliers, and what is known there."""

    point: Float[Tensor, " q"]
    """In units of `Form.units`, then m."""
    bound: float
    """g, not proved."""
    gap: float = math.inf
    """About how far the best is above it."""
    mean: Float[Tensor, " n"] | None = None
    """The y of the relaxation, y_0 = 1."""


Part = tuple[Tensor, Tensor | float, Tensor, Tensor | float]
"""Places and factors of `Pairs`; a number holds for all."""


@dataclass(frozen=True)
class Pairs:
    """Linear functions first f_i + second f_j of a list f: (1, open z, all v)."""

    i: Int[Tensor, " q"]
    first: Float[Tensor, " q"]
    j: Int[Tensor, " q"]
    second: Float[Tensor, " q"]

    @classmethod
    def joined(cls, parts: Sequence[Part]) -> Self:
        """Several such; numbers hold for all."""
        columns = list[Tensor]()
        for column in zip(*parts, strict=True):
            sizes = [len(part[0]) for part in parts]
            whole = [
                x.expand(size) if isinstance(x, Tensor) else torch.full((size,), x).double()
                for x, size in zip(column, sizes, strict=True)
            ]
            columns.append(torch.cat(whole))
        return cls(*columns)

    def of(self, rows: Float[Tensor, "f c"]) -> Float[Tensor, "q c"]:
        """Of rows that belong to f."""
        found = rows[self.i] * self.first.unsqueeze(1)
        return found.addcmul_(rows[self.j], self.second.unsqueeze(1))


class Ascent:
    """The search on one form, f being (1, open z, all v) and v = V y."""

    def __init__(self, form: Form) -> None:
        self.form = form
        self.v = form.rows.value[:-1]
        self.row = form.rows.value[-1]
        self.signed = len(form.open)
        self.z = 1 + form.free + torch.arange(self.signed)
        self.base = torch.zeros(form.size, form.size, dtype=torch.float64)
        self.base[0] += self.row / 2
        self.base[:, 0] += self.row / 2
        self.count = len(form.units)
        self.logarithms = form.size + self.count - self.signed + 1
        self.p, self.q = self._pairs()

    def _pairs(self) -> tuple[Pairs, Pairs]:
        """p and q of every constraint, as `Form.constraints` has them."""
        form, none = self.form, torch.zeros(1, dtype=torch.long)
        open_, off, on = form.open, form.signs != ON, form.signs != OFF
        v = 1 + self.signed + torch.arange(len(form.signs))
        z = torch.where(form.signs == ON, v, none)
        z[open_] = 1 + torch.arange(self.signed)
        present = (form.signs != OFF).double()
        p: list[Part] = [
            (z[open_], 1.0, none, 0.0),
            (v[off], 1.0, none, -form.lo[off]),
            (z[on], 1.0, none, 0.0),
        ]
        q: list[Part] = [
            (v[open_], 1.0, z[open_], -1.0),
            (z[off], present[off], v[off], -1.0),
            (none.expand(int(on.sum())), form.hi[on], z[on], -1.0),
        ]
        first, second = Pairs.joined(p), Pairs.joined(q)
        units = form.units
        return replace(first, first=first.first * units, second=first.second * units), second

    @cached_property
    def scale(self) -> float:
        """The most that the margin's row makes of a y."""
        form, sizes = self.form, torch.ones_like(self.row)
        sizes[1 : 1 + form.free] = form.reach / math.sqrt(form.free)
        sizes[1 + form.free :] = form.hi[form.open]
        return float((self.row.abs() * sizes).sum()) or 1.0

    def multipliers(self, place: Place) -> Multipliers:
        """Those of a place."""
        return Multipliers(place.point[:-1] * self.form.units, float(place.point[-1]))

    def bound(self, multipliers: Multipliers) -> float:
        """The best g of these multipliers, not proved; -inf where they prove none."""
        ball = torch.tensor([multipliers.ball], dtype=torch.float64)
        point = torch.cat([multipliers.hinges / self.form.units, ball])
        return self._followed(self.base + self.moved(point), point[self.signed :])[0]

    def places(self) -> Iterator[Place]:
        """Better and better ones, until steps or digits end."""
        form, start = self.form, START * self.scale
        lo, hi = form.lo[form.open], form.hi[form.open]
        others = torch.ones(self.count - self.signed + 1, dtype=torch.float64)
        point = torch.cat([-hi / lo, others]) * start
        point[-1] = start / form.reach**2
        t, before = 1 / start, (torch.zeros_like(point), math.inf)
        behind: Tensor | None = None
        for _ in range(STEPS):
            found = self._step(point, t)
            if found is None and behind is not None:
                found = self._step(behind, t)
            if found is None:
                return
            behind = None
            point, bound, decrement, mean = found
            gap = self.logarithms / t
            yield Place(point, bound, gap if decrement < CENTRED else math.inf, mean)
            if decrement < CENTRED:
                if gap < FINE * self.scale:
                    return
                ahead, behind = self._ahead(before, (point, t), RISE * t), point
                t, before, point = RISE * t, (point, t), ahead

    def _ahead(
        self, before: tuple[Tensor, float], now: tuple[Tensor, float], t: float
    ) -> Float[Tensor, " q"]:
        """Where the maximum for t may be: about linear in 1 / t, as maxima for small t are
        multiples of 1 / t; as far as the value rises."""
        (earlier, past), (point, present) = before, now
        share = (1 / t - 1 / present) / (1 / present - 1 / past)
        line = self._line(point, (point - earlier) * share)
        best = self._valued(line, 0.0, t)[0]
        part = min(AHEAD, INSIDE * line.room(self.signed))
        for _ in range(TRIED):
            value, _ = self._valued(line, part, t)
            if value > best:
                return line.at(part)
            part *= BACK
        return point

    def _line(self, point: Float[Tensor, " q"], direction: Float[Tensor, " q"]) -> "Line":
        return Line(point, direction, self.base + self.moved(point), self.moved(direction))

    def _valued(self, line: "Line", part: float, t: float) -> tuple[float, float]:
        """What is maximised, and g, at a point of a line."""
        matrix, positive = line.matrix(part), line.at(part)[self.signed :]
        bound, logarithms = self._followed(matrix, positive)
        return t * bound + logarithms, bound

    def moved(self, point: Float[Tensor, " q"]) -> Float[Tensor, "n n"]:
        """What multipliers add to M, a linear function of them:

        (a + c) z^2 - (a + b) z v + b v^2 + (lo b - hi c) z - lo b v for an open hinge; b v^2 - lo b
        v where z = 0, and c v^2 - hi c v where z = v; m (|x|^2 - R^2).
        """
        form, v, z = self.form, self.v, self.z
        on, ball = form.signs == ON, float(point[-1])
        a, b, c = self._of_hinges(point[:-1] * form.units)
        charge(len(v) * form.size**2)
        matrix = v.T @ (v * torch.where(on, c, b).unsqueeze(1))
        crossed = v[form.open] * ((a + b)[form.open] / -2).unsqueeze(1)
        matrix[z] += crossed
        matrix[:, z] += crossed.T
        matrix[z, z] += (a + c)[form.open]
        linear = torch.where(on, -form.hi * c, -form.lo * b) @ v / 2
        linear[z] += (form.lo * b - form.hi * c)[form.open] / 2
        matrix[0] += linear
        matrix[:, 0] += linear
        matrix[0, 0] -= ball * form.reach**2
        free = torch.arange(1, 1 + form.free)
        matrix[free, free] += ball
        return matrix

    def _of_hinges(self, weights: Float[Tensor, " q"]) -> Float[Tensor, "3 n"]:
        """a, b and c of every hinge, 0 where it has none."""
        signs = self.form.signs
        found = torch.zeros(3, len(signs), dtype=torch.float64)
        present = torch.stack([signs == OPEN, signs != ON, signs != OFF])
        found[present] = weights
        return found

    def _followed(
        self, matrix: Float[Tensor, "n n"], positive: Float[Tensor, " s"]
    ) -> tuple[float, float]:
        """The best g of a matrix for g = 0, and all logarithms but that of M's corner; -inf where M
        is definite for none."""
        if not bool((positive > 0).all()):
            return -math.inf, -math.inf
        charge(self.form.size**3 / 6)
        factor, failed = torch.linalg.cholesky_ex(matrix[1:, 1:])
        if int(failed):
            return -math.inf, -math.inf
        part = torch.linalg.solve_triangular(factor, matrix[1:, :1], upper=False)
        bound = float(matrix[0, 0] - (part * part).sum())
        return bound, float(2 * factor.diagonal().log().sum() + positive.log().sum())

    def _step(
        self, point: Float[Tensor, " q"], t: float
    ) -> tuple[Tensor, float, float, Tensor] | None:
        """One step of Newton's: the point after it, g there, the decrement, the mean before; None
        where digits do not allow one."""
        matrix = self.base + self.moved(point)
        bound, logarithms = self._followed(matrix, point[self.signed :])
        with_bound = matrix.clone()
        with_bound[0, 0] -= bound - 1 / t
        factor, failed = torch.linalg.cholesky_ex(with_bound)
        if int(failed):
            return None
        inverse = torch.cholesky_inverse(factor)
        gradient, curvature = self._derivatives(inverse, point, t)
        direction = _solved(curvature, gradient)
        if direction is None:
            return None
        decrement = math.sqrt(max(float(gradient @ direction), 0.0))
        line = Line(point, direction[:-1], matrix, self.moved(direction[:-1]))
        found = self._along(line, t, decrement, t * bound + logarithms)
        return None if found is None else (*found, decrement, inverse[0] / inverse[0, 0])

    def _derivatives(
        self, inverse: Float[Tensor, "n n"], point: Float[Tensor, " q"], t: float
    ) -> tuple[Float[Tensor, " v"], Float[Tensor, "v v"]]:
        """Gradient, and minus the second derivatives, in all multipliers, m, and g."""
        count, free = self.count, slice(1, 1 + self.form.free)
        corner, column, square = float(inverse[0, 0]), inverse[0], self.form.reach**2
        rows = torch.cat([inverse[:1], inverse[self.z], self.v @ inverse])
        among = torch.cat([rows[:, :1], rows[:, self.z], rows @ self.v.T], 1)
        charge(2 * len(self.v) * self.form.size**2 + 4 * count**2)
        left, right = self.p.of(among), self.q.of(among)
        crossed = self.q.of(left.T).T
        alike = self.p.of(left.T) * self.q.of(right.T)
        gradient = torch.zeros(count + 2, dtype=torch.float64)
        second = torch.zeros(count + 2, count + 2, dtype=torch.float64)
        gradient[:count] = -crossed.diagonal()
        gradient[count] = inverse.diagonal()[free].sum() - square * corner
        gradient[count + 1] = t - corner
        second[:count, :count] = (alike + crossed * crossed.T) / 2
        ends = left[:, 0] * right[:, 0]
        moving = rows[:, free].contiguous()
        inner = (self.p.of(moving) * self.q.of(moving)).sum(1)
        along = float((column[free] ** 2).sum())
        within = float((inverse[free, free] ** 2).sum())
        second[:count, count] = second[count, :count] = square * ends - inner
        second[:count, count + 1] = second[count + 1, :count] = ends
        second[count, count] = within - 2 * square * along + (square * corner) ** 2
        second[count, count + 1] = second[count + 1, count] = square * corner**2 - along
        second[count + 1, count + 1] = corner**2
        positive = point[self.signed :]
        gradient[self.signed : count + 1] += 1 / positive
        second.diagonal()[self.signed : count + 1] += positive**-2
        return gradient, second

    def _along(
        self, line: "Line", t: float, decrement: float, before: float
    ) -> tuple[Float[Tensor, " q"], float] | None:
        """A point in this direction with a larger value, and g there; None where there is none."""
        longest = INSIDE * line.room(self.signed)
        part = min(1.0, longest)
        after, bound = self._valued(line, part, t)
        while after < before - 1e-9 * abs(before):
            part *= BACK
            if part < 1e-6:
                return None
            after, bound = self._valued(line, part, t)
        while decrement > CENTRED / 2 and ONWARD * part < longest:
            further, there = self._valued(line, ONWARD * part, t)
            if further <= after:
                break
            part, after, bound = ONWARD * part, further, there
        return line.at(part), bound


@dataclass(frozen=True)
class Line:
    """Points in a direction, and M for g = 0 there."""

    point: Float[Tensor, " q"]
    direction: Float[Tensor, " q"]
    start: Float[Tensor, "n n"]
    slope: Float[Tensor, "n n"]

    def at(self, part: float) -> Float[Tensor, " q"]:
        return self.point + part * self.direction

    def matrix(self, part: float) -> Float[Tensor, "n n"]:
        return self.start + part * self.slope

    def room(self, signed: int) -> float:
        """How far all but the first so many multipliers stay positive."""
        point, direction = self.point[signed:], self.direction[signed:]
        falling = direction < 0
        room = point[falling] / -direction[falling]
        return float(room.min()) if len(room) else math.inf


def _solved(matrix: Float[Tensor, "v v"], right: Float[Tensor, " v"]) -> Tensor | None:
    """The solution, scaled to a diagonal of 1; None where the matrix is not definite."""
    scale = matrix.diagonal().rsqrt()
    scaled = matrix * scale * scale.unsqueeze(1)
    for shift in SHIFTS:
        charge(len(matrix) ** 3 / 6)
        shifted = scaled + torch.diag(torch.full_like(scale, shift))
        factor, failed = torch.linalg.cholesky_ex(shifted)
        if not int(failed) and bool(factor.diagonal().isfinite().all()):
            return scale * torch.cholesky_solve((scale * right).unsqueeze(1), factor)[:, 0]
    return None
