"""A statement as a fact that can be checked without this program."""

import math

import torch

from autolip.certificates import Proof, QuadraticFact
from autolip.methods.lipsdp.statement import Statement, nonlinear
from autolip.values import Certainty

LARGEST_FACTORISED = 12_000
"""Order of H up to which the check is a factorisation (1.2 GiB; about a minute at the top)."""


def proof_of(statement: Statement, certainty: Certainty = Certainty.PROVED) -> Proof | None:
    """The one fact behind a statement; None where the norms have no such fact (an l2 -> l1 statement).

    The value is raised a little, half of it at the input and half at the output, so that H is positive by more than
    what the check needs: rounding for a factorisation, a margin that Lanczos can see for a confident bound.
    """
    order = statement.graph.input_shape.numel() + sum(v.shape.numel() for v in nonlinear(statement.graph))
    confident = certainty is Certainty.CONFIDENT or order > LARGEST_FACTORISED
    excess = 2e-3 if confident else 1e-7 + 2.0**-46 * order**2
    raised = 1 + excess
    fact = QuadraticFact(
        statement.graph.input,
        statement.graph.output,
        statement.p,
        statement.q,
        statement.value * raised,
        "lanczos" if confident else "cholesky",
        {name: positive(lam) * raised for name, lam in statement.multipliers.items()},
        _inputs(statement, raised),
        torch.ones(()) if statement.outputs is None else statement.outputs,
        excess,
    )
    return Proof(statement.graph, (fact,))


def _inputs(statement: Statement, raised: float) -> torch.Tensor:
    """mu, its total at most the square of the raised value for these outputs."""
    if statement.inputs is not None:
        return statement.inputs * raised**2 * (1 - 2.0**-50)
    outputs = 1.0 if statement.outputs is None else math.fsum(statement.outputs.flatten().tolist())
    return torch.tensor((statement.value * raised) ** 2 / outputs * (1 - 2.0**-50), dtype=torch.float64)


def positive(multipliers: torch.Tensor) -> torch.Tensor:
    """Multipliers with zeros replaced by the least that still counts: every neuron carries one in a certificate."""
    return multipliers.clamp(min=max(multipliers.max().item() * 1e-10, 2.0**-200))


__all__ = ["proof_of"]
