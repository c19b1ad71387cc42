"""LipSDP once more, on ranges that LipSDP itself has narrowed, layer after layer.

For every entry of a value that something bends, |v_i(x) - v_i(c)| <= calm(v_i) |x - c|: rows of one
batch each; narrower ranges leave fewer slopes to what comes after.
"""

import torch

from autolip.errors import Refusal
from autolip.robustness.rungs.calm import Calm
from autolip.robustness.rungs.rung import rung
from autolip.robustness.trial import Trial

MOST_ROWS = 160
"""Chosen: entries of one value that are asked about; where more bend, its ranges stay."""


@rung("lipsdp of rows", place=50)
def rows(trial: Trial) -> None:
    """As `lipsdp`, where a value after the first bend has got narrower ranges."""
    calm = Calm.of(trial)
    if isinstance(calm, Refusal):
        return
    for name in calm.bent[1:]:
        if trial.budget.expired:
            return
        if _narrowed(calm, name):
            calm = calm.refreshed()
    found = calm.constants(trial.classifier.lowered.output, trial.rows, calm.wanted)
    if not isinstance(found, Refusal):
        trial.calm_all(found)


def _narrowed(calm: Calm, name: str) -> bool:
    """Narrow the range of what a vertex reads; whether anything was asked."""
    operand = calm.operand(name)
    (unsettled,) = calm.unsettled(name).nonzero(as_tuple=True)
    if operand is None or not 0 < len(unsettled) <= MOST_ROWS:
        return False
    size = calm.graph[operand].shape.numel()
    units = torch.zeros(len(unsettled), size, dtype=torch.float64)
    units[torch.arange(len(unsettled)), unsettled] = 1.0
    found = calm.constants(operand, units)
    if isinstance(found, Refusal):
        return False
    calm.narrow(operand, unsettled, found)
    return True
