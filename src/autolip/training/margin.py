"""Training for a certified radius: cross-entropy on logits that a change of the input may move
against the label."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autolip.errors import InputError
from autolip.training.penalty import Penalty


class MarginLoss(nn.Module):
    """Mean cross-entropy on z_j + radius K_yj, j != y: the worst logits that LipSDP's pair
    constants allow.

    K_yj is the penalty's estimate for the difference of outputs y and j, so that z_y is the largest
    of the shifted logits exactly where the sample is certified at `radius` (with estimates in place
    of bounds).  `penalty` must have been made with `output="pairs"`; its state is improved by one
    step a call.  `radius` is in units of the input, in the penalty's input norm.

    Raises InputError for another penalty, or a radius that is not a finite number >= 0.

    Source: Leino, Wang and Fredrikson, ICML 2021 (GloRo nets), with one constant a pair as in
    Fazlyab, Entesari, Roy and Chellappa, NeurIPS 2023 (CRM-LipLT).

        >>> import torch
        >>> from torch import nn
        >>> from autolip.training import MarginLoss, Penalty
        >>> model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
        >>> loss = MarginLoss(Penalty(model, torch.zeros(1, 8), output="pairs"), radius=0.1)
        >>> loss(model(torch.randn(5, 8)), torch.tensor([0, 1, 2, 0, 1])).shape
        torch.Size([])
    """

    def __init__(self, penalty: Penalty, radius: float) -> None:
        super().__init__()
        if not penalty.pairs:
            raise InputError(
                f"the penalty is on output '{penalty.output}': make it with output='pairs'"
            )
        if not 0 <= radius < float("inf"):
            raise InputError(f"the radius is {radius}: give a finite number >= 0")
        self.penalty = penalty
        self.radius = radius

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of a batch: logits (n, classes), labels (n,)."""
        return F.cross_entropy(logits + self.radius * self.constants()[labels], labels)

    def constants(self) -> Tensor:
        """K, symmetric with a zero diagonal, (classes, classes)."""
        each = self.penalty.constants()
        pairs = torch.tensor(self.penalty.pairs, device=each.device)
        i, j = pairs.T
        classes = int(j.max()) + 1
        upper = torch.zeros(classes, classes, device=each.device, dtype=each.dtype).index_put(
            (i, j), each
        )
        return upper + upper.T
