"""From what climbs claim to proved values: together by the dual form, as many as fit in memory; one
by one, by the proofs of single statements, where that has too many rows."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.budget import UNLIMITED, Budget
from autolip.errors import Refusal
from autolip.graph.views import SlopeGraph
from autolip.methods.lipsdp.batch.dual_form import DualForm, SampleRows
from autolip.methods.lipsdp.batch.operand_rows import OperandRows
from autolip.methods.lipsdp.batch.questions import Questions
from autolip.methods.lipsdp.batch.statements import statement
from autolip.methods.lipsdp.proof.prove import prove
from autolip.methods.lipsdp.relaxation.relaxation import Relaxation
from autolip.operators.norms import NormOptions
from autolip.operators.operator import DTYPE

TILE = 2**22
"""Chosen: entries of the forms that are proved at once (32 MB each, a few of them)."""

GROWTHS = (1.0, 1.03, 1.15, 1.6, 4.0)
"""Chosen: what multipliers grow by from depth to depth, towards the input, until they are
feasible."""

MOST_ROWS = 3000
"""Chosen: rows of a form beyond which statements are proved one by one (72 MB, about a second)."""

MARGIN = 1e-3
"""Chosen: the margin that single proofs are told of; only Lanczos, which proves nothing here, makes
use of it."""


@dataclass(frozen=True)
class Claims:
    """What is claimed of some questions: multipliers lam, and mu where the input is linf; about
    what they prove, and what is wanted."""

    questions: Questions
    multipliers: Mapping[str, Tensor]
    inputs: Tensor | None
    about: Float[Tensor, " b"]
    wanted: Float[Tensor, " b"] | None

    def __len__(self) -> int:
        return len(self.questions)

    def taken(self, index: Tensor) -> "Claims":
        """Those of some questions."""
        return Claims(
            self.questions.taken(index),
            {name: lam[index] for name, lam in self.multipliers.items()},
            None if self.inputs is None else self.inputs[index],
            self.about[index],
            None if self.wanted is None else self.wanted[index],
        )


Found = tuple[Tensor, dict[str, Tensor]]
"""Values, inf where nothing was proved, and the multipliers that prove them."""


class Prover:
    """The proofs of one network's questions; its relaxation may have a smaller input."""

    def __init__(self, graph: SlopeGraph, relaxation: Relaxation) -> None:
        self.graph, self.relaxation = graph, relaxation

    @cached_property
    def rows(self) -> OperandRows:
        return OperandRows(self.relaxation.fused)

    def values(self, claims: Claims, budget: Budget = UNLIMITED) -> Found | Refusal:
        """What is wanted, or else the least that multipliers prove, larger ones where these are not
        feasible; nothing more once the budget is spent."""
        if self.order(claims.questions) > MOST_ROWS:
            return self._alone(claims, budget)
        return self._together(claims, budget)

    def order(self, questions: Questions) -> int:
        """How many rows a form has."""
        order = questions.readouts.shape[1]
        for name, item in self.relaxation.constraints.items():
            slope = questions.slopes.get(name)
            bends = None if slope is None else (slope.lo < slope.hi).flatten(1).sum(1)
            order += item.in_shape.numel() if bends is None else max(bends.tolist(), default=0)
        return order

    def _together(self, claims: Claims, budget: Budget) -> Found | Refusal:
        values = torch.full((len(claims),), math.inf, dtype=DTYPE)
        used = {name: lam.clone() for name, lam in claims.multipliers.items()}
        for index, form in self._forms(claims.questions):
            if isinstance(form, Refusal):
                return form
            part = claims.taken(index)
            for growth in GROWTHS if part.wanted is None else GROWTHS[:1]:
                tried = {
                    name: lam * self._grown(name, growth) for name, lam in part.multipliers.items()
                }
                values[index] = form.proved(tried, part.inputs, part.wanted)
                for name, lam in tried.items():
                    used[name][index] = lam
                missing = values[index].isinf()
                if not bool(missing.any()):
                    break
                index, form, part = index[missing], form.taken(missing), part.taken(missing)
            if budget.expired:
                break
        return values, used

    def _grown(self, name: str, growth: float) -> float:
        """Of a vertex's multipliers, where each depth's are `growth` times the next one's."""
        depths = self.relaxation.depths
        return float(growth ** (2 * (1 + max(depths.values()) - depths[name])))

    def _forms(self, questions: Questions) -> Iterator[tuple[Tensor, DualForm | Refusal]]:
        """Which questions are proved at once, and their form: samples together that fit, and of
        those as many questions."""
        order, inputs = self.order(questions), self.relaxation.graph.input_shape.numel()
        few = max(1, TILE // (order * max(order, inputs)))
        for samples in questions.samples.unique().split(few):
            (index,) = torch.isin(questions.samples, samples).nonzero(as_tuple=True)
            part = questions.taken(index)
            rows = SampleRows.of(self.rows, self.relaxation.constraints, part)
            if isinstance(rows, Refusal):
                yield index, rows
                return
            form = DualForm.of(rows, part)
            for tile in torch.arange(len(part)).split(max(1, TILE // order**2)):
                yield index[tile], form.taken(tile)

    def _alone(self, claims: Claims, budget: Budget) -> Found | Refusal:
        """By the recursion or a factorisation, of one statement after another."""
        values = torch.full((len(claims),), math.inf, dtype=DTYPE)
        options = NormOptions(proved_only=True, budget=budget)
        for number in range(len(claims)):
            made = statement(
                self.graph,
                self.relaxation.p,
                claims.questions,
                number,
                float(claims.about[number]),
                {name: lam[number] for name, lam in claims.multipliers.items()},
                None if claims.inputs is None else claims.inputs[number],
            )
            proved = made if isinstance(made, Refusal) else prove(made, MARGIN, options)
            if not isinstance(proved, Refusal):
                values[number] = proved.bound.value
            if budget.expired:
                break
        return values, {name: lam.clone() for name, lam in claims.multipliers.items()}
