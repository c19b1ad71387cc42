"""Ranges by LipSDP: no entry goes further from its value at the region's origin than its calmness
there times the radius."""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from autolip.budget import A_CALL, IN_DOUBLE
from autolip.certificates import RowFact
from autolip.errors import Refusal
from autolip.graph.fixed import known_as_diagonals, without_fixed
from autolip.graph.moving_inputs import moving_inputs
from autolip.graph.views import SlopeGraph, separated
from autolip.intervals import Interval
from autolip.methods.lipsdp.batch.questions import Answers, Questions
from autolip.methods.lipsdp.batch.solve import Batch, Care
from autolip.methods.lipsdp.certificate import ROOM, excess, positive, rounding
from autolip.norms import Norm
from autolip.operators.operator import DTYPE
from autolip.ranges.engine import Allowance, Asked, range_engine
from autolip.ranges.prefix import Prefix
from autolip.ranges.relaxation import in_order
from autolip.rules import slopes_on
from autolip.rules.propagate import values_at
from autolip.values import Upper

MOST = 256
"""Tuned: neurons that bend before a value up to which its rows are asked for; on the products of a
transformer layer, of which there are more, the proofs fail."""

QUICK = Care(rank=4, rounds=((60, 1e-2), (60, 3e-3)), tolerance=0.03)
"""Tuned on 16-64-64-64-10: within a hundredth of the relaxation."""

PROOFS = 8
"""Measured: factorisations of one row's form, about."""

CALLS = 560
"""Measured: products, by the time that passes beside their multiply-adds, that an operation before
a value costs: about three in each step, 200 until its slopes are there."""


@range_engine("rows")
def rows(asked: Asked, allowance: Allowance) -> Interval | None:
    """|v_i(x) - v_i(o)| <= K_i |x - o|, o the region's origin, K_i proved by LipSDP on the slopes
    between o and any other point; all rows of a value in one batch.

    Of entries for which there is not enough work left, those closest to being settled come first.
    """
    prefix, name = asked.prefix, asked.name
    if allowance.searches <= 0 or not 0 < prefix.bends(name) <= MOST:
        return None
    beside = CALLS * A_CALL / IN_DOUBLE * len(prefix.graph(name).nodes)
    if allowance.searches <= beside:
        return None
    around = _Around(prefix)
    if not around.holds_origin:
        return None
    graph = around.graph(name)
    batch = Batch.of(graph, around.norm)
    if isinstance(batch, Refusal) or batch.order > MOST:
        return None
    steps = sum(count for count, _ in QUICK.rounds)
    price = QUICK.rank * steps * graph.work + PROOFS * batch.order**3 / 3
    places = in_order(asked)[: int((allowance.searches - beside) / price)]
    if not len(places):
        return None
    allowance.search(beside + price * len(places))
    questions = _questions(graph.output_shape.numel(), places)
    found = batch.solve(questions, care=QUICK)
    if isinstance(found, Refusal):
        return None
    raised = 1 + excess(batch.order + prefix.shape.numel())
    is_finite = found.value.isfinite()
    (proved,) = is_finite.nonzero(as_tuple=True)
    if not len(proved):
        return None
    gains = found.value * raised
    entries = places[proved]
    reached = around.reached(name, entries, gains[proved])
    before = prefix.ranges[name]
    is_closer = _is_closer(reached, before)
    closer = proved[is_closer[entries]]
    known = _Rows(name, batch, around.scale, places[closer], gains[closer], raised)
    prefix.reasons.append(lambda: known.facts(questions, found, closer.tolist()))
    return reached


def _is_closer(found: Interval, known: Interval) -> Tensor:
    """Which entries are known better than before."""
    return ((found.lo > known.lo) | (found.hi < known.hi)).reshape(-1)


def _questions(size: int, places: Tensor) -> Questions:
    """Every place alone."""
    units = torch.zeros(len(places), 1, size, dtype=DTYPE)
    units[torch.arange(len(places)), 0, places] = 1.0
    return Questions({}, units, torch.zeros(len(places), dtype=torch.int64))


