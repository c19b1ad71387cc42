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
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.budget import charge
from autolip.robustness.margin.form import Form, Multipliers

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

BACK, ON, INSIDE = 0.6, 1.7, 0.98
"""Chosen: factors of a step that is too long, or short, and how far it may go to the boundary."""

SHIFT = 1e-13
"""Chosen: what is added to Newton's scaled matrix, for its rounding."""


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


class Ascent:
    """The search on one form."""

    def __init__(self, form: Form) -> None:
        first, second = form.constraints
        self.form = form
        self.p = first.value * form.units.unsqueeze(1)
        self.q = second.value
        self.row = form.rows.value[-1]
        self.signed = len(form.open)
        self.logarithms = form.size + len(self.p) - self.signed + 1

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

    def places(self) -> Iterator[Place]:
        """Better and better ones, until steps or digits end."""
        form, start = self.form, START * self.scale
        lo, hi = form.lo[form.open], form.hi[form.open]
        others = torch.ones(len(self.p) - self.signed + 1, dtype=torch.float64)
        point = torch.cat([-hi / lo, others]) * start
        point[-1] = start / form.reach**2
        t = 1 / start
        for _ in range(STEPS):
            bound = self._followed(point)[0]
            found = self._step(point, bound - 1 / t, t)
            if found is None:
                return
            point, decrement, mean = found
            gap = self.logarithms / t
            yield Place(
                point, self._followed(point)[0], gap if decrement < CENTRED else math.inf, mean
            )
            if decrement < CENTRED:
                if gap < FINE * self.scale:
                    return
                t *= RISE

    def matrix(self, point: Float[Tensor, " q"], bound: float) -> Float[Tensor, "n n"]:
        """M."""
        form, ball = self.form, float(point[-1])
        charge(len(self.p) * form.size**2)
        half = (self.p * point[:-1].unsqueeze(1)).T @ self.q
        matrix = (half + half.T) / -2
        matrix[0] += self.row / 2
        matrix[:, 0] += self.row / 2
        matrix[0, 0] -= bound + ball * form.reach**2
        free = torch.arange(1, 1 + form.free)
        matrix[free, free] += ball
        return matrix

    def _followed(self, point: Float[Tensor, " q"]) -> tuple[float, float]:
        """The best g for these multipliers, and all logarithms but that of M's corner; -inf where M
        is definite for none."""
        positive = point[self.signed :]
        if not bool((positive > 0).all()):
            return -math.inf, -math.inf
        matrix = self.matrix(point, 0.0)
        charge(self.form.size**3 / 6)
        factor, failed = torch.linalg.cholesky_ex(matrix[1:, 1:])
        if int(failed):
            return -math.inf, -math.inf
        part = torch.linalg.solve_triangular(factor, matrix[1:, :1], upper=False)
        bound = float(matrix[0, 0] - (part * part).sum())
        return bound, float(2 * factor.diagonal().log().sum() + positive.log().sum())

    def _step(
        self, point: Float[Tensor, " q"], bound: float, t: float
    ) -> tuple[Tensor, float, Tensor] | None:
        """One step of Newton's: the point after it, the decrement, the mean; None where digits do
        not allow one."""
        factor, failed = torch.linalg.cholesky_ex(self.matrix(point, bound))
        if int(failed):
            return None
        inverse = torch.cholesky_inverse(factor)
        gradient, curvature = self._derivatives(inverse, point, t)
        direction = _solved(curvature, gradient)
        if direction is None:
            return None
        decrement = math.sqrt(max(float(gradient @ direction), 0.0))
        moved = self._along(point, direction[:-1], t, decrement)
        mean = inverse[0] / inverse[0, 0]
        return None if moved is None else (moved, decrement, mean)

    def _derivatives(
        self, inverse: Float[Tensor, "n n"], point: Float[Tensor, " q"], t: float
    ) -> tuple[Float[Tensor, " v"], Float[Tensor, "v v"]]:
        """Gradient, and minus the second derivatives, in all multipliers, m, and g."""
        count, size, free = len(self.p), self.form.size, slice(1, 1 + self.form.free)
        charge(2 * count * size**2 + 3 * count**2 * size)
        left, right = self.p @ inverse, self.q @ inverse
        crossed = left @ self.q.T
        corner, column = float(inverse[0, 0]), inverse[0]
        square = self.form.reach**2
        gradient = torch.zeros(count + 2, dtype=torch.float64)
        second = torch.zeros(count + 2, count + 2, dtype=torch.float64)
        gradient[:count] = -crossed.diagonal()
        gradient[count] = inverse.diagonal()[free].sum() - square * corner
        gradient[count + 1] = t - corner
        alike = (left @ self.p.T) * (right @ self.q.T)
        second[:count, :count] = (alike + crossed * crossed.T) / 2
        ends = left[:, 0] * right[:, 0]
        inner = (left[:, free] * right[:, free]).sum(1)
        second[:count, count] = square * ends - inner
        second[:count, count + 1] = ends
        along = float((column[free] ** 2).sum())
        within = float((inverse[free, free] ** 2).sum())
        second[count, count] = within - 2 * square * along + (square * corner) ** 2
        second[count, count + 1] = square * corner**2 - along
        second[count + 1, count + 1] = corner**2
        second = second.triu() + second.triu(1).T
        positive = point[self.signed :]
        gradient[self.signed : count + 1] += 1 / positive
        second.diagonal()[self.signed : count + 1] += positive**-2
        return gradient, second

    def _along(
        self, point: Float[Tensor, " q"], direction: Float[Tensor, " q"], t: float, decrement: float
    ) -> Float[Tensor, " q"] | None:
        """A point in this direction with a larger value; None where there is none."""

        def value(part: float) -> float:
            bound, logarithms = self._followed(point + part * direction)
            return t * bound + logarithms

        shrinking = direction[self.signed :] < 0
        room = point[self.signed :][shrinking] / -direction[self.signed :][shrinking]
        longest = INSIDE * float(room.min()) if len(room) else math.inf
        before, part = value(0.0), min(1.0, longest)
        after = value(part)
        while after < before - 1e-9 * abs(before):
            part *= BACK
            if part < 1e-6:
                return None
            after = value(part)
        while decrement > CENTRED / 2 and ON * part < longest:
            further = value(ON * part)
            if further <= after:
                break
            part, after = ON * part, further
        return point + part * direction


def _solved(matrix: Float[Tensor, "v v"], right: Float[Tensor, " v"]) -> Tensor | None:
    """The solution, scaled to a diagonal of 1; None where the matrix is not definite."""
    scale = matrix.diagonal().rsqrt()
    scaled = matrix * scale * scale.unsqueeze(1)
    scaled.diagonal().add_(SHIFT)
    charge(len(matrix) ** 3 / 6)
    factor, failed = torch.linalg.cholesky_ex(scaled)
    if int(failed) or not bool(factor.diagonal().isfinite().all()):
        return None
    return scale * torch.cholesky_solve((scale * right).unsqueeze(1), factor)[:, 0]
