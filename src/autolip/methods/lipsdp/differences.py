"""All differences of outputs by LipSDP: from one trunk, then those that count on their own."""

from collections.abc import Mapping, Sequence
from functools import partial

import torch

from autolip.certificates import Proof
from autolip.errors import Refusal
from autolip.methods.lipsdp.batch.questions import Answers, Questions
from autolip.methods.lipsdp.batch.solve import Batch, Care
from autolip.methods.lipsdp.batch.trunk import Trunk, trunk_of
from autolip.methods.lipsdp.certificate import LARGEST_FACTORISED, certified
from autolip.methods.lipsdp.statement import Statement
from autolip.methods.method import Bound, Problem
from autolip.operators.operator import DTYPE
from autolip.outputs import Difference
from autolip.values import Upper

TOGETHER = 45
"""Chosen: how many are solved at once: as many as ten outputs have."""

LARGEST_ORDER = 512
"""Chosen: entries that bend up to which that is quicker than one by one."""


CLOSE = Care(
    rank=12,
    rounds=((120, 1e-3), (240, 3e-4), (480, 1e-4), (960, 1e-5)),
    tolerance=2e-4,
    dtype=DTYPE,
)
"""Tuned on dense networks: as near as single solves come."""


def of_differences(
    problem: Problem, pairs: Sequence[Difference]
) -> Mapping[Difference, Bound] | Refusal:
    """A bound of every difference: where they are many, one proof for all (see trunk), and proofs
    of their own for the largest, until one of these is the largest of all; of few all have their
    own."""
    batch = Batch.of(problem.lowered, problem.p)
    if isinstance(batch, Refusal):
        return batch
    if batch.order > LARGEST_ORDER:
        return Refusal(
            f"{batch.order} neurons are too many to bound several differences at once: at most "
            f"{LARGEST_ORDER}"
        )
    asked = _Asked(batch, problem)
    bounds = asked.by_trunk(pairs) if len(pairs) > TOGETHER else dict[Difference, Bound]()
    rest = sorted(pairs, key=lambda pair: -_value(bounds.get(pair)))
    largest = 0.0
    while rest and largest < _value(bounds.get(rest[0])) and not problem.budget.expired:
        now, rest = rest[:TOGETHER], rest[TOGETHER:]
        solved = asked.alone(now)
        if isinstance(solved, Refusal):
            return bounds or solved
        for pair, bound in solved.items():
            bounds[pair] = min(bound, bounds.get(pair, bound), key=_value)
            largest = max(largest, _value(bounds[pair]))
    return {pair: bound for pair, bound in bounds.items() if _value(bound) < torch.inf}


class _Asked:
    """A network's relaxation, asked for its differences."""

    def __init__(self, batch: Batch, problem: Problem) -> None:
        self.batch, self.problem = batch, problem
        self.size = problem.slopes.output_shape.numel()

    def by_trunk(self, pairs: Sequence[Difference]) -> dict[Difference, Bound]:
        """A bound of each from one proof; none where that fails."""
        trunk = trunk_of(self.batch, {}, budget=self.problem.budget)
        if isinstance(trunk, Refusal):
            return {}
        values = trunk.differences()[0]
        return {
            pair: Bound(
                Upper(float(values[pair.plus, pair.minus])),
                notes=("one proof for all differences",),
                proof=partial(self._proof_by_trunk, trunk, pair),
            )
            for pair in pairs
        }

    def alone(self, pairs: Sequence[Difference]) -> dict[Difference, Bound] | Refusal:
        """Those of some, each with multipliers of its own."""
        questions = self._questions(pairs)
        answers = self.batch.solve(questions, care=CLOSE, budget=self.problem.budget)
        if isinstance(answers, Refusal):
            return answers
        return {
            pair: Bound(
                Upper(float(answers.value[number])),
                notes=(f"the relaxation attains {float(answers.attained[number]):.6g}",),
                proof=partial(self._proof_alone, questions, answers, number),
            )
            for number, pair in enumerate(pairs)
        }

    def _questions(self, pairs: Sequence[Difference]) -> Questions:
        rows = torch.zeros(len(pairs), 1, self.size, dtype=DTYPE)
        numbers = torch.arange(len(pairs))
        rows[numbers, 0, torch.tensor([pair.plus for pair in pairs])] = 1.0
        rows[numbers, 0, torch.tensor([pair.minus for pair in pairs])] = -1.0
        return Questions({}, rows, torch.zeros(len(pairs), dtype=torch.int64))

    def _proof_alone(self, questions: Questions, answers: Answers, number: int) -> Proof | None:
        return self._certified(self.batch.statement(questions, answers, number))

    def _proof_by_trunk(self, trunk: Trunk, pair: Difference) -> Proof | None:
        """The trunk's multipliers, times w^T A w, are those of the difference."""
        questions = self._questions([pair])
        row = questions.readouts[0]
        square = float(trunk.squares(row)[0, 0])
        value = float(trunk.values(row)[0, 0])
        return self._certified(
            self.batch.stated(
                questions,
                0,
                value,
                {name: lam[0] * square for name, lam in trunk.multipliers.items()},
                None if trunk.inputs is None else trunk.inputs[0],
            )
        )

    def _certified(self, made: Statement | Refusal) -> Proof | None:
        if isinstance(made, Refusal):
            return None
        return certified(made.relaxation.graph, [made], self.problem.q, LARGEST_FACTORISED)


def _value(bound: Bound | None) -> float:
    """inf where nothing is known."""
    return float("inf") if bound is None else float(bound.value.value)
