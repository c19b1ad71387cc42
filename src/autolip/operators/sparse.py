"""The matrix of an operator in sparse form, with what floating point did to it."""

import itertools
import math
from functools import reduce
from typing import Any

import numpy as np
import torch
from scipy import sparse

from autolip.errors import Refusal
from autolip.operators.convolution import Convolution
from autolip.operators.norms.rounding import by_halves, is_long
from autolip.operators.operator import DTYPE, Adjoint, Operator
from autolip.rounded import Rounded, total

Matrix = Any
"""scipy.sparse.csr_array (scipy has no types)."""


def identity(size: int) -> Rounded:
    """Of that order, exactly."""
    return Rounded.exact(sparse.eye_array(size, format="csr"))


def sparse_matrix(operator: Operator) -> Rounded | Refusal:
    """The matrix (outputs x inputs, both flat); refused where entries are unknown.

    Leaves are written out, and their products made with running errors, long ones by halves.
    """
    if is_long(operator):
        found = by_halves(operator)
        return found if isinstance(found, Refusal) else _thinned(found)
    try:
        return operator.fold(identity(operator.in_size), lambda leaf, x: _rounded(leaf) @ x, total)
    except _Unknown as reason:
        return Refusal(str(reason))


class _Unknown(Exception):
    """An operator whose entries cannot be written out."""


def _thinned(full: Rounded) -> Rounded:
    """The same in sparse form."""
    return Rounded(*(sparse.csr_array(part.numpy()) for part in (full.value, full.error)))


def _rounded(leaf: Operator) -> Rounded:
    """A leaf's entries, known up to its relative error."""
    return Rounded.relatively(_entries(leaf), leaf.relative_error)


def _entries(leaf: Operator) -> Matrix:
    """The stored numbers of a leaf, where they stand."""
    if isinstance(leaf, Adjoint):
        return _entries(leaf.operator).T.tocsr()
    if leaf.is_zero:
        return sparse.csr_array((leaf.out_size, leaf.in_size))
    scale = leaf.diagonal
    weight = leaf.matrices
    conv = Convolution.of(leaf)
    if scale is not None:
        entries = scale.broadcast_to(leaf.in_shape)
        numbers = entries.reshape(-1).numpy()
        return sparse.diags_array(numbers, format="csr")
    if weight is not None and weight.dim() == 2:
        return _repeated(sparse.csr_array(weight.numpy()), math.prod(leaf.in_shape[:-1]))
    if conv is not None:
        return _convolution(conv)
    if leaf.is_wiring and leaf.is_selection:
        return _selection(leaf)
    if not leaf.knows_entries:
        raise _Unknown(f"the entries of {leaf} are not known")
    return sparse.csr_array(leaf.matrix().numpy())


def _selection(wiring: Operator) -> Matrix:
    """Every output copies one input at most: which one shows the image of 1, 2, 3, ..."""
    numbered = torch.arange(1, wiring.in_size + 1, dtype=DTYPE)
    numbers = numbered.reshape(1, *wiring.in_shape)
    copied = wiring.mv(numbers).reshape(-1)
    sources = copied.long().numpy()
    (rows,) = sources.nonzero()
    return sparse.csr_array(
        (np.ones(len(rows)), (rows, sources[rows] - 1)), shape=(wiring.out_size, wiring.in_size)
    )


def _convolution(conv: Convolution) -> Matrix:
    """The sum over taps of (channels of the tap) x (places it reads), one Kronecker product each.

    A transposed one is the transpose of the convolution from its outputs to its inputs.
    """
    geometry = conv.geometry
    dims = conv.geometry.dims
    shapes = (
        (conv.out_shape, conv.in_shape) if geometry.transposed else (conv.in_shape, conv.out_shape)
    )
    image, out = (shape[-dims:] for shape in shapes)
    parts = conv.weight.unflatten(0, (geometry.groups, -1))
    groups = parts.numpy()
    written = None
    for tap in itertools.product(*map(range, conv.weight.shape[2:])):
        blocks = [group[(..., *tap)] for group in groups]
        channels = sparse.block_diag(blocks, format="csr")
        axes = zip(
            tap, image, out, geometry.stride, geometry.padding, geometry.dilation, strict=True
        )
        term = sparse.kron(
            channels, reduce(sparse.kron, [_reads(*axis) for axis in axes]), format="csr"
        )
        written = term if written is None else written + term
    assert written is not None
    batch = conv.in_shape[: -dims - 1]
    lead = math.prod(batch)
    return _repeated(written.T.tocsr() if geometry.transposed else written, lead)


def _reads(tap: int, image: int, out: int, stride: int, padding: int, dilation: int) -> Matrix:
    """Along one axis: which place of the image each output reads with this tap."""
    outputs = np.arange(out)
    first = outputs * stride - padding
    places = first + tap * dilation
    inside = (places >= 0) & (places < image)
    return sparse.csr_array(
        (np.ones(inside.sum()), (outputs[inside], places[inside])), shape=(out, image)
    )


def _repeated(matrix: Matrix, times: int) -> Matrix:
    return matrix if times == 1 else sparse.kron(sparse.eye_array(times), matrix, format="csr")
