"""Exact constants: branch and bound with LipSDP in every case."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from autolip.budget import WALL, Budget, counting
from autolip.errors import InputError, NothingThere, Refusal
from autolip.graph.views import SlopeGraph
from autolip.methods.exact.calm import Calm
from autolip.methods.exact.certificate import certified, written
from autolip.methods.exact.kept import Kept
from autolip.methods.exact.proved import price
from autolip.methods.exact.tree import Tree
from autolip.methods.method import Bound, Method, Problem, method
from autolip.norms import EVERY_PAIR, Norm, Pair
from autolip.piecewise import signs
from autolip.piecewise.network import Network
from autolip.values import Upper

SHOWN = 8
"""Chosen: linear regions whose steepest pairs of points are handed on."""

FEW = 32
"""Tuned: neurons with several slopes up to which it is one of "auto", on random chains."""

FLAT, MANY = 2, 256
"""Tuned: inputs that move up to which it is one of "auto" on a bounded region with as many neurons:
boxes about the cells settle most of them (2-100-100-2 on a box of .223: 82 cases)."""

BRIEF = 3.0
"""Chosen: seconds that it takes there at most, without a time budget."""

SEVERAL = 100
"""Chosen: cases that have to be possible in that time."""

MODEST = 2**20
"""Chosen: entries of the matrices of a network up to which it is one of "auto"."""

SUMS = 8
"""Chosen: outputs in l1 from one point, at most: 2^8 sums of them in every cell."""

PAUSE = 0.2
"""Chosen: seconds between two reports."""

INTERRUPTED = "interrupted"
"""Defined: how a search ended that the user ended."""


@method("exact")
@dataclass(frozen=True)
class Exact(Method):
    """Upper bound: the constant of a piecewise linear network, to a relative `tolerance`; by
    default for about 3 s where at most 32 neurons have several slopes in the region, 16 where
    several outputs are measured otherwise than from l2 to l2, 256 where at most two entries of the
    input move in a bounded one.

    Cases fix the linear pieces of some neurons.  Each has LipSDP's bound, or one by the entries of
    the Jacobian, proved; those that cannot be the largest, or whose half-spaces have no interior
    (linear programs, their multipliers proved), are left out, the others split at a neuron of the
    first layer that has free ones, the largest bound first.  Where all pieces are known the map is
    linear.  A budget ends the work with the largest bound of what is open; without one it ends
    after the work of about `seconds`, which is counted.  The steepest pairs of points that were met
    are evaluated as lower bounds are.  With `most`, networks where more neurons have several
    slopes are left to others.

    `store` names a file in which the tree is kept, written now and then and at the end; with
    `resume` it may be there already, and the search goes on with it.  InputError where it is about
    another network, another question or was written by another version.
    """

    tolerance: float = 1e-6
    seconds: float = 60.0
    most: int | None = None
    store: str | Path | None = None
    resume: bool = False

    name: ClassVar[str] = "exact"
    norms: ClassVar[frozenset[Pair]] = EVERY_PAIR
    automatic: ClassVar[float | None] = 80
    lasting: ClassVar[bool] = True
    source: ClassVar[str] = (
        "branching on pieces: Bhowmick, D'Souza and Raghavan, LipBaB, ICANN 2021; bounds: Fazlyab, "
        "Robey, Hassani, Morari and Pappas, NeurIPS 2019; empty cells: Farkas 1902"
    )

    def __post_init__(self) -> None:
        if self.resume and self.store is None:
            raise InputError("to resume there must be a store: name its file")

    def brief(self) -> "Exact":
        return replace(self, seconds=BRIEF, most=FEW)

    def shared(self, count: int) -> "Exact":
        """In a part of the time."""
        return replace(self, seconds=self.seconds / count) if self.most is not None else self

    def _accepts(self, problem: Problem) -> Refusal | None:
        """Refuses operations that are not piecewise linear, more than 16 outputs or inputs of which
        signs decide the norm (l2 -> l1, linf -> l1, linf -> l2), networks beyond matrices; from one
        point units of the input, and several outputs but in linf and l1."""
        p, q = problem.p, problem.q
        outputs = problem.slopes.output_shape.numel()
        if problem.centre is not None:
            return self._from_one_point(problem, outputs)
        several = outputs != 1
        axis = signs.axis_of(p, q, outputs, problem.moving)
        count = outputs if axis == signs.ROWS else problem.moving
        if axis is not None and count > signs.MOST:
            of = "outputs" if axis == signs.ROWS else "entries of the input"
            return Refusal(
                f"bounds the {p.value} -> {q.value} constant of at most {signs.MOST} {of} only, by "
                f"all combinations of signs: here are {count}"
            )
        if self.most is None:
            return None
        spectral = (p, q) == (Norm.L2, Norm.L2)
        most = self.most // 2 if several and not spectral else self.most
        shape = problem.graph.input_shape
        flat = problem.moving <= FLAT and problem.region.is_bounded(shape)
        return self._is_large(problem, MANY if flat else most)

    def _from_one_point(self, problem: Problem, outputs: int) -> Refusal | None:
        """Refuses several outputs of which a length is no largest of a few sums, units, and to be
        one of "auto"."""
        if self.most is not None:
            return Refusal("is asked by its name for slopes from one point")
        if problem.scale is not None:
            return Refusal("takes slopes from one point in the units of the model alone")
        if outputs == 1 or problem.q is Norm.LINF:
            return None
        if problem.q is Norm.L1 and outputs <= SUMS:
            return None
        most = f"or up to {SUMS} in l1" if problem.q is Norm.L1 else "or several in l1 or linf"
        return Refusal(f"takes slopes from one point of one output, {most}: here are {outputs}")

    def _is_large(self, problem: Problem, most: int) -> Refusal | None:
        """Refuses more neurons with several slopes, and large matrices."""
        free = several_slopes(problem.slopes)
        if free > most:
            return NothingThere(f"{free} neurons have several slopes")
        entries = 0
        for link in problem.fused.links:
            entries += link.operator.in_size * link.operator.out_size
        if entries > MODEST:
            return NothingThere(f"its matrices have {entries} entries")
        return None

    def bound(self, problem: Problem) -> Bound | Refusal:
        network = written(problem)
        if isinstance(network, Refusal):
            return network if self.most is None else NothingThere(str(network))
        if not bool(network.moving.any()):
            return Refusal("no entry of the input moves in the region")
        kept = self._kept(problem)
        with self._clocked(problem) as budget:
            seconds = price(network, problem.p, problem.q)
            if self.most is not None and not budget.affords(SEVERAL * seconds):
                return NothingThere(f"the bound of one case takes about {seconds:.2g} s")
            if not budget.affords(seconds):
                needed = budget.remedy(seconds)
                return Refusal(f"the bound of one case takes about {seconds:.2g} s: {needed}")
            tree = self._tree(problem, network, budget)
            ended = self._searched(tree, problem, kept)
        value = Upper.at_most(tree.upper)
        complete = tree.finished or not (problem.budget.limited or ended == INTERRUPTED)
        notes = (_note(tree, ended), *([kept.note] if kept and not tree.finished else []))
        steep = _steep(tree)
        return Bound(
            value,
            notes=notes,
            complete=complete,
            steep=steep,
            proof=lambda: certified(problem, network, tree.record, value),
        )

    def _tree(self, problem: Problem, network: Network, budget: Budget) -> Tree:
        """The search, from one point or of any two."""
        asked = network, problem.p, problem.q, self.tolerance, budget
        if problem.centre is None:
            return Tree(*asked)
        return Calm(*asked, centre=problem.centre.reshape(-1))

    @contextmanager
    def _clocked(self, problem: Problem) -> Iterator[Budget]:
        """The problem's budget, or one by counted work."""
        if problem.budget.limited:
            yield problem.budget
        else:
            with counting() as clock:
                yield Budget.of(self.seconds, clock)

    def _kept(self, problem: Problem) -> Kept | None:
        """Where the tree is kept."""
        if self.store is None:
            return None
        return Kept.opened(self.store, self.resume, problem, self.tolerance)

    def _searched(self, tree: Tree, problem: Problem, kept: Kept | None) -> str:
        """What ended the search."""
        pace = Pace()
        try:
            if kept is not None and kept.is_there:
                kept.restore(tree)
            else:
                tree.start()
            if math.isinf(tree.upper):
                return "left by values that overflow"
            while not tree.finished and not tree.budget.expired:
                if kept is not None:
                    kept.save_now_and_then(tree)
                tree.step()
                if pace.is_due():
                    problem.say(f"{self.title}, {tree.said}")
        except KeyboardInterrupt:
            if math.isinf(tree.upper):
                raise
            ended = INTERRUPTED
        else:
            ended = "" if tree.finished else "ended by its time"
        if kept is not None:
            kept.save(tree)
        return ended