@dataclass(frozen=True)
class _Rows:
    """What was proved of some entries of a value, as facts that can be checked: gains raised so
    that a factorisation has room."""

    name: str
    batch: Batch
    scale: Tensor | None
    places: Tensor
    gains: Tensor
    raised: float

    def facts(
        self, questions: Questions, found: Answers, numbers: list[int]
    ) -> list[RowFact] | None:
        """Those of the answers of these numbers, which are about the places in their order; None
        where rounding of what cancels takes more room than there is."""
        made = []
        for number, place, gain in zip(
            numbers, self.places.tolist(), self.gains.tolist(), strict=True
        ):
            statement = self.batch.statement(questions, found, number)
            if isinstance(statement, Refusal) or 1 + ROOM * rounding(statement) > self.raised:
                return None
            multipliers = dict(
                self._whole(name, positive(lam[number]) * self.raised)
                for name, lam in found.multipliers.items()
            )
            weights = None if found.inputs is None else found.inputs[number]
            made.append(RowFact(self.name, place, multipliers, self._inputs(gain, weights)))
        return made

    def _whole(self, name: str, multipliers: Tensor) -> tuple[str, Tensor]:
        """Those of an operation, 1 for entries of known slopes, which are apart (see fixed)."""
        whole = name.removesuffix(":bent")
        graph = self.batch.graph
        picked = graph[f"{whole}:read"].edges[0].operator if whole != name else None
        if picked is None:
            return name, multipliers.reshape(graph[name].shape)
        row = multipliers.reshape(1, -1)
        back = picked.rmv(row)[0]
        return whole, torch.where(back > 0, back, 1.0)

    def _inputs(self, gain: float, weights: Tensor | None) -> Tensor:
        """mu with at most the square of the gain in all, of the input as it is; any number where it
        does not move."""
        room = 1 - 2.0**-50
        square = gain**2 * room
        if weights is None:
            mu = torch.tensor(square, dtype=DTYPE)
        else:
            listed = weights.flatten().tolist()
            total = math.fsum(listed)
            mu = weights * (square / total)
        if self.scale is None:
            return mu
        return torch.where(self.scale > 0, mu / self.scale**2, 1.0)


@dataclass(frozen=True)
class _Around:
    """A region as a ball about its origin: |x - o|_p <= radius, in units of its `scale`."""

    prefix: Prefix

    @cached_property
    def origin(self) -> Tensor:
        return self.prefix.region.origin(self.prefix.shape)

    @property
    def holds_origin(self) -> bool:
        """Whether slopes may be taken from there."""
        return self.prefix.region.contains(self.origin)

    @cached_property
    def norm(self) -> Norm:
        """l2 where the region is smaller in it than its box."""
        region, shape = self.prefix.region, self.prefix.shape
        box = Norm.L2.of_rows(self.reach.unsqueeze(0)).item()
        return Norm.L2 if region.spread(Norm.L2, shape).value < 0.99 * box else Norm.LINF

    @cached_property
    def reach(self) -> Tensor:
        return self.prefix.region.reach(self.prefix.shape)

    @cached_property
    def scale(self) -> Tensor | None:
        """What every entry of a box reaches; None where that is the same for all."""
        if self.norm is Norm.L2 or bool((self.reach == self.reach.max()).all()):
            return None
        return self.reach

    @property
    def radius(self) -> Upper:
        """Of the region in units of the scale."""
        if self.scale is not None:
            return Upper(1.0)
        return self.prefix.region.spread(self.norm, self.prefix.shape)

    def graph(self, name: str) -> SlopeGraph:
        """The slopes between the origin and any other point, up to some value."""
        prefix = self.prefix
        graph = prefix.graph(name)
        slopes = slopes_on(graph, prefix.region, prefix.ranges, self.origin, lengths=False)
        slopes = known_as_diagonals(slopes)
        settled = prefix.region.settled(prefix.shape)
        return without_fixed(separated(moving_inputs(slopes, settled, self.scale)))

    def reached(self, name: str, places: Tensor, gains: Tensor) -> Interval:
        """Where these entries lie that go at most their gains times the radius from the origin."""
        there = values_at(self.prefix.graph(name), self.origin)[name]
        far = (gains * self.radius.value).nextafter(torch.tensor(math.inf, dtype=DTYPE))
        lo, hi = (
            torch.full((there.lo.numel(),), end, dtype=DTYPE) for end in (-math.inf, math.inf)
        )
        near = Interval(there.lo.reshape(-1)[places], there.hi.reshape(-1)[places])
        found = near + Interval(-far, far)
        lo[places], hi[places] = found.lo, found.hi
        return Interval(lo.reshape(there.shape), hi.reshape(there.shape))
