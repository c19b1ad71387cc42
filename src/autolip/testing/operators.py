"""The law of an operator: it is one matrix, whichever way it is asked."""

import torch
from torch import Tensor

from autolip.operators.operator import Operator, flat
from autolip.roundoff import TINY, sum_error
from autolip.testing.violation import LawViolation


def check_operator(operator: Operator, *, seed: int = 0) -> None:
    """An operator is one matrix, whichever way it is asked: products, adjoint, entries, majorant,
    split.

    The matrix is built from products with unit vectors, and everything else compared with it:
    batches of random vectors, the adjoint (dot test), `T`, `entrywise`, `magnitude`, `terms`,
    `majorant`, `split`.  For operators of at most a few thousand entries per side.  Raises
    LawViolation with the law and the largest deviation.
    """
    matrix = _matrix(operator)
    bound = operator.majorant()
    size = matrix.abs() if bound is None else torch.maximum(_matrix(bound), matrix.abs())
    if bool((_matrix(bound) * (1 + 1e-12) < matrix.abs()).any() if bound is not None else False):
        raise LawViolation(f"{operator}: its majorant is below |A| in some entry")
    _check_products(operator, matrix, size, torch.Generator().manual_seed(seed))
    _check_entries(operator, matrix)
    parts = operator.split()
    if parts is not None:
        positive, negative = (_matrix(part) for part in parts)
        if (positive < 0).any() or (negative < 0).any():
            raise LawViolation(f"{operator}: a part of its split has negative entries")
        _same(f"{operator}: the difference of its split", positive - negative, matrix, size)


def _matrix(operator: Operator) -> Tensor:
    """(m, n), from products with the unit vectors of the input."""
    units = torch.eye(operator.in_size, dtype=torch.float64).reshape(-1, *operator.in_shape)
    return operator.mv(units).reshape(operator.in_size, operator.out_size).T


def _check_products(
    operator: Operator, matrix: Tensor, size: Tensor, generator: torch.Generator
) -> None:
    x = torch.randn((3, *operator.in_shape), generator=generator, dtype=torch.float64)
    y = torch.randn((3, *operator.out_shape), generator=generator, dtype=torch.float64)
    image = operator.mv(x)
    pulled = operator.rmv(y)
    if (image.shape[1:], pulled.shape[1:]) != (operator.out_shape, operator.in_shape):
        raise LawViolation(
            f"{operator}: products have shapes {tuple(image.shape)} and {tuple(pulled.shape)}"
        )
    a = flat(x)
    b = flat(y)
    _same(f"{operator}: A x", flat(image), a @ matrix.T, a.abs() @ size.T)
    _same(f"{operator}: A^T y", flat(pulled), b @ matrix, b.abs() @ size)
    _same(f"{operator}: T x", operator.T.mv(y), pulled, (b.abs() @ size).reshape(pulled.shape))
    _same(f"{operator}: T^T y", operator.T.rmv(x), image, (a.abs() @ size.T).reshape(image.shape))
    _same(f"{operator}: its matrix()", operator.matrix(chunk=7), matrix, size)


def _check_entries(operator: Operator, matrix: Tensor) -> None:
    doubled = operator.entrywise(lambda entry: entry + entry.abs())
    if doubled is None:
        return
    if not torch.equal(_matrix(doubled), matrix + matrix.abs()):
        raise LawViolation(f"{operator}: entrywise does not map every entry of the matrix")
    if operator.magnitude is None or (matrix.abs() > operator.magnitude).any():
        raise LawViolation(
            f"{operator}: its magnitude {operator.magnitude} is below an entry of the matrix"
        )
    used = max([*(matrix != 0).sum(0).tolist(), *(matrix != 0).sum(1).tolist()], default=0)
    if used > operator.terms:
        raise LawViolation(
            f"{operator}: a row or column has {used} entries, more than its terms, {operator.terms}"
        )


def _same(what: str, value: Tensor, wanted: Tensor, size: Tensor) -> None:
    """Equality up to the rounding of a few thousand terms of the given sizes."""
    excess = ((value - wanted).abs() - sum_error(10_000, size) - TINY).flatten()
    if not (excess <= 0).all():
        raise LawViolation(
            f"{what} deviates from the matrix by {excess.max().item():.3g} more than "
            "rounding explains"
        )
