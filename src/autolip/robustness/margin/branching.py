"""A margin above a number on a whole region, case by case: signs of hinges.

Best of what branching on relus needs (R. Bunel, I. Turkaslan, P. Torr, M. P. Kumar and P. Kohli,
NeurIPS 2018): a case whose least margin is not proved to be above is two cases, v <= 0 and v >= 0
for one hinge; where all are proved, the least of their bounds holds on the region.
"""

import math
from dataclasses import replace

import torch

from autolip.budget import Budget
from autolip.operators.operator import CPU
from autolip.robustness.margin.form import OFF, ON, Form
from autolip.robustness.margin.interior_point import Ascent, Place
from autolip.robustness.margin.low_rank import Descent, is_finite, multipliers

FEW, MANY = 200, 600
"""Tuned on zoo/robustness: up to so few hinges an interior point method is as quick as low-rank
steps; of more than so many its steps take seconds."""

LOOKS = ((60, 1e-3), (60, 3e-4), (120, 1e-4))
"""Chosen: low-rank steps before each look at what they prove, and their eta."""

RISEN = 0.1
"""Chosen: part of what is lacking that must be won between two looks."""

BALLS = (1.0, 1.05, 1.2)
"""Chosen: times the multiplier of the ball, the first that leaves the matrix definite."""

HOPELESS = 1.5
"""Chosen: gaps above its bound that a case may still reach."""


def least_margin(
    form: Form, needed: float, budget: Budget, cases: int, device: torch.device = CPU
) -> float:
    """A proved lower bound above `needed` of the margin; -inf where none was found."""
    pending, proved, tried = [form], math.inf, 0
    while pending:
        case = pending.pop()
        tried += 1
        bound, last = _proved(case, needed, budget, device)
        if bound > -math.inf:
            proved = min(proved, bound)
            continue
        room = tried + len(pending) + 2 <= cases
        hinge = _doubtful(case, last) if last is not None and room else None
        if hinge is None or budget.expired:
            return -math.inf
        pending += [case.fixed(hinge, OFF), case.fixed(hinge, ON)]
    return proved


def _proved(
    form: Form, needed: float, budget: Budget, device: torch.device
) -> tuple[float, Place | None]:
    """A bound above the number, proved in one case, or -inf; and the last place of the search."""
    ascent, last = Ascent(form), None
    count = len(form.lo)
    if count > FEW and len(form.open) == count:
        bound = _by_low_rank(form, ascent, needed, budget, device)
        if bound > -math.inf or count > MANY:
            return bound, None
    for last in ascent.places():
        if last.bound > needed:
            bound = needed + (last.bound - needed) / 2
            if bound > needed and form.proves(ascent.multipliers(last), bound):
                return bound, last
        elif last.bound + HOPELESS * last.gap < needed or budget.expired:
            break
    return -math.inf, last


def _by_low_rank(
    form: Form, ascent: Ascent, needed: float, budget: Budget, device: torch.device
) -> float:
    """A bound above the number, proved from low-rank steps, or -inf."""
    descent, before = Descent.of(form, device=device), -math.inf
    for steps, eta in LOOKS:
        *_, last = descent.passes(steps, eta)
        found = multipliers(form, last)
        if not is_finite(found):
            return -math.inf
        for times in BALLS:
            chosen = replace(found, ball=found.ball * times)
            best = ascent.bound(chosen)
            if best > -math.inf:
                break
        if best > needed:
            bound = needed + (best - needed) / 2
            return bound if bound > needed and form.proves(chosen, bound) else -math.inf
        if best - before < RISEN * (needed - best) or budget.expired:
            return -math.inf
        before = best
    return -math.inf


def _doubtful(form: Form, place: Place) -> int | None:
    """The open hinge whose z is furthest above max(v, 0), weighed by what it means to the margin;
    None where there is none."""
    if not len(form.open) or place.mean is None:
        return None
    rows = form.rows.value
    v = (rows[:-1] @ place.mean)[form.open]
    z = place.mean[1 + form.free :]
    links = rows[form.open][:, 1 + form.free :]
    share = form.hi[form.open] / (form.hi - form.lo)[form.open]
    eye = torch.eye(len(share), dtype=torch.float64)
    influence = torch.linalg.solve(eye - links.T * share, rows[-1, 1 + form.free :])
    doubt = (z - v.clamp(min=0.0)) * influence.abs()
    return int(form.open[doubt.argmax()])
