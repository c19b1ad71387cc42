"""LipSDP on the region, one difference of two outputs after the other.

|f_y(x) - f_j(x) - (f_y(c) - f_j(c))| <= K_j |x - c|, with K_j from LipSDP-Neuron (Fazlyab, Robey,
Hassani, Morari, Pappas, NeurIPS 2019) on the slopes that the region leaves.
"""

from autolip.budget import Budget
from autolip.methods import Problem
from autolip.methods.lipsdp.method import LipSDP
from autolip.norms import Norm
from autolip.operators.norms import NormOptions
from autolip.outputs import Difference
from autolip.robustness.rungs.rung import rung
from autolip.robustness.trial import Trial
from autolip.values import Certainty, Upper

SHARE = 0.5
"""Chosen: part of the time that is left that one difference may take."""

SECONDS = 1.0
"""Tuned on zoo/robustness/mnist_mlp: seconds of counted work for one difference."""


@rung("lipsdp", place=40)
def lipsdp(trial: Trial) -> None:
    """The margins at the centre, less what LipSDP lets them move.

    The nearest rival first, as long as each is beaten; randomised bounds do not count.
    """
    if trial.norm is Norm.L1 or not trial.region.interval(trial.classifier.shape).is_bounded:
        return
    options = NormOptions(proved_only=True, budget=trial.budget)
    problem = Problem.pose(trial.classifier.graph, trial.region, trial.norm, Norm.L2, options)
    for rival in trial.open:
        if trial.budget.expired:
            return
        seconds = min(SECONDS, SHARE * trial.budget.left)
        readout = Difference(trial.label, rival).readout(problem.slopes.output_shape)
        posed = problem.reading(readout).with_budget(Budget.of(None))
        found = LipSDP(seconds=seconds).answer(posed)
        value = getattr(found, "value", None)
        if not isinstance(value, Upper) or value.certainty is not Certainty.PROVED:
            return
        trial.calm(rival, value)
        if rival in trial.open:
            return
