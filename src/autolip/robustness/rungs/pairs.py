"""Global Lipschitz constants of the differences of two outputs, found once for all samples.

Y. Tsuzuku, I. Sato and M. Sugiyama, Lipschitz-Margin Training, NeurIPS 2018, with one constant for
each pair.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import combinations

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.budget import Budget
from autolip.errors import Refusal
from autolip.methods import Problem
from autolip.methods.differences import differences
from autolip.methods.lipsdp.batch.proving import MOST_ROWS
from autolip.methods.lipsdp.batch.questions import Questions
from autolip.methods.lipsdp.batch.solve import USUAL, Batch, Care
from autolip.norms import Norm
from autolip.operators.norms import NormOptions
from autolip.operators.operator import CPU
from autolip.regions import Everywhere
from autolip.robustness.classifier import Classifier
from autolip.robustness.rungs.rung import rung
from autolip.robustness.trial import Trial
from autolip.values import INFINITE, Certainty, Upper

WORTH = 2.0
"""Chosen: seconds from which LipSDP of all pairs is worth it: of eight samples."""

DENSE = Care(rank=32, rounds=((120, 1e-3), (240, 3e-4)))
"""Tuned on MLPs of 2 and 8 hidden layers for MNIST: proofs take nearly all of the time, and at rank
6 those of 8 layers fail for multipliers as they are (1.03 to 2.1 times what is attained, now less
than 1.009).  Passes of large networks, whose statements are proved one by one, would take too long
at that rank."""

Constants = dict[tuple[int, int], Upper]


@rung("global pairs", place=10)
def pairs(trial: Trial) -> None:
    """The margins at the centre, less what constants that hold everywhere let them move."""
    for rival in trial.rivals:
        known = trial.constants.get((min(trial.label, rival), max(trial.label, rival)))
        if known is not None:
            trial.calm(rival, known)


def constants(
    classifier: Classifier,
    norm: Norm,
    labels: Iterable[int],
    seconds: float,
    say: Callable[[str], None],
    device: torch.device | None = None,
) -> Constants:
    """Proved constants of the pairs with one of these labels: AutoLip's, from one walk, and
    LipSDP's, all in one batch, where there is time for it."""
    options = NormOptions(proved_only=True)
    problem = Problem.pose(classifier.graph, Everywhere(), norm, Norm.L2, options)
    known = differences(problem)
    found: Constants = {} if isinstance(known, Refusal) else _proved(known)
    if norm is Norm.L1 or seconds < WORTH:
        return found
    chosen = set(labels)
    pairs = [pair for pair in combinations(range(classifier.classes), 2) if chosen & set(pair)]
    say(f"global constants of {len(pairs)} pairs")
    rows = torch.zeros(len(pairs), 1, classifier.classes, dtype=torch.float64)
    for row, (i, j) in zip(rows, pairs, strict=True):
        row[0, i], row[0, j] = 1.0, -1.0
    values = _together(problem, rows, Budget.of(seconds), device or CPU)
    for pair, value in zip(pairs, values, strict=True):
        found[pair] = Upper.least([Upper.at_most(value), found.get(pair, INFINITE)])
    return found


def _together(
    problem: Problem, rows: Float[Tensor, "k 1 classes"], budget: Budget, device: torch.device
) -> list[float]:
    """LipSDP's constants of linear functions of the output, infinite where there is none."""
    unknown = [math.inf] * len(rows)
    batch = Batch.of(problem.lowered, problem.p)
    if isinstance(batch, Refusal):
        return unknown
    care = replace(DENSE if batch.order <= MOST_ROWS else USUAL, device=device)
    samples = torch.zeros(len(rows), dtype=torch.long)
    found = batch.solve(Questions({}, rows, samples), care=care, budget=budget)
    return unknown if isinstance(found, Refusal) else found.value.tolist()


def _proved(bounds: Constants) -> Constants:
    """Those that no random vector enters."""
    return {pair: bound for pair, bound in bounds.items() if bound.certainty is Certainty.PROVED}
