"""The matrix of an operator in sparse form, with what floating point did to it."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import torch
from scipy import sparse

from autolip.errors import Refusal
from autolip.intervals import UNIT, gamma
from autolip.operators.algebra import Zero
from autolip.operators.convolution import Convolution
from autolip.operators.dense import Dense
from autolip.operators.diagonal import Diagonal
from autolip.operators.fold import fold
from autolip.operators.incidence import Incidence
from autolip.operators.operator import DTYPE, Adjoint, Operator

Matrix = Any
"""scipy.sparse.csr_array (scipy has no types)."""

SMALLEST_PRODUCT = 2.0**-900
"""Least product of two entries, so that none underflows."""


@dataclass(frozen=True)
class Sparse:
    """A computed matrix, and a bound on its distance from the exact one, entry by entry."""

    value: Matrix
    error: Matrix
    unit: bool = False
    """Whether it is exactly the identity."""

    @staticmethod
    def identity(size: int) -> "Sparse":
        """Of that order, exactly."""
        return Sparse(sparse.eye_array(size, format="csr"), _none((size, size)), unit=True)


def sparse_matrix(operator: Operator) -> Sparse | Refusal:
    """The matrix (outputs x inputs, both flat); refused where entries are unknown or too small for
    the analysis.

    Leaves are written out, and their products made with running errors: gamma |A| |B| for every
    product but those in which nothing is added and one factor moves entries only.
    """
    try:
        return fold(operator, Sparse.identity(operator.in_size), _product, _sum)
    except _Unknown as reason:
        return Refusal(str(reason))


class _Unknown(Exception):
    """An operator whose entries cannot be written out."""


def _product(leaf: Operator, x: Sparse) -> Sparse:
    """A x."""
    a = _entries(leaf)
    if x.unit:
        return Sparse(
            a,
            abs(a) * (leaf.relative_error * (1 + 4 * UNIT))
            if leaf.relative_error
            else _none(a.shape),
        )
    if not a.nnz or not x.value.nnz:
        return Sparse(*(_none((leaf.out_size, x.value.shape[1])) for _ in range(2)))
    if _least(a) * min(_least(x.value), _least(x.error)) < SMALLEST_PRODUCT:
        raise _Unknown(f"entries of {leaf} are too small to be written out")
    rows = _most(a)
    terms = min(rows, _most(x.value.T.tocsr()))
    exact = terms <= 1 and (_moves(a) or _moves(x.value))
    share = leaf.relative_error + (0.0 if exact else gamma(terms))
    size = abs(a)
    error = size @ x.error * (1 + leaf.relative_error) + (size @ abs(x.value)) * share
    return Sparse(
        a @ x.value, error * (1 + gamma(rows + 8))
    )  # sums of `rows` terms and six roundings


def _sum(parts: Sequence[Sparse]) -> Sparse:
    rounding = gamma(len(parts))
    values = [part.value for part in parts]
    sizes = reduce(lambda a, b: a + b, [abs(value) for value in values])
    errors = reduce(lambda a, b: a + b, [part.error for part in parts])
    return Sparse(
        reduce(lambda a, b: a + b, values), (errors + sizes * rounding) * (1 + 2 * rounding)
    )


def _none(shape: tuple[int, int]) -> Matrix:
    return sparse.csr_array(shape)


def _entries(leaf: Operator) -> Matrix:
    """The stored numbers of a leaf, where they stand."""
    if isinstance(leaf, Adjoint):
        return _entries(leaf.operator).T.tocsr()
    if isinstance(leaf, Zero):
        return sparse.csr_array((leaf.out_size, leaf.in_size))
    if isinstance(leaf, Diagonal):
        return sparse.diags_array(
            leaf.scale.broadcast_to(leaf.in_shape).reshape(-1).numpy(), format="csr"
        )
    if isinstance(leaf, Dense) and leaf.weight.dim() == 2:
        return _repeated(sparse.csr_array(leaf.weight.numpy()), math.prod(leaf.in_shape[:-1]))
    if isinstance(leaf, Convolution):
        return _convolution(leaf)
    if isinstance(leaf, Incidence) and leaf.is_selection:
        return _selection(leaf)
    if leaf.entrywise(torch.abs) is None:
        raise _Unknown(f"the entries of {leaf} are not known")
    return sparse.csr_array(leaf.matrix().numpy())


def _selection(wiring: Incidence) -> Matrix:
    """Every output copies one input at most: which one shows the image of 1, 2, 3, ..."""
    numbers = torch.arange(1, wiring.in_size + 1, dtype=DTYPE).reshape(1, *wiring.in_shape)
    sources = wiring.mv(numbers).reshape(-1).long().numpy()
    (rows,) = sources.nonzero()
    return sparse.csr_array(
        (np.ones(len(rows)), (rows, sources[rows] - 1)), shape=(wiring.out_size, wiring.in_size)
    )


def _convolution(conv: Convolution) -> Matrix:
    """The sum over taps of (channels of the tap) x (places it reads), one Kronecker product each.

    A transposed one is the transpose of the convolution from its outputs to its inputs.
    """
    geometry, dims = conv.geometry, conv.geometry.dims
    shapes = (
        (conv.out_shape, conv.in_shape) if geometry.transposed else (conv.in_shape, conv.out_shape)
    )
    image, out = (shape[-dims:] for shape in shapes)
    groups = conv.weight.unflatten(0, (geometry.groups, -1)).numpy()
    total = None
    for tap in itertools.product(*map(range, conv.weight.shape[2:])):
        channels = sparse.block_diag([group[(..., *tap)] for group in groups], format="csr")
        axes = zip(
            tap, image, out, geometry.stride, geometry.padding, geometry.dilation, strict=True
        )
        term = sparse.kron(
            channels, reduce(sparse.kron, [_reads(*axis) for axis in axes]), format="csr"
        )
        total = term if total is None else total + term
    assert total is not None
    lead = math.prod(conv.in_shape[: -dims - 1])
    return _repeated(total.T.tocsr() if geometry.transposed else total, lead)


def _reads(tap: int, image: int, out: int, stride: int, padding: int, dilation: int) -> Matrix:
    """Along one axis: which place of the image each output reads with this tap."""
    outputs = np.arange(out)
    places = outputs * stride - padding + tap * dilation
    inside = (places >= 0) & (places < image)
    return sparse.csr_array(
        (np.ones(inside.sum()), (outputs[inside], places[inside])), shape=(out, image)
    )


def _repeated(matrix: Matrix, times: int) -> Matrix:
    return matrix if times == 1 else sparse.kron(sparse.eye_array(times), matrix, format="csr")


def _moves(matrix: Matrix) -> bool:
    return bool((abs(matrix.data) == 1).all())


def _most(matrix: Matrix) -> int:
    """Entries in a row, at most."""
    return int(np.diff(matrix.indptr).max(initial=0))


def _least(matrix: Matrix) -> float:
    """The smallest size of an entry that is not 0; 1 where there is none."""
    sizes = np.abs(matrix.data[matrix.data != 0])
    return float(sizes.min()) if sizes.size else 1.0
