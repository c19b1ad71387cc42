"""The matrix of H, term by term, in scaled variables, with its rounding.

    H = sum_k  lam_k (z_k^2 - 2 c_k z_k v_k + a_k b_k v_k^2)  +  nu |t|^2 - 2 t y

with c = (a + b) / 2, without the input's own term; v_k and y are those of operands.  A variable s
with the weight lam is scaled by a power of two D near 1/sqrt(lam), so that the diagonal of H is
about 1 and no rounding happens on the way.  Errors are bounded in the Frobenius norm, block by
block: entry by entry they would cost several times as much as H.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from autolip.errors import Refusal
from autolip.methods.lipsdp.relaxation.constraint import Constraint
from autolip.methods.lipsdp.relaxation.operands import READ, Operands, Rows
from autolip.operators.sparse import Matrix
from autolip.roundoff import dot_error, raised, upper_norm

Array = NDArray[np.float64]

HEAVIEST = 2.0**400
"""Greatest multiplier, and reciprocal of one: a choice; products of what a proof multiplies stay
far within floating point."""

LEAST_PRODUCT = 2.0**-900
"""Least product of two slopes of opposite signs: a choice (one of the same sign may be lost: H
without it is smaller)."""

LOST = 2.0**-150
"""More than what underflows of H, in norm, proved: a lost 2^-1074 is multiplied by 2^800 at most,
for the weights lie within 2^400, their roots within 2^200, and the matrices' entries below that."""


@dataclass(frozen=True)
class Assembled:
    """H without the input's own term, symmetric, exact up to `slack` in norm, and what each
    variable was scaled by."""

    matrix: Matrix
    slack: float
    scale: dict[str, Array]


def are_weights(values: Tensor) -> bool:
    """Whether multipliers, or weights of input and output, are positive and far from the ends of
    floating point."""
    return bool(((values >= 1 / HEAVIEST) & (values <= HEAVIEST)).all())


def assembled(
    operands: Operands, constraints: Mapping[str, Constraint], weights: Mapping[str, Tensor]
) -> Assembled | Refusal:
    """H for a weight of every variable: lam of the results, nu of t, and what the input is scaled
    by."""
    graph, scale = operands.graph, dict[str, Array]()
    for name, weight in weights.items():
        if not are_weights(weight):
            what = f"{graph[name].operation} at {graph[name].place}" if name else "the output"
            return Refusal(f"the weights of {what} are not positive numbers of moderate size")
        size = _flat(weight, graph[name or graph.output].shape)
        scale[name] = np.exp2(-np.round(np.log2(size) / 2))
    for name, item in constraints.items():
        opposite = (item.lo < 0) & (item.hi > 0)
        if bool((opposite & (item.lo * item.hi > -LEAST_PRODUCT)).any()):
            where = f"{graph[name].operation} at {graph[name].place}"
            return Refusal(f"slopes of {where} are too near 0: their product is lost")
    terms = _Terms(operands, constraints, weights, scale)
    return _added(operands, terms, scale)


@dataclass(frozen=True)
class _Block:
    """A computed part of H, within `error` of the exact one in Frobenius norm."""

    matrix: Matrix
    error: float = 0.0


