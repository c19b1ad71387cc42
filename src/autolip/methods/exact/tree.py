"""Best first through the cases: bound, split, leave out what is empty or cannot be the largest.

The upper bound at any moment is the largest of the proved bounds of all cases that are open or were
closed; what was closed was proved to be at most a goal, to have no interior, or is linear.
"""

import heapq
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from autolip.budget import IN_DOUBLE, WALL, Budget, charge
from autolip.intervals import Interval
from autolip.methods.exact.cases import Case, Effort
from autolip.methods.exact.emptiness import has_no_interior, highest
from autolip.methods.exact.narrowed import narrowed
from autolip.methods.exact.products import Products, rescued
from autolip.methods.exact.proved import entry_bounds, jacobians, norms_of, quadratic_bounds
from autolip.methods.exact.record import ENTRIES, NOTHING, Fact, Record, Weighed
from autolip.norms import Norm
from autolip.operators.operator import DTYPE
from autolip.piecewise.cells import HalfSpaces
from autolip.piecewise.network import Network
from autolip.piecewise.points import Derivatives, Points, drawn
from autolip.piecewise.relaxed import Climbed, Vectors, climbed
from autolip.piecewise.walk import Walk

SHALLOW = 1e-6
"""Chosen: depth up to which a cell is tried to be proved empty; the proof decides."""

BOXED = 4
"""Chosen: inputs up to which the cell of each case has a box of its own."""

POOL = 2048
"""Chosen: points that are kept to recognise cells that are not empty."""

WALKS = 4
"""Chosen: how many of them are walked from."""

SCOUTS, SCOUTING = 512, 0.1
"""Chosen: random points at which derivatives are taken first, and the part of the time for them."""

A_CELL, A_BOX = 1.5e-3, 6e-3
"""Measured: seconds of reference for the half-spaces of a case and a proof that it is empty, and
for the box about it."""

NEGLIGIBLE = 2.0**-500
"""Chosen: bound up to which no case is split: squares of smaller numbers underflow, so that no
proved bound becomes smaller and every case would stay open."""


