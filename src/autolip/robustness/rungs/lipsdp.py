"""LipSDP on secants from the sample: all differences of two outputs in one batch.

|f_y(x) - f_j(x) - (f_y(c) - f_j(c))| <= K_j |x - c|, with K_j the calmness modulus at the sample c
on the region (Rockafellar and Wets, Variational Analysis, 1998, section 8.F), bounded by
LipSDP-Neuron (Fazlyab, Robey, Hassani, Morari, Pappas, NeurIPS 2019) on the slopes that secants
from c leave.
"""

from autolip.errors import Refusal
from autolip.robustness.rungs.calm import Calm
from autolip.robustness.rungs.rung import rung
from autolip.robustness.trial import Trial


@rung("lipsdp", place=40)
def lipsdp(trial: Trial) -> None:
    """The margins at the sample, less what LipSDP lets them move.

    Nothing from l1 balls, and where a gain has no bound.
    """
    calm = Calm.of(trial)
    if isinstance(calm, Refusal):
        return
    output = trial.classifier.lowered.output
    found = calm.constants(output, trial.rows, calm.wanted)
    if not isinstance(found, Refusal):
        trial.calm_all(found)
