"""LipSDP: the semidefinite relaxation of the Lipschitz constant, on any graph."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import torch

from autolip.budget import UNLIMITED, WALL, Budget, counting
from autolip.errors import InputError, Refusal, TooLate
from autolip.graph.fixed import without_fixed
from autolip.graph.views import SlopeGraph
from autolip.methods.autolip import infinite, walk
from autolip.methods.lipsdp.certificate import CHEAPLY_FACTORISED, LARGEST_FACTORISED, certified
from autolip.methods.lipsdp.differences import of_differences
from autolip.methods.lipsdp.joined import joined
from autolip.methods.lipsdp.relaxation.constraint import nonlinear
from autolip.methods.lipsdp.relaxation.relaxation import Relaxation
from autolip.methods.lipsdp.search.effort import Effort
from autolip.methods.lipsdp.search.interior_point import solved
from autolip.methods.lipsdp.search.iterate import place_of
from autolip.methods.lipsdp.search.rounds import Search
from autolip.methods.lipsdp.statement import Proved
from autolip.methods.method import Bound, Method, Problem, method
from autolip.norms import EVERY_PAIR, Norm, Pair
from autolip.operators.operator import CPU
from autolip.outputs import Component, Difference
from autolip.values import Upper

FAR = 0.5
"""Tuned on a transformer layer: part of the product bound below which the network in blocks, of
which each is a gain, has no smaller bound than entry by entry."""


@method("lipsdp")
@method("lipsdp-cvxpy", solver="cvxpy", seconds=120.0)
@dataclass(frozen=True)
class LipSDP(Method):
    """Upper bound on the Lipschitz constant: LipSDP-Neuron by the vector power method, every value
    proved afresh.

    The least value for which H(value^2, lam) >= 0 with a multiplier per neuron (see
    lipsdp.statement), found by forward and backward passes of the network on a batch of `rank`
    (None: by its size); proved by the layerwise recursion, by a Cholesky factorisation of H, or,
    beyond its size, with high probability by Lanczos. Ends where the proved value is within
    `tolerance` of what the relaxation attains, or after `steps`. With a time budget it goes on
    until the two are within `closest`, or the time is spent, to half of it again; without one after
    the work of about `seconds`, which is counted, so that the result repeats. Never above AutoLip,
    whose bound it is where nothing better was proved. Norms: l2 or linf at the input; at the output
    l2, l1 (from linf), linf (component by component), or any for a scalar. A network that cannot be
    stated as a whole is bounded stretch by stretch, joined by AutoLip (l2). `solver`: power, or
    cvxpy for the optimum of small networks, which refuses where it has none.
    """

    tolerance: float = 0.01
    rank: int | None = None
    margin: float = 0.01
    steps: int = 20_000
    seconds: float = 5.0
    closest: float = 1e-4
    solver: str = "power"

    name: ClassVar[str] = "lipsdp"
    norms: ClassVar[frozenset[Pair]] = frozenset(
        pair for pair in EVERY_PAIR if pair[0] is not Norm.L1
    )
    automatic: ClassVar[float] = 70
    lasting: ClassVar[bool] = True
    source: ClassVar[str] = (
        "Fazlyab, Robey, Hassani, Morari and Pappas, NeurIPS 2019, LipSDP-Neuron"
    )

    def __post_init__(self) -> None:
        if self.solver not in ("power", "cvxpy"):
            raise InputError(f"LipSDP has no solver {self.solver!r}: choose from cvxpy, power")

    def _accepts(self, problem: Problem) -> Refusal | None:
        """Refuses l2 -> l1, but for one output."""
        several = problem.slopes.output_shape.numel() != 1
        if several and (problem.p, problem.q) == (Norm.L2, Norm.L1):
            return Refusal("bounds the l2 -> l1 constant of one output only")
        return None

    def bound(self, problem: Problem) -> Bound | Refusal:
        base = walk(problem, problem.fused)
        known = isinstance(base, Bound) and isinstance(base.value, Upper) and base.value.value == 0
        hopeless = infinite(problem, problem.fused) is not None
        if known or hopeless or not any(nonlinear(problem.fused)):
            return base
        with self._clocked(problem) as clocked:
            found = self._relaxed(clocked, base)
            refused = isinstance(found, Refusal) and not clocked.budget.expired
            if refused and (problem.p, problem.q) == (Norm.L2, Norm.L2):
                found = self._joined(problem, clocked, str(found))
        least = self._least(found, base, problem.budget)
        if isinstance(least, Refusal) or not problem.budget.limited:
            return least
        hurried = problem.budget.expired or isinstance(found, TooLate)
        return replace(least, complete=least.complete and not hurried)

    def of_differences(
        self, problem: Problem, pairs: Sequence[Difference]
    ) -> Mapping[Difference, Bound] | Refusal:
        """Those of a network of moderate size, all at once."""
        if (problem.p, problem.q) not in self.norms or self.solver != "power":
            return super().of_differences(problem, pairs)
        return of_differences(problem, pairs)

    @contextmanager
    def _clocked(self, problem: Problem) -> Iterator[Problem]:
        """The problem with a deadline: its own, or one by counted work (on a GPU by the clock)."""
        if problem.budget.limited:
            yield problem
        elif place_of(problem.device) != CPU or self.solver != "power":
            yield problem.with_budget(problem.budget.at_most(self.seconds))
        else:
            with counting() as clock:
                yield problem.with_budget(Budget.of(self.seconds, clock))

    def _least(
        self, found: Bound | Refusal, base: Bound | Refusal, budget: Budget = UNLIMITED
    ) -> Bound | Refusal:
        """The smaller bound, with its proof; AutoLip's where nothing was proved, but not in a
        solver's place."""
        if isinstance(base, Refusal) or not isinstance(base.value, Upper):
            return found
        if isinstance(found, Refusal):
            if math.isinf(base.value.value) or self.solver != "power":
                return Refusal(f"{found}{_remedy(found, budget)}")
            note = f"AutoLip's bound: {found}{_remedy(found, budget)}"
            return replace(base, notes=(*base.notes, note), nearest=False)
        assert isinstance(found.value, Upper)
        value = Upper.least([found.value, base.value])
        if found.value.value <= base.value.value:
            return replace(found, value=value, contributions=base.contributions)
        note = f"AutoLip's bound, below the {found.value.value:.6g} that was proved"
        notes = (*base.notes, note, *found.notes)
        return replace(base, value=value, notes=notes, nearest=found.nearest)

    def _relaxed(self, problem: Problem, base: Bound | Refusal) -> Bound | Refusal:
        """The smaller one of the network entry by entry, where that is another, and in blocks; of
        these nothing is hoped where entries are far below the product bound."""
        if problem.entries is None:
            return self._of_graph(problem, problem.lowered)
        fine = self._of_graph(problem, problem.entries)
        if (
            isinstance(fine, Bound)
            and isinstance(base, Bound)
            and fine.value.value <= FAR * base.value.value
        ):
            return fine
        coarse = self._of_graph(problem, problem.lowered)
        if isinstance(fine, Refusal):
            return coarse
        return fine if isinstance(coarse, Refusal) else _smaller(fine, coarse)

    def _of_graph(self, problem: Problem, whole: SlopeGraph) -> Bound | Refusal:
        graph = without_fixed(whole)
        count = graph.output_shape.numel()
        if problem.q is Norm.LINF and count > 1:
            parts = [graph.then(Component(i).readout(graph.output_shape)) for i in range(count)]
        else:
            parts = [graph]
        q = Norm.L2 if parts[0].output_shape.numel() == 1 else problem.q
        found = list[tuple[Proved, str, bool]]()
        started = problem.budget.clock.now()
        for number, part in enumerate(parts):
            if number and problem.budget.expired:
                taken = problem.budget.clock.now() - started
                return TooLate(
                    f"no time left after {number} of {len(parts)} outputs",
                    2 * taken * len(parts) / number,
                )
            one = self._proved(part, problem, q, 1 / (len(parts) - number))
            if isinstance(one, TooLate):
                return replace(one, seconds=one.seconds * len(parts))
            if isinstance(one, Refusal):
                return one
            found.append(one)
        value = Upper.largest(proved.bound for proved, *_ in found)
        note = max(found, key=lambda one: one[0].bound.value)[1]
        largest = CHEAPLY_FACTORISED if value.events else LARGEST_FACTORISED
        statements = [proved.statement for proved, *_ in found]
        proof = partial(certified, graph, statements, problem.q, largest)
        return Bound(value, (), (note,), proof=proof, nearest=all(near for *_, near in found))

    def _proved(
        self, graph: SlopeGraph, problem: Problem, q: Norm, part: float
    ) -> tuple[Proved, str, bool] | Refusal:
        """What is proved of one relaxation in a part of the time that is left, a note on it, and
        whether that is near its optimum."""
        relaxation = Relaxation.of(graph, problem.p, q)
        if isinstance(relaxation, Refusal):
            return relaxation
        effort = self._effort(problem.budget.within(part), problem.device)
        say = lambda text: problem.say(f"{self.title}, {text}")  # noqa: E731
        search = Search(relaxation, effort, problem.options, say)
        if self.solver == "cvxpy":
            options = replace(problem.options, budget=effort.budget)
            exact = solved(relaxation, search.iterate.unit(), options)
            if isinstance(exact, Refusal):
                return exact
            note = f"the solver's optimum is {exact.optimum:.6g} (an estimate)"
            return exact.proved, note, True
        best = search.run().best
        return search.refusal if best is None else (best, search.note, search.near)

    def _effort(self, budget: Budget, device: torch.device | None) -> Effort:
        """As much as a budget allows."""
        closest = self.closest if budget.clock is WALL and self.solver == "power" else math.inf
        asked = self.tolerance, self.rank, self.margin, self.steps
        return Effort.within(budget, *asked, closest, device)

    def _joined(self, problem: Problem, clocked: Problem, reason: str) -> Bound | Refusal:
        """The stretches of a network that cannot be stated as a whole; `clocked` is the problem
        with a deadline."""

        def relaxed(graph: SlopeGraph, part: float) -> Upper | Refusal:
            found = self._proved(graph, clocked, Norm.L2, part)
            return found if isinstance(found, Refusal) else found[0].bound

        return joined(problem, relaxed, reason)

    def shared(self, count: int) -> "LipSDP":
        """The same for each of several problems, in the same time altogether."""
        return replace(self, seconds=self.seconds / count)


def _smaller(first: Bound, second: Bound) -> Bound:
    """That with the smaller value; what may fail of either counts."""
    assert isinstance(first.value, Upper) and isinstance(second.value, Upper)
    value = Upper.least([first.value, second.value])
    least = first if first.value.value <= second.value.value else second
    return replace(least, value=value)


def _remedy(found: Refusal, budget: Budget) -> str:
    """The time budget that would help, where there was too little time."""
    return f": {budget.remedy(found.seconds)}" if isinstance(found, TooLate) else ""
