"""The quadratic form of a statement as a matrix, with its rounding: H in scaled variables, the
input last.

    H = value^2 |x|^2 + sum_k  lam_k (z_k^2 - 2 c_k z_k v_k + a_k b_k v_k^2)  +  nu |t|^2 - 2 t y

The least over t of its last two terms is -y^2 / nu: H >= 0 is the same with and without them, but
where a_k b_k = 0 throughout, with t every variable's own part of H is diagonal.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.errors import Refusal
from autolip.methods.lipsdp.relaxation.assembly import assembled
from autolip.methods.lipsdp.relaxation.elimination import Blocks
from autolip.methods.lipsdp.relaxation.operands import READ
from autolip.methods.lipsdp.statement import Statement
from autolip.operators.sparse import Matrix


@dataclass(frozen=True)
class Form:
    """H without the input's term value^2 |x|^2 (or mu): `matrix`, symmetric, exact up to `slack` in
    norm.

    The last `inputs` variables are x; `weights` is the diagonal of the input's term, for value 1
    (mu, if it is given).
    """

    matrix: Matrix
    slack: float
    inputs: int
    weights: Float[Tensor, " m"]
    blocks: Blocks

    @property
    def diagonal(self) -> Float[Tensor, " n"]:
        return torch.from_numpy(self.matrix.diagonal())

    def complement(self, diagonal: Float[Tensor, " n"]) -> Float[Tensor, "k k"] | None:
        """What remains of H, with this diagonal, once its blocks are eliminated; None where they
        are not definite."""
        return self.blocks.complement(self.matrix, diagonal.numpy())


def form_of(statement: Statement) -> Form | Refusal:
    """H as a matrix; refused where an affine part has unknown entries or a multiplier is not
    positive."""
    relaxation = statement.relaxation
    mu = statement.inputs
    nu = statement.outputs
    operands = relaxation.operands
    blocks = relaxation.blocks
    if isinstance(operands, Refusal):
        return operands
    if isinstance(blocks, Refusal):
        return blocks
    ones = torch.ones(relaxation.graph.input_shape, dtype=torch.float64)
    form = assembled(
        operands,
        relaxation.constraints,
        {
            relaxation.graph.input: ones * statement.value**2 if mu is None else mu,
            READ: ones.new_ones(()) if nu is None else nu,
            **{name: statement.multipliers[name] for name in relaxation.constraints},
        },
    )
    if isinstance(form, Refusal):
        return form
    scale = torch.from_numpy(form.scale[relaxation.graph.input])
    weights = (ones if mu is None else mu).reshape(-1) * scale**2
    return Form(form.matrix, form.slack, len(weights), weights, blocks)
