"""A norm engine that nothing else of the package knows of: the largest sum of a column."""

from autolip.errors import Refusal
from autolip.norms import Norm
from autolip.operators.norms.engine import NormOptions, engine
from autolip.operators.norms.rounding import rounded_matrix
from autolip.operators.operator import Operator
from autolip.values import Upper


@engine("toy-columns", "l1", needs=lambda operator: operator.in_size < 100)
def toy_columns(operator: Operator, options: NormOptions) -> Upper | Refusal:
    """||A||_{1 -> 1} = max_j sum_i |A_ij|, from the matrix and its rounding."""
    matrix = rounded_matrix(operator)
    if isinstance(matrix, Refusal):
        return matrix
    sums = matrix.lengths(0, Norm.L1)
    return Upper.at_most(max(sums.tolist(), default=0.0))
