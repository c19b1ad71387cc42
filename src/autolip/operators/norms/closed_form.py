"""Norms that can be read off: entrywise scalings, and wirings whose rows or columns do not
overlap."""

from autolip.errors import Refusal
from autolip.operators.norms.engine import NORMAL_PAIRS, NormOptions, engine, upper
from autolip.operators.operator import Operator, largest
from autolip.values import Upper


@engine("zero", *NORMAL_PAIRS, needs=lambda a: a.is_zero, products=0, exact=True)
def zero(operator: Operator, options: NormOptions) -> Upper | Refusal:
    """||0|| = 0."""
    return Upper(0.0)


def is_diagonal(operator: Operator) -> bool:
    """Whether the operator scales every entry by itself."""
    return operator.diagonal is not None


@engine("diagonal", "l2", "l1", "l1:l2", "l1:linf", needs=is_diagonal, products=0, exact=True)
def diagonal(operator: Operator, options: NormOptions) -> Upper | Refusal:
    """||diag(d)||_{p -> q} = max |d_i| for p <= q: attained at a unit vector."""
    assert operator.diagonal is not None
    value = largest(operator.diagonal)
    if operator.relative_error == 0:
        return upper(value)
    return upper(value * (1 + operator.relative_error), ulps=2)


@engine("wiring", "l2", needs=lambda a: a.is_wiring, products=0, exact=True)
def wiring(operator: Operator, options: NormOptions) -> Upper | Refusal:
    """||A||_2 = sqrt(max column sum) if every row of the 0/1 matrix has at most one 1: A^T A is
    diagonal.

    Likewise sqrt(max row sum), if every column has at most one.
    """
    if operator.is_selection:
        return Upper(largest(operator.in_counts)).sqrt()
    if largest(operator.in_counts) <= 1:
        return Upper(largest(operator.out_counts)).sqrt()
    return Refusal(f"rows and columns of {operator} overlap")