@dataclass
class Tree:
    """The search: `settled` is the largest bound of what is closed, `points` the steepest known."""

    network: Network
    p: Norm
    q: Norm
    tolerance: float
    budget: Budget
    effort: Effort = Effort()
    generator: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(0))
    open: list[tuple[float, int, Case]] = field(default_factory=list)
    settled: float = 0.0
    held: float = math.inf
    """Until a step is seen through, the upper bound before it."""
    nodes: int = 0
    leaves: int = 0
    empty: int = 0
    record: Record = field(default_factory=Record)
    lean: Tensor | None = None
    """How far on each neuron is in the relaxation of the first case."""

    def __post_init__(self) -> None:
        network = self.network
        self.derivatives = self._derivatives()
        self.walk = Walk.over(self.derivatives, lambda: self.budget.expired)
        self.cells, self.programs = self.walk.cells, self.walk.programs
        self.products = Products(network)
        self.serial = itertools.count()
        self.began = WALL.now()
        seconds = IN_DOUBLE * self.derivatives.products
        affordable = min(SCOUTS * seconds, SCOUTING * self.budget.left) / seconds
        count = max(1, int(affordable))
        self.points = self.derivatives.at(drawn(network, count, self.generator))
        self.best = self.points.steepest(1)

    def _derivatives(self) -> Derivatives:
        """How steep the network is at points."""
        return Derivatives(self.network, self.p, self.q)

    def _free(self, case: Case) -> Tensor:
        """Which neurons a case can be split at."""
        low, high = self.network.slopes(case.first, case.last)
        return low < high

    def _slopes(self, first: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
        """Centres and radii of what differences of two points are multiplied by."""
        return self.network.centred(first, last)

    @property
    def lower(self) -> float:
        """The largest norm of a derivative that was met: an estimate."""
        return float(self.best.slope[0]) if len(self.best) else 0.0

    @property
    def upper(self) -> float:
        """At least the constant."""
        return max(self.settled, self.held, -self.open[0][0] if self.open else 0.0)

    @property
    def goal(self) -> float:
        """A case that is proved to be at most this need not be split."""
        return max(self.lower * (1 + self.tolerance / 2), NEGLIGIBLE)

    @property
    def wanted(self) -> float:
        """What is proved of a case that is below: a little less than the goal."""
        return self.lower * (1 + self.tolerance / 3)

    @property
    def finished(self) -> bool:
        """Whether nothing that is open lies above the goal."""
        return not self.held and (not self.open or -self.open[0][0] <= self.goal)

    @property
    def said(self) -> str:
        """How far the search is."""
        gap = self.upper / self.lower - 1 if self.lower else math.inf
        return (
            f"{len(self.open)} open of {self.nodes} cases: upper {self.upper:.9g}, "
            f"lower {self.lower:.9g}, gap {100 * gap:.2g}%{self._rest}"
        )

    @property
    def _rest(self) -> str:
        """About the seconds to come, were the halves of every case as much work as each other
        (Knuth, Estimating the efficiency of backtrack programs, 1975)."""
        left = sum(self.record.nodes[case.node].share for _, _, case in self.open)
        if not 0 < left < 1:
            return ""
        seconds = (WALL.now() - self.began) * left / (1 - left)
        return f", about {seconds:.2g} s to go"

    def start(self) -> None:
        """The first case, and walks from the steepest of the points."""
        network = self.network
        ends = network.first, network.last
        root = self._bounded([Case(*ends, ends)])
        self._admit(root)
        self.held = 0.0
        scouts = self.points.steepest(WALKS)
        for number in range(len(scouts)):
            self._walked(scouts[torch.tensor([number])])
        if self.lean is not None and not self.finished:
            wanted = network.rounded(self.lean[:1])[0]
            found = self.walk.down(wanted, root[0].energy, self.best.x[0])
            if found is not None:
                self._met(found)
                self._walked(found)

    def _walked(self, start: Points) -> None:
        """Walk on from one point, and keep what is steeper."""
        for found in self.walk.uphill(start):
            self._met(found)

    def _met(self, found: Points) -> None:
        """Keep points, and the steepest of them."""
        self.points = self.points.joined(found)
        if len(self.points) > POOL:
            self.points = self.points[torch.arange(len(self.points) - POOL, len(self.points))]
        if float(found.slope.max()) > self.lower:
            self.best = found.steepest(1)

    def step(self) -> None:
        """Split the cases with the largest bounds."""
        self.held = self.upper
        taken = list[Case]()
        while self.open and len(taken) < self.effort.batch and -self.open[0][0] > self.goal:
            taken.append(heapq.heappop(self.open)[2])
        try:
            halves = [half for case in taken for half in self._halves(case)]
            self._admit(self._children(halves))
        except BaseException:
            for case in taken:  # what was not seen through stays open
                self.record.rejoined(case.node)
                self.push(case)
            self.held = 0.0
            raise
        self.held = 0.0
        for case in taken:
            self.record.done(case.node)

    def _halves(self, case: Case) -> list[Case]:
        """The two halves of a case, at a neuron of the first layer that has free ones."""
        free = self._free(case)
        layer = next(place for place in self.network.places if bool(free[place].any()))
        energy = case.energy[layer].masked_fill(~free[layer], -1.0)
        neuron = layer.start + int(energy.argmax())
        cut = int(case.first[neuron] + case.last[neuron]) // 2
        first, last = int(case.first[neuron]), int(case.last[neuron])
        low, high = self.record.halved(case.node, neuron, cut)
        return [case.left(neuron, first, cut, low), case.left(neuron, cut + 1, last, high)]

    def _children(self, halves: Sequence[Case]) -> list[Case]:
        """Those of the halves that are not known to be empty, bounded."""
        before = self.lower
        inside = list[Tensor]()
        seen = self._seen(halves)
        kept = [
            half
            for half, met in zip(halves, seen, strict=True)
            if met or self._is_kept(half, inside)
        ]
        if inside:
            self._met(self.derivatives.at(torch.stack(inside)))
        if self.lower > before:
            self._walked(self.best)
        return self._bounded(kept) if kept else []

    def _seen(self, halves: Sequence[Case]) -> list[bool]:
        """Whether a known point lies in each of them."""
        count = self.network.pieces.slopes.shape[1]
        piece = torch.arange(count)
        first = torch.stack([half.first for half in halves]).unsqueeze(-1)
        last = torch.stack([half.last for half in halves]).unsqueeze(-1)
        excluded = ((piece < first) | (piece > last)).flatten(1)
        taken = torch.nn.functional.one_hot(self.points.pattern, count).flatten(1)
        against = excluded.float() @ taken.float().T
        return (against == 0).any(1).tolist()

    def _is_kept(self, half: Case, inside: list[Tensor]) -> bool:
        """False where the half is proved to have no interior; else a point inside is listed."""
        charge(0.0, A_CELL)
        cell = self.cells.of_case(half.first, half.last, cut=half.cut)
        solved = self.programs.deepest(cell) if cell is not None and len(cell) else None
        if cell is None or solved is None:
            return True
        if solved.depth < SHALLOW and has_no_interior(
            self.cells, (half.first, half.last), cell, solved.weights, half.cut
        ):
            self.empty += 1
            self.record.nodes[half.node].fact = Fact.empty(_weighed(cell, solved.weights))
            return False
        if solved.depth > 0:
            inside.append(solved.point)
        return True

    def _bounded(self, cases: Sequence[Case]) -> list[Case]:
        """Cases with the least of what their parents and they themselves were proved to be."""
        first, last = self._reached(cases)
        bounds = [case.bound for case in cases]
        vectors = [case.vectors for case in cases]
        self.nodes += len(first)
        centre, radius = self._slopes(first, last)
        known = torch.tensor(bounds, dtype=DTYPE)
        entries = _or_infinite(self._by_entries(centre, radius))
        proved = torch.minimum(entries, known)
        facts = [self._plain(*one) for one in zip(cases, entries.tolist(), radius, strict=True)]
        energy = radius.clone()
        found: list[Vectors | None] = [None] * len(first)
        is_open = ((proved > self.goal) & (radius > 0).any(1)).nonzero().reshape(-1)
        if len(is_open):
            numbers = is_open.tolist()
            slopes = centre[is_open], radius[is_open]
            if self.is_quadratic:
                start = self._start([vectors[number] for number in numbers])
                relaxed, rows, climb = self._relaxed(slopes, start, vectors[numbers[0]] is None)
                energy[is_open] = climb.energy
                for place, number in enumerate(numbers):
                    found[number] = climb.vectors[place]
            else:
                relaxed, rows = proved[is_open], torch.zeros_like(slopes[0])
            relaxed, rows = self._rescued(slopes, relaxed, rows)
            for place, number in enumerate(numbers):
                if relaxed[place] < proved[number]:
                    facts[number] = Fact.quadratic(rows[place])
            proved[is_open] = torch.minimum(proved[is_open], _or_infinite(relaxed))
        values = proved.tolist()
        told = zip(cases, first, last, values, facts, energy, found, strict=True)
        return [self._known(*one) for one in told]

    def _known(self, case: Case, first: Tensor, last: Tensor, bound: float, *rest: Any) -> Case:
        """A case with what was found of it: its pieces, a bound and why that holds, what neurons
        contribute, vectors."""
        self.record.nodes[case.node].fact = rest[0]
        return Case(first, last, case.cut, case.node, bound, *rest)

    def _plain(self, case: Case, entries: float, radius: Tensor) -> Fact:
        """Why a case is bounded without a search: by entries, by what its parent was bounded by,
        or by the norm itself where all slopes are known."""
        if entries >= case.bound:
            return case.fact
        spectral = (self.p, self.q) == (Norm.L2, Norm.L2) and not self._is_scalar
        return ENTRIES if bool(radius.any()) or not spectral else Fact.quadratic(radius)

    def _reached(self, cases: Sequence[Case]) -> tuple[Tensor, Tensor]:
        """The pieces of each case, on a bounded region without those that it cannot reach."""
        first = torch.stack([case.first for case in cases])
        last = torch.stack([case.last for case in cases])
        if not self.whole.is_bounded:
            return first, last
        boxes = [self._box(case) for case in cases]
        lo, hi = (torch.stack([getattr(box, end) for box in boxes]) for end in ("lo", "hi"))
        return narrowed(self.network, first, last, Interval(lo, hi))

    @cached_property
    def whole(self) -> Interval:
        """The region's own box, flat."""
        box = self.network.region.interval(self.network.input_shape)
        return Interval(box.lo.reshape(-1), box.hi.reshape(-1))

    def _box(self, case: Case) -> Interval:
        """A box around the cell of a case: where inputs are few, by linear programs whose weights
        are proved."""
        network = self.network
        if network.inputs > BOXED:
            return self.whole
        cell = self.cells.of_case(case.first, case.last, cut=case.cut)
        if cell is None or not len(cell):
            return self.whole
        charge(0.0, A_BOX)
        lo, hi = self.whole.lo.clone(), self.whole.hi.clone()
        shown: list[Weighed] = [NOTHING] * (2 * network.inputs)
        for form, weights in self.programs.extremes(cell):
            top = highest(form, cell, weights, network.region, network.input_shape)
            entry = int(form.abs().argmax())
            if form[entry] > 0:
                hi[entry] = min(float(hi[entry]), top)
            else:
                lo[entry] = max(float(lo[entry]), -top)
            shown[entry + network.inputs * bool(form[entry] < 0)] = _weighed(cell, weights)
        if not bool((lo <= hi).all()):
            return self.whole
        self.record.nodes[case.node].box = shown
        return Interval(lo, hi)

    @property
    def is_quadratic(self) -> bool:
        """Whether LipSDP's bound is worth computing."""
        return (self.p, self.q) == (Norm.L2, Norm.L2) or self._is_scalar

    @cached_property
    def _is_scalar(self) -> bool:
        return len(self.network.output) == 1

    @cached_property
    def exchange(self) -> float:
        """From the l2 to l2 constant to the norms that are asked for."""
        before = self.p.equivalence(Norm.L2, int(self.network.moving.sum()))
        after = Norm.L2.equivalence(self.q, len(self.network.output))
        return (before * after).value

    def _by_entries(self, centre: Tensor, radius: Tensor) -> Tensor:
        """Bounds by entries; those of cases whose slopes are all known by the norm itself."""
        bounds = entry_bounds(self.network, centre, radius, self.p, self.q)
        known = (radius == 0).all(1)
        if bool(known.any()):
            maps = jacobians(self.network, centre[known], radius[known])
            bounds[known] = norms_of(maps, self.p, self.q)
            self.leaves += int(known.sum())
        return bounds

    def _start(self, known: Sequence[Vectors | None]) -> Vectors:
        """The parents' vectors; fresh ones for the first case."""
        given = [vectors for vectors in known if vectors is not None]
        if len(given) == len(known):
            return Vectors.joined(given)
        return Vectors.random(self.network, len(known), self.effort.rank, self.generator)

    def _relaxed(
        self, slopes: tuple[Tensor, Tensor], start: Vectors, is_first: bool
    ) -> tuple[Tensor, Tensor, Climbed]:
        """LipSDP's bounds and their multipliers; once more with a smaller margin where that may be
        what is missing."""
        effort = self.effort
        steps = effort.first_steps if is_first else effort.steps
        climb = climbed(self.network, *slopes, start, steps, effort.margin)
        bounds, rows = self._by_multipliers(slopes, climb.multipliers), climb.multipliers
        self.lean = climb.lean if is_first else self.lean
        near = (bounds > self.goal) & (climb.attained * self.exchange < self.near)
        if bool(near.any()):
            close = near.nonzero().reshape(-1)
            part = slopes[0][close], slopes[1][close]
            again = climbed(self.network, *part, climb.vectors[close], steps, effort.margin / 32)
            narrow = self._by_multipliers(part, again.multipliers)
            less = close[narrow < bounds[close]]
            bounds[close] = torch.minimum(bounds[close], narrow)
            rows = rows.index_copy(0, less, again.multipliers[torch.isin(close, less)])
        return bounds, rows, climb

    def _rescued(
        self, slopes: tuple[Tensor, Tensor], bounds: Tensor, rows: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Bounds and multipliers, none above the product of norms."""
        safe, product = self.products.of(*slopes)

        def prove(which: Tensor, multipliers: Tensor) -> Tensor:
            return self._by_multipliers((slopes[0][which], slopes[1][which]), multipliers)

        return rescued(bounds, rows, (safe, product * self.exchange), prove)

    @property
    def near(self) -> float:
        """A case whose relaxation attains no more than this is tried with a smaller margin."""
        return self.lower * (1 + self.effort.margin)

    def _by_multipliers(self, slopes: tuple[Tensor, Tensor], multipliers: Tensor) -> Tensor:
        wanted = self.wanted / self.exchange
        bounds = quadratic_bounds(self.network, *slopes, multipliers, wanted)
        factor = self.exchange
        if factor == 1:
            return bounds
        return (bounds * factor).nextafter(torch.tensor(math.inf, dtype=DTYPE))

    def _admit(self, cases: Sequence[Case]) -> None:
        """Open cases go on the heap; the bounds of others are settled."""
        for case in cases:
            if case.bound > self.goal and bool(self._free(case).any()):
                self.push(case)
            else:
                self.settled = max(self.settled, case.bound)

    def push(self, case: Case) -> None:
        """Leave a case open."""
        heapq.heappush(self.open, (-case.bound, next(self.serial), case))


def _weighed(cell: HalfSpaces, weights: Tensor) -> Weighed:
    """The half-spaces that count, by their numbers."""
    support = weights > 0
    return cell.sides[support], weights[support]


def _or_infinite(bounds: Tensor) -> Tensor:
    """Bounds, infinite where something overflowed on the way."""
    return bounds.nan_to_num(math.inf, math.inf)
