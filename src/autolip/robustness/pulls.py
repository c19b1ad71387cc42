"""What an error of a value on the way may do to linear functions of the output.

An output's error is J e, J a sum over paths of products of slopes.  Of the rows of J two things are
known, whichever is less: an interval for every entry, from the slopes on a region, so that slopes
that are settled cancel as they do in the network; and a length, from the l2 gains of the
operations, which no number of entries makes larger.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.budget import Budget
from autolip.errors import Refusal
from autolip.graph.graph import Graph
from autolip.intervals import Interval, centre_and_radius
from autolip.norms import Norm
from autolip.operators.norms import NormOptions, operator_norm
from autolip.operators.norms.rounding import rounded_product
from autolip.operators.operator import Operator
from autolip.regions import Everywhere
from autolip.rounded import Rounded
from autolip.roundoff import SMALLEST, raised, shifted
from autolip.rules.propagate import parts_on
from autolip.slopes import Between, Exact, Gain, Slope
from autolip.values import INFINITE, ZERO, Upper

SECONDS = 5.0
"""Chosen: for the norms of one network, after which only the cheapest engines are asked."""

FURTHEST, HALVINGS = 64.0, 8
"""Chosen: by how much entries that are not cut off are longer at most, and steps of a search whose
every value is a bound."""


@dataclass(frozen=True)
class Gains:
    """At least |M|_2 of every operation towards what it reads, wherever the input is."""

    known: Mapping[tuple[str, str], Upper]

    @classmethod
    def of(cls, graph: Graph) -> "Gains":
        """Those of a network; infinite where there is none."""
        options = NormOptions(proved_only=True, budget=Budget.of(SECONDS))

        def norm_of(operator: Operator, p: Norm, q: Norm) -> Upper | Refusal:
            return operator_norm(operator, p, q, options)

        found = dict[tuple[str, str], Upper]()
        for vertex in parts_on(graph, Everywhere()):
            for edge in vertex.edges:
                gain = edge.slope.gain(Norm.L2, Norm.L2, norm_of)
                names = vertex.name, edge.source
                known = INFINITE if isinstance(gain, Refusal) else gain
                found[names] = found.get(names, ZERO) + known
        return cls(found)

    def towards(self, name: str, operand: str) -> Upper:
        """That of an operation towards one operand, by both names."""
        return self.known.get((name, operand), INFINITE)


@dataclass(frozen=True)
class Pull:
    """Rows of J."""

    entries: Interval
    """(k, *shape)."""
    length: Float[Tensor, " k"]
    """At least |J_i|_2."""

    @classmethod
    def of(cls, entries: Interval, length: Float[Tensor, " k"]) -> "Pull":
        """That whose length is this one, or that of the entries."""
        return cls(entries, torch.fmin(length, _lengths(entries.magnitude().flatten(1))))

    def worth(self, own: Float[Tensor, "*shape"]) -> Float[Tensor, " k"]:
        """At least |J e| for |e| <= own."""
        own = own.reshape(1, -1)
        sizes = self.entries.magnitude().flatten(1)
        products = _product(sizes, own)
        by_entries = raised(products.sum(1), products.shape[1])
        return torch.fmin(by_entries, _weighed(sizes, own, self.length))

    def lengthened(self, gain: Upper) -> Float[Tensor, " k"]:
        """At least |M^T J_i| for every M of this gain."""
        return _product(self.length, torch.full_like(self.length, gain.value))


def _lengths(rows: Float[Tensor, "k n"]) -> Float[Tensor, " k"]:
    """At least the lengths of rows of numbers >= 0; infinite where one of them is not known."""
    known = rows.isfinite().all(1)
    column = known.unsqueeze(1)
    finite = rows.where(column, 0.0)
    found = Rounded.exact(finite).lengths(1)
    return found.where(known, math.inf)


def _weighed(
    sizes: Float[Tensor, "k n"], own: Float[Tensor, "1 n"], length: Float[Tensor, " k"]
) -> Float[Tensor, " k"]:
    """At least sum_i j_i own_i for |j_i| <= sizes_i and |j|_2 <= length.

    For every t > 0 that is at most length^2 / 2 t + sum_i max (j own_i - j^2 / 2 t), over j up to
    sizes_i: the maximum is at t own_i, or before it.  (Where a rounding decides which, the two
    differ by its square.)
    """
    used = torch.where(sizes > 0, own, 0.0)
    largest = torch.frexp(used.amax(1))
    exponents = largest.exponent.long()  # so that squares neither under- nor overflow
    down = -exponents.unsqueeze(1)
    used = shifted(used, down)
    length = length.unsqueeze(1)
    t = _longest(sizes, used, length)
    free = t * used
    cut_off = sizes < free
    j = torch.where(cut_off, sizes, free)
    rest = torch.where(cut_off, used - sizes / (2 * t), used / 2)
    terms = j * rest + SMALLEST
    first = length * (length / (2 * t))
    total = first + terms.sum(1, keepdim=True)
    found = raised(total[:, 0], len(terms[0]) + 8)  # a term's own are seven
    return shifted(found, exponents).nan_to_num(math.inf, math.inf) + SMALLEST


def _longest(
    sizes: Float[Tensor, "k n"], own: Float[Tensor, "k n"], length: Float[Tensor, "k 1"]
) -> Float[Tensor, "k 1"]:
    """About the t for which min(sizes, t own) has this length: any t > 0 would do."""
    low = length / own.norm(dim=1, keepdim=True)
    high = low * FURTHEST
    for _ in range(HALVINGS):
        t = (low * high).sqrt()
        j = torch.minimum(sizes, t * own)
        shorter = j.norm(dim=1, keepdim=True) < length
        low = torch.where(shorter, t, low)
        high = torch.where(shorter, high, t)
    return low


def _product(x: Tensor, y: Tensor) -> Tensor:
    """At least x y, of numbers >= 0; 0 where one of them is."""
    product = raised(x * y, 1) + SMALLEST
    return torch.where((x == 0) | (y == 0), 0.0, product).nan_to_num(math.inf, math.inf)


def pulled(slope: Slope, pull: Interval) -> Interval | None:
    """An interval that contains M^T q for every M of a slope set and every q of an interval; None
    where none is known."""
    match slope:
        case Exact():
            centre, radius = centre_and_radius(pull.lo, pull.hi)
            found = rounded_product(slope.operator.T, Rounded(centre, radius))
            return None if isinstance(found, Refusal) else found.interval()
        case Between():
            return pull * Interval(slope.lo.expand_as(pull.lo), slope.hi.expand_as(pull.hi))
        case Gain():
            return _pulled_through_gain(slope, pull)
        case _:
            assert_never(slope)


def _pulled_through_gain(slope: Gain, pull: Interval) -> Interval:
    """M^T has the gain of M in the dual norm, of which no entry is larger."""
    sizes = pull.magnitude()
    count = sizes[0].numel()
    bounds = [
        gain.value * raised(norm.dual.of_rows(sizes), count + 1)
        for norm, gain in slope.norms.items()
    ]
    least = raised(torch.stack(bounds).amin(0), 1).nan_to_num(math.inf)
    column = least.reshape(-1, *[1] * len(slope.in_shape))
    wide = column.expand(len(least), *slope.in_shape)
    return Interval(-wide, wide)
