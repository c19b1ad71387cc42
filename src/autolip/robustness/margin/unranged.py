"""The least margin over a region from nothing but the network: no range on the way is used.

Every relu is a hinge z = max(v, 0), with

    z (v - z) = 0      z - v >= 0      z >= 0      R^2 - |x|^2 >= 0, on a box R_k^2 - x_k^2 >= 0

in place of the constraints of `Form`, of which these are the limit for ranges without end.  What
low-rank steps find is nearly the best that these constraints show, and can be checked from the
weights alone.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.graph.graph import Graph
from autolip.norms import Norm
from autolip.operators.operator import CPU
from autolip.ranges.prefix import Prefix
from autolip.regions import Region
from autolip.robustness.margin.form import OPEN, Form, stacked
from autolip.robustness.margin.hinges import Bend, bends_of, rows_of
from autolip.robustness.margin.low_rank import Descent, Pass
from autolip.rounded import Rounded

LOOKS = ((60, 1e-2), (60, 1e-3), (120, 1e-4))
"""Tuned on zoo/robustness/mnist_mlp: low-rank steps before each look at what they prove, and their
eta: bounds end within 1% of the least margin that they find."""

WEIGHTS = ((1.0, 1e-4), (1.05, 1e-4), (1.2, 1e-3), (1.5, 1e-2), (2.0, 3e-2), (4.0, 0.1))
"""Tuned there: times the multipliers of the ball, and parts of the largest of its kind that each
multiplier has at least: the first that leave the matrix definite."""

DEFINITE = 1e-9
"""Chosen: what is taken from the matrix, scaled to a diagonal of about 1, so that proofs find
room."""


@dataclass(frozen=True)
class Weights:
    """Multipliers of z (v - z) = 0, of z - v >= 0 and z >= 0, and of the ball or of all x_k."""

    lam: Float[Tensor, " n"]
    mu: Float[Tensor, " n"]
    nu: Float[Tensor, " n"]
    ball: Float[Tensor, " s"]

    @classmethod
    def of(cls, found: Pass, times: float, share: float) -> "Weights":
        """Those of a pass, none below a share of the largest; a larger lam moves z from 0 or v by
        lam |v|, which is given to what holds it there."""
        floor = share * float(found.alpha.max())
        lacking = floor - found.alpha
        more = lacking.clamp(min=0.0)
        size = found.along.abs()
        tau = found.tau + more * size
        mu = tau * (found.along > 0)
        ball = found.ball * times
        return cls(found.alpha + more, mu, tau - mu, ball.clamp(min=share * float(ball.max())))

    @property
    def each(self) -> tuple[Tensor, Tensor, Tensor]:
        """Those of the relus."""
        return self.lam, self.mu, self.nu

    @property
    def is_known(self) -> bool:
        """Whether steps in float32 have come to numbers that can be used."""
        whole = torch.cat([*self.each, self.ball])
        return bool(whole.isfinite().all()) and bool((self.lam > 0).all() and (self.ball > 0).all())


@dataclass(frozen=True, eq=False)
class Unranged(Form):
    """One margin, all signs open; x is counted from the region's centre."""

    each: Float[Tensor, " s"]
    """R, or all R_k."""
    bends: tuple[Bend, ...] = ()

    @classmethod
    def all_of(
        cls, graph: Graph, prefix: Prefix, forms: Float[Tensor, "k classes"], most: int
    ) -> "list[Unranged]":
        """Those of linear functions of the output; none where y would have more entries than so
        many."""
        bends = tuple(bends_of(graph, prefix, every=True))
        count = bends[-1].places.stop if bends else 0
        if not count or 1 + prefix.shape.numel() + count > most:
            return []
        constants, slopes, links = rows_of(graph, prefix, bends, forms)
        value = torch.cat([constants.value.unsqueeze(1), slopes, links], 1)
        error = torch.zeros_like(value)
        error[:, 0] = constants.error
        rows = Rounded(value, error)
        ends = torch.full((count,), torch.inf, dtype=torch.float64)
        signs = torch.full((count,), OPEN)
        each = reach_of(prefix.region, prefix.shape)
        about = (-ends, ends, signs, slopes.shape[1], float(each.max()), each, bends)
        first = torch.arange(count)
        last = range(count, count + len(forms))
        chosen = [torch.cat([first, torch.tensor([place])]) for place in last]
        return [cls(rows[place], *about) for place in chosen]

    @cached_property
    def constraints(self) -> tuple[Rounded, Rounded]:
        """p and q, a row each: p(y) q(y) = 0 for the first n, p(y) q(y) >= 0 for the others."""
        v, one = self.rows[:-1], self._constant(torch.ones_like(self.lo))
        z = self._hinges(v)
        return stacked([z, one, one]), stacked([v - z, z - v, z])

    def proved(self, found: Weights, bound: float) -> bool:
        """Whether these multipliers prove that the margin is at least `bound`."""
        weights = torch.cat(found.each)
        return self.shown(weights, found.ball, self.each, bound)

    def searched(self, needed: float, device: torch.device = CPU) -> tuple[Weights, float] | None:
        """Multipliers and a bound above `needed` that they seem to show; None where none were
        found."""
        descent = Descent(self.rows.value, self.each, self.free, device=device)
        for steps, eta in LOOKS:
            *_, last = descent.passes(steps, eta)
            for times, share in WEIGHTS:
                found = Weights.of(last, times, share)
                best = self.estimated(found) if found.is_known else -torch.inf
                if best > needed:
                    return found, needed + (best - needed) / 2
            if last.value < needed:
                return None
        return None

    def estimated(self, found: Weights) -> float:
        """About the best bound of these multipliers; -inf where they show none.

        The form is diagonal in x, which is eliminated, and then z.
        """
        value, count = self.rows.value, len(self.lo)
        constants, slopes, links = value.split([1, self.free, count], 1)
        lam, mu, nu, ball = found.lam, found.mu, found.nu, found.ball
        there = constants[:-1, 0]
        corner = constants[-1, 0] + mu @ there - _total(ball, self.each)
        row = links[-1] + mu @ links[:-1]
        row = row - lam * there - mu - nu
        column = lam.unsqueeze(1)
        crossed = column * links[:-1]
        both = crossed + crossed.T
        own = torch.diag(lam)
        matrix = own - both / 2
        read = mu @ slopes[:-1]
        with_one = (slopes[-1] + read) / 2
        with_z = slopes[:-1] * column / -2
        scaled = with_z / ball
        matrix = matrix - scaled @ with_z.T
        row = row / 2 - scaled @ with_one
        scale = matrix.diagonal().clamp(min=0.0).rsqrt()
        if not bool(scale.isfinite().all()):
            return -torch.inf
        left = scale.unsqueeze(1)
        unit = matrix * scale * left
        unit.diagonal().sub_(DEFINITE)
        factor, failed = torch.linalg.cholesky_ex(unit)
        if int(failed):
            return -torch.inf
        part = torch.linalg.solve_triangular(factor, (row * scale).unsqueeze(1), upper=False)
        return float(corner - (with_one**2 / ball).sum() - (part**2).sum())


def reach_of(region: Region, shape: torch.Size) -> Float[Tensor, " s"]:
    """At least |x|, or at least |x_k| for every k, x being counted from the centre: a box where its
    corners are no further away than the ball."""
    each = region.reach(shape).reshape(-1)
    whole = region.spread(Norm.L2, shape).value
    is_box = whole >= float(each.norm()) * (1 - 1e-9)
    return each if is_box else torch.tensor([whole], dtype=torch.float64)


def _total(ball: Tensor, reach: Tensor) -> Tensor:
    return (ball * reach**2).sum()
