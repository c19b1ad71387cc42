"""Solutions of linear equations with a constant matrix: its inverse, enclosed.

With X about A^-1, R = I - A X and |R| <= S entry by entry, where S (2 S) <= S,

    A^-1 - X = X (R + R^2 + ...),    |A^-1 - X| <= |X| (S + S^2 + ...) <= |X| 2 S,

for S + S (2 S) <= 2 S, and so for all partial sums by induction.  What that is at most relative to
|X|, entry by entry, is the relative error of X as an operator.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from autolip.errors import InputError
from autolip.operators.algebra import compose
from autolip.operators.dense import Dense
from autolip.operators.diagonal import Identity
from autolip.operators.incidence import Incidence
from autolip.operators.operator import Operator
from autolip.rounded import Rounded
from autolip.roundoff import raised
from autolip.rules.linear import Value, combination, shape_of, tensor_of
from autolip.rules.rule import Action, Example, Operand, Variable, require_constant, rule

aten = torch.ops.aten

WORST = 2.0**-10
"""Chosen: largest relative error of an entry of an inverse; beyond it the matrix is refused."""

SMALL = 2.0**-500
"""Proved: products of an entry of at least this that underflow are less than this share of it."""

A = torch.tensor([[2.0, 0.3, -1.0], [0.5, -1.5, 0.2], [0.1, 0.4, 3.0]], dtype=torch.float64)
TWO = torch.stack([A, A.mT + torch.eye(3, dtype=torch.float64)])


def inverse(matrix: Tensor) -> tuple[Tensor, float]:
    """X and the relative error of its entries as those of the inverse; of matrices in a batch."""
    unit = torch.eye(matrix.shape[-1], dtype=torch.float64).expand(matrix.shape)
    found, singular = torch.linalg.inv_ex(matrix)
    if bool(singular.any()) or not bool(found.isfinite().all()):
        raise InputError("the matrix of a linear equation is singular: no solution is known")
    sizes = found[found != 0].abs()
    if bool((sizes < SMALL).any() or (sizes > 1 / SMALL).any()):
        raise InputError("the inverse of a matrix is beyond the range of float64: rescale it")
    pairs = zip(*(t.reshape(-1, *matrix.shape[-2:]) for t in (unit, matrix, found)), strict=True)
    return found, max((_error(*pair) for pair in pairs), default=0.0)


def _error(unit: Tensor, matrix: Tensor, found: Tensor) -> float:
    """The largest share of |X| that it can be off by; InputError where it is too much."""
    rest = Rounded.exact(unit) - Rounded.exact(matrix) @ Rounded.exact(found)
    size = rest.size
    spread = (found != 0) * size.max()
    for bound in (size, spread):
        n = len(unit)
        contracts = bool((raised(bound @ (2 * bound), n) <= bound).all())
        share = raised(found.abs() @ (2 * bound), n) / found.abs()
        lost = SMALL if bool(size.any()) else 0.0
        worst = raised(share.nan_to_num(nan=0.0).max().item() + lost, 2) if n else 0.0
        covers = bool((size <= bound).all()) and contracts
        if covers and worst <= WORST:
            return worst
    raise InputError(
        "the matrix of a linear equation is too near to a singular one for its inverse to be "
        "known: multiply by torch.linalg.inv(matrix), which is then a constant as computed"
    )


def _solved(matrix: Value, right: Value, left: bool) -> Action:
    """A^-1 B, or B A^-1; vectors as columns."""
    require_constant(A=matrix)
    found, error = inverse(tensor_of(matrix))  # type: ignore[arg-type]
    shape = tuple(shape_of(right))
    is_vector = left and (len(shape) == 1 or shape == tuple(found.shape[:-1]))
    first, last = _turns(shape, left, is_vector)
    rows = first.out_shape
    lead = torch.broadcast_shapes(rows[:-2], found.shape[:-2])
    spread = Incidence(lambda t: t.expand(*lead, *rows[-2:]), rows)
    weight = found if left else found.mT
    solution = Dense(weight.unsqueeze(-3) if weight.dim() > 2 else weight, spread.out_shape, error)
    operator = compose(Incidence(last, solution.out_shape), solution, spread, first)
    return combination(operator.out_shape, (operator, right))


def _turns(
    shape: tuple[int, ...], left: bool, is_vector: bool
) -> tuple[Operator, Callable[[Tensor], Tensor]]:
    """From a right side to rows that a matrix acts on, and back."""
    if is_vector:
        return Incidence(lambda t: t.unsqueeze(-2), shape), lambda t: t.squeeze(-2)
    if left:
        return Incidence(lambda t: t.mT, shape), lambda t: t.mT
    return Identity(shape), lambda t: t


@rule(
    aten._linalg_solve_ex.default,
    Example(A, Variable(3, 2), pick=0),
    Example(A, Variable(3), pick=0),
    Example(TWO, Variable(2, 3, 2), pick=0),
    Example(A, Variable(2, 3), left=False, pick=0),
    Example(A, Variable(4, 3, 2), pick=0),
)
def solve(A: Value, B: Value, left: bool, check_errors: bool) -> Action:
    """Exact by a constant matrix: its inverse."""
    return _solved(A, B, left)


@rule(
    aten.linalg_solve_triangular.default,
    Example(A, Variable(3, 2), upper=True),
    Example(A, Variable(2, 3), upper=False, left=False, unitriangular=True),
    Example(TWO, Variable(3, 2), upper=False),
)
def solve_triangular(self: Value, B: Value, upper: bool, left: bool, unitriangular: bool) -> Action:
    """Exact by a constant triangular matrix: its inverse."""
    return _solved(_triangle(self, upper, unitriangular), B, left)


@rule(
    aten.triangular_solve.default,
    Example(Variable(3, 2), A, pick=0),
    Example(Variable(3, 2), A, False, True, True, pick=0),
    Example(Variable(2, 3, 2), TWO, False, pick=0),
)
def triangular_solve(
    self: Value, A: Value, upper: bool, transpose: bool, unitriangular: bool
) -> Action:
    """Exact by a constant triangular matrix, or its transpose: the inverse."""
    triangle = _triangle(A, upper, unitriangular)
    return _solved(triangle.mT if transpose else triangle, self, True)


def _triangle(matrix: Value, upper: bool, unit: bool) -> Tensor:
    require_constant(A=matrix)
    assert not isinstance(matrix, Operand)
    entries = tensor_of(matrix)
    triangle = entries.triu() if upper else entries.tril()
    if not unit:
        return triangle
    diagonal = torch.diag_embed(triangle.diagonal(dim1=-2, dim2=-1))
    return triangle - diagonal + torch.eye(entries.shape[-1], dtype=torch.float64)
