"""The margins themselves, by a quadratic relaxation with multipliers, and by cases.

Secants from the sample do not know where a relu stands; here every relu keeps its place between its
two pieces (`autolip.robustness.margin.form`), and no Lipschitz constant is in between.
"""

import torch

from autolip.norms import Norm
from autolip.robustness.margin.branching import MANY, least_margin
from autolip.robustness.margin.form import Form
from autolip.robustness.margin.hinges import hinges_of
from autolip.robustness.margin.unranged import Unranged
from autolip.robustness.rungs.rung import rung
from autolip.robustness.trial import Trial

MOST = 2000
"""Chosen: relus that may switch, beyond which matrices would take gigabytes."""

CASES = 64
"""Chosen: cases at most."""


@rung("margin form", place=45)
def margin(trial: Trial) -> None:
    """Least margins over the ball and the ranges of all relus that may switch there.

    Nothing on balls in another norm than l2, where another operation bends, or where too many
    relus do.
    """
    _raised(trial, MOST, cases=1)


@rung("margin form without ranges", place=47)
def unranged(trial: Trial) -> None:
    """Least margins over linf and l1 balls and over boxes, a multiplier for each entry of a box.

    Nothing on l2 balls, where ranges say more, where another operation bends, or where inputs and
    relus together are too many.
    """
    if trial.norm is Norm.L2:
        return
    places = [trial.rivals.index(rival) for rival in trial.open]
    graph = trial.classifier.lowered
    forms = Unranged.all_of(graph, trial.prefix, trial.rows[places], MOST)
    for place, form in zip(places, forms, strict=False):
        found = form.searched(float(trial.needed[place]), trial.device)
        if found is None or trial.budget.expired or not form.proved(*found):
            return
        raised = torch.full_like(trial.least, -torch.inf)
        raised[place] = found[1]
        trial.raise_to(raised)


@rung("margin form by cases", place=60)
def cases(trial: Trial) -> None:
    """The same, relus fixed to one of their pieces case by case, where a time is given."""
    if trial.budget.limited:
        _raised(trial, MANY, CASES)


def _raised(trial: Trial, most: int, cases: int) -> None:
    """Of the rivals that may still win, nearest first, up to one that is not excluded."""
    if trial.norm is not Norm.L2:
        return
    chosen = trial.open
    places = [trial.rivals.index(rival) for rival in chosen]
    graph = trial.classifier.lowered
    hinges = hinges_of(graph, trial.prefix, trial.rows[places], most)
    if hinges is None:
        return
    for number, place in enumerate(places):
        needed = float(trial.needed[place])
        bound = least_margin(Form.of(hinges, number), needed, trial.budget, cases, trial.device)
        if not bound > needed:
            return
        raised = torch.full_like(trial.least, -torch.inf)
        raised[place] = bound
        trial.raise_to(raised)
