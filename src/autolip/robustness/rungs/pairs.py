"""Global Lipschitz constants of the differences of two outputs, found once for all samples.

Y. Tsuzuku, I. Sato and M. Sugiyama, Lipschitz-Margin Training, NeurIPS 2018, with one constant for
each pair.
"""

from collections.abc import Callable, Iterable
from itertools import combinations

from autolip.budget import Budget, stopwatch
from autolip.errors import Refusal
from autolip.methods import Problem
from autolip.methods.differences import differences
from autolip.methods.lipsdp.method import LipSDP
from autolip.norms import Norm
from autolip.operators.norms import NormOptions
from autolip.outputs import Difference
from autolip.regions import Everywhere
from autolip.robustness.classifier import Classifier
from autolip.robustness.rungs.rung import rung
from autolip.robustness.trial import Trial
from autolip.values import INFINITE, Certainty, Upper

A_PAIR = 0.5
"""Tuned on zoo/robustness/mnist_mlp: seconds that LipSDP of one pair is worth at least."""

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
) -> Constants:
    """Proved constants of the pairs with one of these labels: AutoLip's, from one walk; LipSDP's as
    long as there is time, none where there is too little for all of them."""
    options = NormOptions(proved_only=True)
    problem = Problem.pose(classifier.graph, Everywhere(), norm, Norm.L2, options)
    known = differences(problem)
    found: Constants = {} if isinstance(known, Refusal) else _proved(known)
    labels = set(labels)
    wanted = [pair for pair in combinations(range(classifier.classes), 2) if labels & set(pair)]
    if norm is Norm.L1 or seconds < A_PAIR * len(wanted):
        return found
    elapsed = stopwatch()
    for number, pair in enumerate(wanted):
        left = (seconds - elapsed()) / (len(wanted) - number)
        if left < A_PAIR / 2:
            break
        say(f"global constants: pair {number + 1} of {len(wanted)}")
        readout = Difference(*pair).readout(problem.slopes.output_shape)
        answer = LipSDP(seconds=left).answer(problem.reading(readout).with_budget(Budget.of(None)))
        value = None if isinstance(answer, Refusal) else answer.value
        if isinstance(value, Upper) and value.certainty is Certainty.PROVED:
            found[pair] = Upper.least([value, found.get(pair, INFINITE)])
    return found


def _proved(bounds: Constants) -> Constants:
    """Those that no random vector enters."""
    return {pair: bound for pair, bound in bounds.items() if bound.certainty is Certainty.PROVED}