def several_slopes(slopes: SlopeGraph) -> int:
    """How many entries have several slopes, those of operations of which only a gain is known
    among them."""
    count = 0
    for vertex in slopes:
        for edge in vertex.edges:
            if edge.operator is None:
                known = edge.slope.known_entries or 0
                count += edge.slope.in_shape.numel() - known
    return count


def _steep(tree: Tree) -> tuple[Tensor, Tensor] | None:
    """Pairs of points in the steepest linear regions that were met."""
    shape = tree.network.input_shape
    x, y = tree.derivatives.pairs(tree.points.joined(tree.best).steepest(SHOWN))
    return (x.reshape(-1, *shape), y.reshape(-1, *shape)) if len(x) else None


def _note(tree: Tree, ended: str) -> str:
    """How far the search came."""
    gap = tree.upper / tree.lower - 1 if tree.lower else math.inf if tree.upper else 0.0
    counts = f"{tree.nodes} cases, {tree.empty} of them empty, {tree.leaves} linear"
    if tree.finished and gap <= tree.tolerance:
        return f"exact to {tree.tolerance:.0e}: {counts}"
    if tree.finished:
        return f"{100 * gap:.2g}% above the steepest region met, all cases closed: {counts}"
    return (
        f"{ended}, {100 * gap:.2g}% above the steepest region met: {counts}, {len(tree.open)} open"
    )


class Pace:
    """Says from time to time how far a search is."""

    def __init__(self) -> None:
        self.said = WALL.now()

    def is_due(self) -> bool:
        """Whether some time has passed since this was last so."""
        now = WALL.now()
        if now < self.said + PAUSE:
            return False
        self.said = now
        return True
