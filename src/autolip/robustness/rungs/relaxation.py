"""Linear relaxation of the margins on the region.

Zhang, Weng, Chen, Hsieh, Daniel, Efficient Neural Network Robustness Certification with General
Activation Functions, NeurIPS 2018 (CROWN), with the margin as the last affine map (Wong and Kolter,
ICML 2018).
"""

import torch

from autolip.intervals import Interval
from autolip.robustness.rungs.rung import rung
from autolip.robustness.trial import Trial


@rung("linear relaxation", place=20)
def relaxation(trial: Trial) -> None:
    """f_y - f_j at a point of reference, less the support function of a form above f_j - f_y.

    All differences in one pass backwards through the bounds that the ranges were made of.
    """
    prefix, output = trial.prefix, trial.classifier.lowered.output
    value = prefix.values[output]
    rivals = list(trial.rivals)
    forms = torch.zeros(len(rivals), value.numel(), dtype=torch.float64)
    forms[:, trial.label] = -1.0
    forms[torch.arange(len(rivals)), rivals] = 1.0
    above = prefix.upper(output, forms.reshape(-1, *value.shape))
    flat = value.reshape(-1)
    own = flat[trial.label].expand(len(rivals))
    centre = Interval(own, own) - Interval(flat[rivals], flat[rivals])
    trial.raise_to((centre - Interval(above, above)).lo)
