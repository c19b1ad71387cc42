"""LipSDP on a batch of questions about one network: climb together, prove together."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.budget import UNLIMITED, Budget
from autolip.errors import Refusal
from autolip.graph.views import SlopeGraph
from autolip.methods.lipsdp.batch.ascent import Ascents
from autolip.methods.lipsdp.batch.proving import Claims, Prover
from autolip.methods.lipsdp.batch.questions import Answers, Questions, Vectors
from autolip.methods.lipsdp.batch.statements import statement
from autolip.methods.lipsdp.relaxation.narrowed_input import narrowed
from autolip.methods.lipsdp.relaxation.relaxation import Relaxation
from autolip.methods.lipsdp.statement import Statement
from autolip.norms import Norm
from autolip.operators.operator import CPU, DTYPE
from autolip.slopes import Between

LOOK = 20
"""Chosen: steps between two looks at who is done."""


@dataclass(frozen=True)
class Care:
    """How carefully a batch is solved: columns, and the steps and the margin eta of each round.

    A question is done when its value is within `tolerance` of what the relaxation attains.
    """

    rank: int = 6
    rounds: tuple[tuple[int, float], ...] = ((60, 3e-3), (120, 1e-3), (240, 3e-4), (480, 1e-4))
    tolerance: float = 1e-3
    dtype: torch.dtype = torch.float32
    device: torch.device = CPU
    seed: int = 0


USUAL = Care()
"""Tuned on dense networks: within 1e-3 of the optimum, mostly."""


@dataclass(frozen=True, eq=False)
class Batch:
    """The relaxations of one network for any slopes and read-outs: l2 output, input in `p`.

    A wide l2 input counts no more than the first layer that reads it (see narrowed_input).
    """

    graph: SlopeGraph
    relaxation: Relaxation
    """Of the graph, with a smaller input perhaps."""

    @staticmethod
    def of(graph: SlopeGraph, p: Norm = Norm.L2) -> "Batch | Refusal":
        """That of a network whose nonlinear vertices have one operand each.

        Slopes that no question gives are the network's own.  Refused where a vertex has no finite
        slopes.
        """
        small = narrowed(graph) if p is Norm.L2 else graph
        relaxation = Relaxation.of(small, p, Norm.L2)
        return relaxation if isinstance(relaxation, Refusal) else Batch(graph, relaxation)

    def statement(self, questions: Questions, answers: Answers, number: int) -> Statement | Refusal:
        """What was proved of one question, with its multipliers, about the network as it is."""
        multipliers = {name: lam[number] for name, lam in answers.multipliers.items()}
        inputs = None if answers.inputs is None else answers.inputs[number]
        value = float(answers.value[number])
        return self.stated(questions, number, value, multipliers, inputs)

    def stated(
        self,
        questions: Questions,
        number: int,
        value: float,
        multipliers: Mapping[str, Tensor],
        inputs: Tensor | None,
    ) -> Statement | Refusal:
        """That multipliers prove a value of one question."""
        whole, p = self.completed(questions), self.relaxation.p
        return statement(self.graph, p, whole, number, value, multipliers, inputs)

    @property
    def order(self) -> int:
        """Rows of a form for one read-out, where every entry bends."""
        items = self.relaxation.constraints.values()
        return 1 + sum(item.in_shape.numel() for item in items)

    @cached_property
    def prover(self) -> Prover:
        """Who proves what climbs claim."""
        return Prover(self.graph, self.relaxation)

    def solve(
        self,
        questions: Questions,
        *,
        wanted: Float[Tensor, " b"] | None = None,
        care: Care = USUAL,
        start: Vectors | None = None,
        budget: Budget = UNLIMITED,
    ) -> Answers | Refusal:
        """Proved values of all questions.

        A question leaves when its value and what the relaxation attains are near.  Where values are
        `wanted`, those alone are proved, which is quicker: a question leaves when its own is, or
        when the relaxation attains more; its value is what was wanted, or inf.  `start` are the
        vectors of other answers: of parents for children, `answers.vectors.taken(parents)`.

        Three samples of one network, whose neurons switch, rest and pass, and its two outputs::

            >>> import torch
            >>> from autolip.graph.views import Edge, SlopeGraph, Vertex
            >>> from autolip.intervals import Interval
            >>> from autolip.methods.lipsdp.batch.questions import Questions
            >>> from autolip.methods.lipsdp.batch.solve import Batch
            >>> from autolip.operators import Dense
            >>> from autolip.slopes import Between, Exact
            >>> def vertex(name, size, *edges):
            ...     shape = torch.Size([size])
            ...     return Vertex(name, shape, edges, Interval.everywhere(shape))
            >>> first, last = torch.tensor([[3.0, 4.0]]), torch.tensor([[1.0], [2.0]])
            >>> bends = Between(torch.zeros(1).double(), torch.ones(1).double())
            >>> graph = SlopeGraph("x", (
            ...     vertex("x", 2),
            ...     vertex("v", 1, Edge("x", Exact(Dense(first)))),
            ...     vertex("relu", 1, Edge("v", bends)),
            ...     vertex("y", 2, Edge("relu", Exact(Dense(last)))),
            ... ), "y")
            >>> lo, hi = torch.tensor([[0.0], [0.0], [1.0]]), torch.tensor([[1.0], [0.0], [1.0]])
            >>> slopes = {"relu": Between(lo.double(), hi.double())}
            >>> rows = torch.eye(2).unsqueeze(1)
            >>> answers = Batch.of(graph).solve(Questions.crossed(slopes, rows))
            >>> [round(value, 2) for value in answers.value.tolist()]
            [5.0, 10.0, 0.0, 0.0, 5.0, 10.0]
        """
        whole = self.completed(questions)
        return _Solving(self, whole, wanted, care, budget).run(start)

    def completed(self, questions: Questions) -> Questions:
        """The questions with the network's own slopes where they give none; ValueError where they
        name what the network does not have."""
        slopes = dict(questions.slopes)
        count = 1 + max(questions.samples.tolist(), default=0)
        for name, item in self.relaxation.constraints.items():
            if item.gain is None and name not in slopes:
                shape = (count, *item.out_shape)
                slopes[name] = Between(item.lo.expand(shape), item.hi.expand(shape))
        for name, slope in slopes.items():
            known = self.relaxation.constraints.get(name)
            if known is None or known.gain is not None or slope.lo.shape[1:] != known.out_shape:
                raise ValueError(f"{name} has no slopes of shape {tuple(slope.lo.shape[1:])}")
        return replace(questions, slopes=slopes)


@dataclass
class _Solving:
    """One run: who still climbs, and what is known of everyone."""

    batch: Batch
    questions: Questions
    wanted: Tensor | None
    care: Care
    budget: Budget

    def run(self, start: Vectors | None) -> Answers | Refusal:
        """Round after round, until nobody is left."""
        care, active = self.care, torch.arange(len(self.questions))
        ascents = Ascents(
            self.batch.relaxation,
            self.questions,
            care.rank if start is None else start.x.shape[1],
            dtype=care.dtype,
            device=care.device,
            seed=care.seed,
            vectors=start,
        )
        answers: Answers | None = None
        for steps, margin in care.rounds:
            ascents.margin = margin
            self._climb(ascents, active, steps)
            found = self._proved(ascents, self.questions.taken(active), active)
            if isinstance(found, Refusal):
                return found
            answers = found if answers is None else answers.written(active, found)
            stay = self._open(answers, active)
            if not bool(stay.any()) or self.budget.expired:
                break
            active = active[stay]
            ascents.keep(stay.nonzero().reshape(-1))
        assert answers is not None
        return answers

    def _climb(self, ascents: Ascents, active: Tensor, steps: int) -> None:
        """This many steps, or until everyone is settled or decided."""
        for number in range(1, steps + 1):
            ascents.step()
            if number % LOOK == 0 and (self._done(ascents, active) or self.budget.expired):
                break

    def _done(self, ascents: Ascents, active: Tensor) -> bool:
        primal, dual = (x.to(CPU, DTYPE) for x in (ascents.primal, ascents.dual))
        done = dual <= primal * (1 + self.care.tolerance / 20)
        if self.wanted is not None:
            wanted = self.wanted[active]
            done |= (dual * (1 + self.care.tolerance) <= wanted) | (ascents.attained() > wanted)
        return bool(done.all())

    def _proved(self, ascents: Ascents, questions: Questions, active: Tensor) -> Answers | Refusal:
        """What the multipliers prove; nothing is tried where more than is wanted is attained."""
        attained, multipliers = ascents.attained(), ascents.multipliers()
        inputs = ascents.weights()
        values = torch.full((len(questions),), math.inf, dtype=DTYPE)
        wanted = None if self.wanted is None else self.wanted[active]
        about = ascents.dual.to(CPU, DTYPE)
        claims = Claims(questions, multipliers, inputs, about, wanted)
        if wanted is not None:
            (at,) = (attained <= wanted).nonzero(as_tuple=True)
            claims = claims.taken(at)
        else:
            at = torch.arange(len(questions))
        if len(at):
            found = self.batch.prover.values(claims, self.budget)
            if isinstance(found, Refusal):
                return found
            values[at], used = found
            for name, lam in used.items():
                multipliers[name][at] = lam
        energies, vectors = ascents.energies(), ascents.vectors()
        return Answers(values, attained, multipliers, inputs, energies, vectors)

    def _open(self, answers: Answers, active: Tensor) -> Tensor:
        """Of those that climb, who has not ended."""
        value, attained = answers.value[active], answers.attained[active]
        still = value > attained * (1 + self.care.tolerance)
        if self.wanted is not None:
            wanted = self.wanted[active]
            still &= (value > wanted) & (attained <= wanted)
        return still
