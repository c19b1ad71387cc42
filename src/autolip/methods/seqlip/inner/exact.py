"""max_s || A diag(s) B || by branch and bound over activation patterns, certified and anytime.

A node is a box of slopes; its bound is the least multiplier bound (see multipliers), proved by a
Cholesky factorisation.  Children inherit the multipliers of their parent, which remain feasible: a
smaller box makes M(t) smaller.  The neuron to split is the one on whose indecision the bound
depends most.  At every moment

    max over the open and the closed nodes of their proved bounds

is an upper bound on the maximum over the whole box: stopping early costs tightness, never
soundness.
"""

import heapq
import itertools
import math
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from autolip.budget import UNLIMITED, Budget
from autolip.errors import InputError
from autolip.intervals import centre_and_radius
from autolip.methods.seqlip.inner.greedy import climb, maximise_greedy, starts
from autolip.methods.seqlip.inner.interior_point import Boxes, Goal, minimise
from autolip.methods.seqlip.inner.multipliers import Gram
from autolip.methods.seqlip.inner.problem import Pair, balanced
from autolip.methods.seqlip.inner.qr_core import Core, condensed
from autolip.methods.seqlip.inner.relaxed import certified, power_multipliers, product_bound, relax
from autolip.values import Upper

WIDEST = 1024
"""Chosen: greatest number of rows and columns together (after an orthogonal reduction) for which
boxes are split."""


@dataclass(frozen=True)
class ExactOutcome:
    """`attained` <= max_s || A diag(s) B || <= `upper`, both proved.

    `finished`: they agree to the tolerance, or to the rounding of the proof where that is coarser
    (of order 1e-12 of the largest terms at width 30).  `pattern` (n) holds the slopes that attain;
    `nodes` counts the boxes bounded.
    """

    upper: Upper
    attained: float
    pattern: Float[Tensor, " n"]
    nodes: int
    finished: bool
    leaves: tuple[Boxes, ...] = field(default=(), repr=False)
    """Boxes that cover everything and are each at most `upper`, of neurons in balanced units; () if
    none were split."""


def maximise_exact(
    a: Float[Tensor, "p n"],
    b: Float[Tensor, "n q"],
    lo: Float[Tensor, " n"],
    hi: Float[Tensor, " n"],
    *,
    nodes: int = 1_000_000,
    budget: Budget = UNLIMITED,
    tolerance: float = 1e-9,
    seed: int = 0,
    batch: int = 32,
) -> ExactOutcome:
    """Proved bracket on max || A diag(s) B ||_2 over lo <= s <= hi, closed to a relative tolerance.

    Stops after about `nodes` boxes or when the budget has expired; the upper bound is proved all
    the same.  Pairs wider than WIDEST are not split: the bracket is that of `relax` and
    `maximise_greedy`. Raises InputError where the arguments make no problem.
    """
    if not 0 < tolerance < 1:
        raise InputError(
            f"the tolerance lies between 0 and 1, not {tolerance}: pass the relative gap to close"
        )
    pair, live = balanced(a, b, lo, hi)
    pattern = lo.detach().to(torch.float64).clone()
    if not pair.width:
        return ExactOutcome(Upper(0.0), 0.0, pattern, 0, True)
    core = condensed(pair)
    if core.a.shape[0] + core.b.shape[1] > WIDEST:
        return _unsplit(a, b, lo, hi, tolerance, seed)
    tree = _Tree(
        pair,
        core,
        nodes,
        budget,
        tolerance,
        batch,
        seed,
    )
    finished = tree.run()
    chosen = hi.to(torch.float64)[live]
    pattern[live] = torch.where(tree.high, chosen, pattern[live])
    upper = Upper.least(
        [Upper(pair.upward(core.upward(tree.bound()))), product_bound(a, b, lo, hi)]
    )
    attained = min(pair.downward(tree.attained), upper.value)
    return ExactOutcome(upper, attained, pattern, tree.count, finished, tree.leaves())


def _unsplit(
    a: Tensor, b: Tensor, lo: Tensor, hi: Tensor, tolerance: float, seed: int
) -> ExactOutcome:
    """The bracket of the relaxation and of the local search alone, for a pair too wide to branch
    on."""
    upper = relax(a, b, lo, hi)
    _, pattern = maximise_greedy(a, b, lo, hi, seed=seed, restarts=2)
    pair, live = balanced(a, b, lo, hi)
    is_high = (pattern == hi.to(pattern))[live]
    found = pair.downward(pair.attained(is_high))
    attained = min(found, upper.value)
    return ExactOutcome(upper, attained, pattern, 0, upper.value <= attained * (1 + tolerance))