@dataclass(frozen=True)
class _Terms:
    """The blocks of H: pairs of variables, in either order, and what couples them."""

    operands: Operands
    constraints: Mapping[str, Constraint]
    weights: Mapping[str, Tensor]
    scale: Mapping[str, Array]

    def __iter__(self) -> Iterator[tuple[str, str, _Block]]:
        graph = self.operands.graph
        shapes = {name: item.out_shape for name, item in self.constraints.items()}
        for name, shape in (shapes | {READ: graph.output_shape}).items():
            own = _flat(self.weights[name], shape) * self.scale[name] ** 2
            yield name, name, _Block(sparse.diags_array(own, format="csr"))
        yield from self._coupled(READ, np.full(graph.output_shape.numel(), -1.0))
        for name, item in self.constraints.items():
            lam = self.weights[name]
            if bool(item.centre.any()):
                yield from self._coupled(name, -_flat(lam * item.centre, item.out_shape))
            product = lam * (item.lo * item.hi)
            if bool(product.any()):
                factor = _flat(product, item.in_shape)
                yield from self._squared(self.operands.rows[name], factor)

    def _coupled(self, name: str, factor: Array) -> Iterator[tuple[str, str, _Block]]:
        """D diag(factor) M_s D between a result and everything its operand depends on.

        An entry has three roundings: of c, of lam c and of its product with that of M_s.
        """
        for source, matrix in self.operands.rows[name].items():
            left, right = factor * self.scale[name], self.scale[source]
            block = _times(matrix.value, left, right)
            known = _frobenius(_times(matrix.error, left, right))
            error = dot_error(3, _frobenius(block)) + raised(known, 3)
            yield name, source, _Block(block, raised(error, 1))

    def _squared(self, rows: Rows, factor: Array) -> Iterator[tuple[str, str, _Block]]:
        """(M_s D)^T diag(factor) (M_t D) for all s, t, with |factor|^(1/2) shared out in norms.

        Three roundings of a factor, one of it times an entry, and the sums; with |X| and |Y| the
        norms of both matrices, and e and f those of their errors, |X| f + e |Y| + e f is what they
        add.
        """
        places, terms = self.operands.places, len(factor) + 4
        root = np.sqrt(np.abs(factor))
        graded = {s: _times(x.value, 1.0, self.scale[s]) for s, x in rows.items()}
        sizes = {s: _frobenius(_times(x, root, 1.0)) for s, x in graded.items()}
        errors = {s: _frobenius(_times(x.error, root, self.scale[s])) for s, x in rows.items()}
        for s, left in graded.items():
            weighted = _times(left, factor, 1.0).T
            for t, right in graded.items():
                if places[s].start >= places[t].start:
                    known = sizes[s] * errors[t] + errors[s] * (sizes[t] + errors[t])
                    error = dot_error(terms, sizes[s] * sizes[t]) + known
                    yield s, t, _Block((weighted @ right).tocsr(), raised(error, 20))


def _added(operands: Operands, terms: _Terms, scale: dict[str, Array]) -> Assembled:
    """The sum of all blocks, on both sides of the diagonal.

    Terms of one pair come in either order: they are added up below the diagonal.
    """
    places = operands.places
    parts = defaultdict[tuple[str, str], list[_Block]](list)
    for row, column, block in terms:
        if places[row].start >= places[column].start:
            parts[row, column].append(block)
        else:
            parts[column, row].append(_Block(block.matrix.T.tocsr(), block.error))
    whole, squares = dict[tuple[str, str], Matrix](), 0.0
    for (row, column), blocks in parts.items():
        block, sides = _total(blocks), 1 if row == column else 2
        squares += sides * block.error**2
        whole[row, column] = block.matrix
        if sides == 2:
            whole[column, row] = block.matrix.T.tocsr()
    sizes = {name: place.stop - place.start for name, place in operands.places.items()}
    grid = [
        [
            whole.get((row, column), sparse.csr_array((height, width)))
            for column, width in sizes.items()
        ]
        for row, height in sizes.items()
    ]
    slack = raised(math.sqrt(squares), 4 * len(parts)) + LOST
    return Assembled(sparse.block_array(grid, format="csr"), slack, scale)


def _total(blocks: Sequence[_Block]) -> _Block:
    """Their sum, which rounds where there are several."""
    if len(blocks) == 1:
        return blocks[0]
    matrix = sum((block.matrix for block in blocks[1:]), blocks[0].matrix)
    sizes = sum(_frobenius(block.matrix) for block in blocks)
    error = dot_error(len(blocks), sizes) + sum(block.error for block in blocks)
    return _Block(matrix, raised(error, len(blocks) + 1))


def _flat(values: Tensor, shape: torch.Size) -> Array:
    numbers: Array = values.broadcast_to(shape).reshape(-1).numpy()
    return numbers


def _times(matrix: Matrix, rows: Array | float, columns: Array | float) -> Matrix:
    """diag(rows) M diag(columns)."""
    height, width = matrix.shape
    left, right = np.broadcast_to(rows, height), np.broadcast_to(columns, width)
    data = matrix.data * np.repeat(left, np.diff(matrix.indptr)) * right[matrix.indices]
    return sparse.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)


def _frobenius(matrix: Matrix) -> float:
    return upper_norm(torch.from_numpy(matrix.data))
