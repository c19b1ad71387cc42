"""Norms that can be read off: entrywise scalings, and wirings whose rows or columns do not
overlap."""

from autolip.errors import Refusal
from autolip.norms import Norm
from autolip.operators.algebra import Zero
from autolip.operators.diagonal import Diagonal
from autolip.operators.incidence import Incidence
from autolip.operators.norms.engine import NormOptions, engine, upper
from autolip.operators.operator import Adjoint, Operator, largest
from autolip.values import Upper


@engine("zero", Zero, cheap=True, exact=True)
@engine("zero", Zero, p=Norm.L1, q=Norm.L1, cheap=True, exact=True)
@engine("zero", Zero, p=Norm.L1, q=Norm.L2, cheap=True, exact=True)
@engine("zero", Zero, p=Norm.L1, q=Norm.LINF, cheap=True, exact=True)
@engine("zero", Zero, p=Norm.L2, q=Norm.L1, cheap=True, exact=True)
@engine("zero", Zero, p=Norm.LINF, q=Norm.L1, cheap=True, exact=True)
def zero(operator: Operator, options: NormOptions) -> Upper | Refusal:
    """||0|| = 0."""
    return Upper(0.0)


@engine("diagonal", Diagonal, cheap=True, exact=True)
@engine("diagonal", Diagonal, p=Norm.L1, q=Norm.L1, cheap=True, exact=True)
@engine("diagonal", Diagonal, p=Norm.L1, q=Norm.L2, cheap=True, exact=True)
@engine("diagonal", Diagonal, p=Norm.L1, q=Norm.LINF, cheap=True, exact=True)
def diagonal(operator: Operator, options: NormOptions) -> Upper | Refusal:
    """||diag(d)||_{p -> q} = max |d_i| for p <= q: attained at a unit vector."""
    assert isinstance(operator, Diagonal)
    value = largest(operator.scale)
    if operator.relative_error == 0:
        return upper(value)
    return upper(value * (1 + operator.relative_error), ulps=2)


@engine("wiring", Incidence, Adjoint, cheap=True, exact=True)
def wiring(operator: Operator, options: NormOptions) -> Upper | Refusal:
    """||A||_2 = sqrt(max column sum) if every row of the 0/1 matrix has at most one 1: A^T A is
    diagonal.

    Likewise sqrt(max row sum), if every column has at most one.
    """
    base = operator.operator if isinstance(operator, Adjoint) else operator
    if not isinstance(base, Incidence):
        return Refusal(f"{operator} is not wiring")
    if base.is_selection:
        return Upper(largest(base.in_counts)).sqrt()
    if largest(base.in_counts) <= 1:
        return Upper(largest(base.out_counts)).sqrt()
    return Refusal(f"rows and columns of {operator} overlap")