@dataclass
class _Tree:
    """The open nodes by falling bound, and the largest bound among the closed ones."""

    pair: Pair
    core: Core
    nodes: int
    budget: Budget
    tolerance: float
    batch: int
    seed: int
    count: int = 0
    closed: float = 0.0
    rounding: float = 0.0
    attained: float = 0.0
    high: Bool[Tensor, " n"] = field(init=False)
    heap: list[tuple[float, int, Boxes]] = field(default_factory=list)
    order: "itertools.count[int]" = field(default_factory=itertools.count)
    settled: list[Boxes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gram = Gram(self.core.a, self.core.b)
        self.high = torch.ones(self.pair.width, dtype=torch.bool)
        for start in starts(self.core.a, self.core.b, self.pair.lo, self.pair.hi, self.seed, 2):
            self._offer(start)

    @property
    def target(self) -> float:
        """What a node's bound has to come down to."""
        return self.attained * (1 + 0.9 * self.tolerance) + self.rounding

    def leaves(self) -> tuple[Boxes, ...]:
        """The boxes that are not split."""
        return (*self.settled, *(boxes for _, _, boxes in self.heap))

    def bound(self) -> float:
        return max(self.closed, -self.heap[0][0] if self.heap else 0.0)

    def run(self) -> bool:
        """Split until nothing is open or the budget is spent; whether the tolerance was met."""
        root = Boxes.root(self.gram, self.pair.lo, self.pair.hi)
        c, r = centre_and_radius(root.lo, root.hi)
        slack = self.gram.slack(c, r, root.tau.exp(), root.beta)
        self.rounding = 2 * slack.item()
        root.bound[0] = certified(
            self.gram, self.pair, power_multipliers(self.gram, self.pair, steps=40)
        )
        self._bounded(root)
        while self.heap and self.count < self.nodes and not self.budget.expired:
            parents = [heapq.heappop(self.heap)[2] for _ in range(min(self.batch, len(self.heap)))]
            self._bounded(_split(joined(parents)))
        return self.bound() <= self.attained * (1 + self.tolerance) + 2 * self.rounding

    def _bounded(self, boxes: Boxes) -> None:
        """Bound new boxes; keep those that may hold more than what is attained."""
        relative = 4 * self.rounding / max(self.attained, 1e-300)
        floor = max(1e-11, relative)
        goal = Goal(self.target, floor=floor, budget=self.budget)
        boxes = minimise(self.gram, boxes, goal)
        self.count += len(boxes.beta)
        self._offer_rounded(boxes)
        is_closed = boxes.bound <= self.target
        decided = ~boxes.free().any(1) | is_closed
        if bool(decided.any()):
            largest = boxes.bound[decided].max().item()
            self.closed = max(self.closed, largest)
            self.settled.append(boxes[decided.nonzero().flatten()])
        for index in (~decided).nonzero().flatten():
            box = boxes[index[None]]
            heapq.heappush(self.heap, (-box.bound.item(), next(self.order), box))

    def _offer_rounded(self, boxes: Boxes) -> None:
        """The patterns that the relaxations lean towards."""
        middle = (boxes.lo + boxes.hi) / 2
        known = boxes.lo == boxes.hi
        centre = (self.pair.lo + self.pair.hi) / 2
        high = torch.where(known, middle >= centre, boxes.lean > 0)
        norms = torch.linalg.matrix_norm(
            (self.core.a * self.pair.slopes(high)[:, None, :]) @ self.core.b, 2
        )
        best = int(norms.argmax())
        if norms[best].item() > self.attained:
            self._offer(high[best])

    def _offer(self, high: Bool[Tensor, " n"]) -> None:
        """Climb from a pattern; remember it where it attains more."""
        high, _ = climb(self.core.a, self.core.b, self.pair.lo, self.pair.hi, high)
        value = self.pair.attained(high)
        if value > self.attained:
            self.attained = value
            self.high = high


def joined(parts: list[Boxes]) -> Boxes:
    """All boxes of several batches."""
    return Boxes(
        *(
            torch.cat(columns)
            for columns in zip(*(vars(part).values() for part in parts), strict=True)
        )
    )


def _split(boxes: Boxes) -> Boxes:
    """Two children for each box: the neuron of greatest loss at its upper and at its lower slope.

    Their multipliers stay feasible; beta starts higher by that loss, well inside, or the first
    steps would be short.
    """
    row = torch.arange(len(boxes.beta))
    losses = torch.where(boxes.free(), boxes.loss, -math.inf)
    loss, chosen = losses.max(1)
    upper = boxes.lo.clone()
    lower = boxes.hi.clone()
    upper[row, chosen] = boxes.hi[row, chosen]
    lower[row, chosen] = boxes.lo[row, chosen]
    tau, beta, bound = (torch.cat([x, x]) for x in (boxes.tau, boxes.beta + loss, boxes.bound))
    blank = torch.zeros_like(tau)
    lo = torch.cat([upper, boxes.lo])
    hi = torch.cat([boxes.hi, lower])
    return Boxes(lo, hi, tau, beta, bound, torch.zeros_like(beta), blank, blank)
