"""A first layer that is narrower than its input, by a triangular one that reaches at least as much.

If C C^T >= W W^T, then for every x there is a shorter x' with C x' = W x (R. G. Douglas, 1966,
Theorem 1): what is proved of the network with C for W, in l2 at the input, holds for the network.
"""

import torch
from torch import Tensor

from autolip.errors import Refusal
from autolip.graph.views import SlopeGraph
from autolip.methods.lipsdp.relaxation.qr_reduction import with_first
from autolip.operators.norms.rounding import rounded_matrix
from autolip.operators.norms.semidefinite import is_semidefinite
from autolip.operators.operator import Operator
from autolip.rounded import Rounded, smallest_proved

WIDEST = 1024
"""Chosen: most outputs of a layer that is replaced."""

RAISED = 2.0**-40
"""Chosen: the share of its diagonal by which W W^T is raised at first."""


def narrowed(graph: SlopeGraph) -> SlopeGraph:
    """The network with a square first layer, its bound in l2 at the input hardly larger and never
    smaller; as it is where the first layer is not alone, not narrower, or not known."""
    return with_first(graph, covering)


def covering(operator: Operator) -> Tensor | None:
    """C with C C^T >= W W^T, proved; None where it is no narrower, or none could be proved."""
    if operator.out_size >= min(operator.in_size, WIDEST):
        return None
    layer = rounded_matrix(operator)
    if isinstance(layer, Refusal):
        return None
    least = layer.gram().above()

    def factor(share: float) -> Tensor:
        raised = least + torch.diag(least.diagonal() * share)
        return torch.linalg.cholesky_ex(raised).L

    def is_above(share: float) -> bool:
        found = Rounded.exact(factor(share))
        return is_semidefinite(found.gram() - Rounded.exact(least))

    share = smallest_proved(0.0, is_above, excess=RAISED, growth=8.0)
    return None if share is None else factor(share)
