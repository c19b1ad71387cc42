"""One sample, judged: up the ladder until something decides."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from autolip.budget import Budget, stopwatch
from autolip.operators.operator import CPU
from autolip.regions import Region
from autolip.robustness.attack import Witness, attacked
from autolip.robustness.classifier import Classifier
from autolip.robustness.request import Request
from autolip.robustness.rungs import ladder
from autolip.robustness.rungs.rung import Rung
from autolip.robustness.surroundings import WHOLE
from autolip.robustness.trial import Trial, margins_at
from autolip.robustness.verdict import Outcome, Verdict
from autolip.values import Upper

DEAR = 30.0
"""Chosen: rungs from this place on come after an attack, which may spare them."""

CLOSE = 1.01
"""Defined by `Request`: ratio of two radii, of which one is certified, the other not, that ends a
bisection."""

STEP = 2.0
"""Chosen: factor between the radii that are tried as long as one side is not known."""

SHOWN = 3
"""Chosen: rivals that are named."""

LEAST = 1e-6
"""Chosen: share of the first radius below which no radius is tried."""


@dataclass(frozen=True)
class Judged:
    """What one radius came to."""

    outcome: Outcome
    method: str = ""
    witness: Witness | None = None
    reason: str = ""
    complete: bool = True


@dataclass(frozen=True)
class Judge:
    """Everything that samples are judged with: the same for all of them, and in every process."""

    classifier: Classifier
    request: Request
    constants: Mapping[tuple[int, int], Upper] = field(default_factory=dict)

    def verdict(self, index: int, x: Tensor, label: int, region: Region | None = None) -> Verdict:
        """The row of one sample, about its own region where it has one."""
        elapsed = stopwatch()
        budget = Budget.of(self.request.time_budget)
        found = self._judged(index, x.to(torch.float64), label, region, budget)
        return replace(found, seconds=elapsed())

    def _judged(
        self, index: int, x: Tensor, label: int, region: Region | None, budget: Budget
    ) -> Verdict:
        classifier = self.classifier
        predicted = int(classifier.values(x.unsqueeze(0))[0].argmax())
        rivals = tuple(self.request.rivals(label, classifier.classes))
        margins = margins_at(classifier, x, label, rivals)
        margin = float(margins.lo.min()) if rivals else math.inf
        row = Verdict(index, label, predicted, Outcome.OPEN, margin=margin)
        if rivals and bool((margins.hi <= 0).any()):
            return replace(row, outcome=Outcome.MISCLASSIFIED, attacked=0.0)
        if region is not None:
            return _row_of(row, self.judged(region, label, rivals, budget), WHOLE)
        if self.request.largest:
            return self._largest(row, x, rivals, budget)
        radius = self.request.radius or 0.0
        around = self.request.region(x, radius)
        return _row_of(row, self.judged(around, label, rivals, budget), radius)

    def judged(
        self,
        region: Region,
        label: int,
        rivals: tuple[int, ...],
        budget: Budget,
        dear: bool = True,
    ) -> Judged:
        """The ladder on one region, the dear rungs after an attack, or not at all."""
        request = self.request
        trial = Trial(
            self.classifier,
            region,
            label,
            rivals,
            request.norm,
            request.rounding,
            budget,
            self.constants,
            request.device or CPU,
        )
        rungs = ladder()
        cheap = [one for one in rungs if one.place <= DEAR]
        found = _climbed(trial, cheap)
        if found.outcome is Outcome.CERTIFIED or not found.complete:
            return found
        witness = self._attacked(trial)
        if witness is not None:
            return Judged(Outcome.ATTACKED, "projected gradient", witness)
        if not dear or trial.reason:
            return found
        return _climbed(trial, rungs[len(cheap) :])

    def _attacked(self, trial: Trial) -> Witness | None:
        request = self.request
        return attacked(
            self.classifier, trial.region, trial.label, trial.rivals, request.norm,
            request.restarts, request.rounding,
        )  # fmt: skip

    def _largest(self, row: Verdict, x: Tensor, rivals: tuple[int, ...], budget: Budget) -> Verdict:
        """The largest radius that is certified, to 1%: first by the cheap rungs, then by all of
        them between that and the least that is attacked, or hopeless."""
        search = Bisection(row, self._first(row, x, rivals))
        for dear in (False, True):
            search = search.reopened()
            while search.goes_on and not budget.expired:
                around = self.request.region(x, search.radius)
                found = self.judged(around, row.label, rivals, budget, dear)
                search = search.after(found)
        return replace(search.row, complete=not search.goes_on)

    def _first(self, row: Verdict, x: Tensor, rivals: tuple[int, ...]) -> float:
        """A radius to begin with: where the derivative at the sample would use its margin up, or
        the one that was asked about."""
        if self.request.radius:
            return self.request.radius
        x = x.unsqueeze(0).detach().requires_grad_()
        with torch.enable_grad():
            values = self.classifier.values(x)[0]
            margins = values[row.label] - values[list(rivals)]
            least = margins.min() if rivals else values[row.label]
            (gradient,) = torch.autograd.grad(least, x)
        steepness = float(self.request.norm.dual.of_rows(gradient.detach()))
        guess = abs(float(least.detach())) / steepness if steepness > 0 else 1.0
        return guess / STEP if math.isfinite(guess) and guess > 0 else 1.0


def _climbed(trial: Trial, rungs: Sequence[Rung]) -> Judged:
    """Rung by rung, until the label is known to win."""
    for one in rungs:
        if trial.budget.expired:
            late = f"the time ended before {one.name}"
            return Judged(Outcome.OPEN, reason=late, complete=False)
        one.prove(trial)
        if trial.is_certified:
            return Judged(Outcome.CERTIFIED, one.name)
    if trial.reason:
        return Judged(Outcome.OPEN, reason=trial.reason)
    lacking = ", ".join(map(str, trial.open[:SHOWN]))
    return Judged(Outcome.OPEN, reason=f"not proved against class {lacking}")


@dataclass(frozen=True)
class Bisection:
    """The largest certified radius so far, and the least that was not."""

    row: Verdict
    radius: float
    """To be tried next."""
    high: float = math.inf
    smallest: float = 0.0

    @property
    def low(self) -> float:
        return self.row.radius

    @property
    def goes_on(self) -> bool:
        """Whether the two are further apart than what is asked for."""
        return self.radius > self.smallest and self.high > self.low * CLOSE

    def reopened(self) -> "Bisection":
        """What was not certified by fewer rungs may be by more; what was attacked is not."""
        high = math.inf if self.row.attacked is None else self.row.attacked
        start = self.radius if self.low == 0 else _next(self.low, high)
        return replace(self, high=high, radius=start, smallest=LEAST * self.radius)

    def after(self, found: Judged) -> "Bisection":
        """What the radius came to, and the next one."""
        row, high = self.row, self.high
        if found.outcome is Outcome.CERTIFIED:
            row = replace(row, outcome=found.outcome, radius=self.radius, method=found.method)
        else:
            high = self.radius
            row = _with_attack(row, found, high)
        return replace(self, row=row, high=high, radius=_next(row.radius, high))


def _next(low: float, high: float) -> float:
    """The radius to try between two, or beyond the one that is known."""
    if math.isinf(high):
        return low * STEP
    return high / STEP**2 if low == 0 else math.sqrt(low * high)


def _with_attack(row: Verdict, found: Judged, radius: float) -> Verdict:
    """The row with a witness, where there is a nearer one; why nothing is certified yet."""
    reason = "" if row.radius else found.reason
    if found.witness is None:
        return replace(row, reason=reason)
    point = tuple(found.witness.x.flatten().tolist())
    return replace(row, attacked=radius, witness=point, by=found.witness.by, reason=reason)


def _row_of(row: Verdict, found: Judged, radius: float) -> Verdict:
    """The row of a single radius."""
    row = replace(
        row,
        outcome=found.outcome,
        method=found.method,
        reason=found.reason,
        complete=found.complete,
    )
    if found.outcome is Outcome.CERTIFIED:
        return replace(row, radius=radius)
    if found.witness is None:
        return row
    point = tuple(found.witness.x.flatten().tolist())
    return replace(row, attacked=radius, witness=point, by=found.witness.by)
