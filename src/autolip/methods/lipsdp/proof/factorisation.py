"""H >= 0 by a Cholesky factorisation that runs to completion, for a value that it needs.

With the input's term tau diag(weights), H >= 0 in all variables is, once those that are eliminated
and the other results are gone,  tau diag(weights) >= Schur complement in x:  the least tau is the
largest eigenvalue of the latter, scaled by the weights.
"""

import torch
from scipy.linalg.blas import dtrsm
from torch import Tensor

from autolip.budget import WALL, Clock, charge
from autolip.methods.lipsdp.proof.quadratic_form import Form
from autolip.methods.lipsdp.relaxation.relaxation import Relaxation
from autolip.operators.estimates.power import top_eigenvalue
from autolip.operators.norms.semidefinite import factorisation_share, lower_factor, shift_of
from autolip.operators.operator import largest
from autolip.rounded import Rounded, number
from autolip.roundoff import raised

WRITING = 7e-5
"""Seconds for each variable of H: tuned, measured on convolutional networks."""

FINEST = 1e-10
"""By how much of itself tau is raised first, at least: a choice, far below what is printed."""

LOOSENESS = 15
"""What is lost in the diagonal counts about order times as much in tau, and this often: tuned on
trained networks."""


def price(relaxation: Relaxation, clock: Clock = WALL) -> float:
    """About the seconds of a proof: two factorisations, as much again for what leads to them, and
    to write H out and eliminate its small blocks."""
    return relaxation.order**3 / clock.rate + WRITING * relaxation.variables


def least_factor(form: Form) -> float | None:
    """About the least tau for which H + tau diag(weights) on the input is positive, by what a proof
    of it needs; None where no tau will do."""
    room = 2 * shift_of(form.diagonal, form.slack)
    matrix = form.complement(form.diagonal - room)
    if matrix is None:
        return None
    free, root = len(matrix) - form.inputs, form.weights.sqrt()
    factor = lower_factor(matrix[:free, :free].clone())
    if factor is None:
        return None
    schur = -_symmetric(matrix[free:, free:])
    if free:
        cross = matrix[free:, :free].contiguous().numpy().T
        solved = torch.from_numpy(dtrsm(1.0, factor.numpy().T, cross, lower=0, trans_a=1))
        schur = schur + solved.T @ solved
    return max(top_eigenvalue(schur / root.unsqueeze(0) / root.unsqueeze(1)), 0.0)


def resolution(form: Form) -> float:
    """By how much of itself tau is raised first: what the factorisation of this many rows may
    lose."""
    order = form.matrix.shape[0]
    return max(FINEST, LOOSENESS * order * factorisation_share(order))


def holds(form: Form, tau: float) -> bool:
    """Whether H + tau diag(weights) >= 0 is proved."""
    free, inputs = form.diagonal.tensor_split([-form.inputs])
    raised_inputs = Rounded.exact(inputs) + Rounded.exact(form.weights) * number(tau)
    diagonal = torch.cat([free, raised_inputs.value])
    slack = raised(form.slack + largest(raised_inputs.error), 1)
    matrix = form.complement(diagonal - shift_of(diagonal, slack))
    charge(0.0 if matrix is None else len(matrix) ** 3 / 6)
    return matrix is not None and lower_factor(matrix) is not None


def _symmetric(lower: Tensor) -> Tensor:
    return torch.tril(lower) + torch.tril(lower, -1).T
