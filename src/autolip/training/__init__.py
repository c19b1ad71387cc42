"""Training with the tightest bound as a penalty, and a monitor that proves it.

penalty = Penalty(model, example)               # an estimate, differentiable
objective = loss + lam * penalty().log()
loss = MarginLoss(Penalty(model, example, output="pairs"), radius=0.1)
monitor = Monitor(model, example, every=5)      # a bracket, proved
assert_lipschitz(model.eval(), 10.0, example)   # or says: rounding, not proved, or violated
spectral_cap_(model, 1.0)                       # true operator norms of convolutions
"""

from autolip.training.assertion import NotLipschitz, assert_lipschitz
from autolip.training.cap import spectral_cap_
from autolip.training.margin import MarginLoss
from autolip.training.monitor import Monitor, Record
from autolip.training.penalty import Penalty

__all__ = [
    "MarginLoss",
    "Monitor",
    "NotLipschitz",
    "Penalty",
    "Record",
    "assert_lipschitz",
    "spectral_cap_",
]
