"""Sparse matrices of operators: entries within the stated error of those in extended precision.

Covers autolip.operators.fold too.
"""

import numpy as np
import torch

from autolip.errors import Refusal
from autolip.operators import Dense, Diagonal, Operator, compose
from autolip.operators.sparse import sparse_matrix
from autolip.rounded import Rounded


def extended(operator: Operator) -> np.ndarray:
    """The matrix, its leaves multiplied in extended precision."""
    units = np.eye(operator.in_size, dtype=np.longdouble)
    return operator.fold(
        units, lambda leaf, x: leaf.matrix().numpy().astype(np.longdouble) @ x, sum
    )


def test_entries_are_those_of_the_operator(operator: Operator) -> None:
    found = sparse_matrix(operator)
    if isinstance(found, Refusal):
        assert "not known" in str(found)
        return
    value, error, exact = found.value.toarray(), found.error.toarray(), extended(operator)
    assert value.shape == (operator.out_size, operator.in_size)
    assert (np.abs(value - exact) <= error).all()
    assert (error <= 1e-13 * (np.abs(value) + np.abs(value).max(initial=0)) + 2.0**-1060).all()


def test_errors_of_the_entries_are_passed_on() -> None:
    """Both factors off by a millionth: their product by up to twice as much."""
    matrix = torch.tensor([[1.0, -2.0], [3.0, 0.5]], dtype=torch.float64)
    found = sparse_matrix(
        compose(Dense(matrix, relative_error=1e-6), Dense(matrix.T, relative_error=1e-6))
    )
    assert isinstance(found, Rounded)
    size = (matrix.abs() @ matrix.abs().T).numpy()
    error = found.error.toarray()
    assert (size * 2e-6 <= error).all() and (error <= size * 2.001e-6).all()


def test_entries_that_underflow_have_an_error() -> None:
    tiny = Dense(torch.full((2, 2), 1e-170, dtype=torch.float64))
    operator = compose(tiny, Diagonal(torch.tensor([1.0, 2.0]), (2,)), tiny)
    found = sparse_matrix(operator)
    assert isinstance(found, Rounded) and not found.value.toarray().any()
    assert (extended(operator) <= found.error.toarray()).all()
    assert found.error.toarray().max() <= 2.0**-1060
