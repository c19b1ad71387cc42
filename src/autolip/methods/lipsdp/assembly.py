"""The matrix of H, term by term, in scaled variables, with its rounding.

    H = sum_k  lam_k (z_k^2 - 2 c_k z_k v_k + a_k b_k v_k^2)  +  nu |t|^2 - 2 t y

without the input's own term; v_k and y are those of operands.  A variable with the weight lam is
scaled by a power of two near 1/sqrt(lam), so that the diagonal of H is about 1 and no rounding
happens on the way.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from autolip.errors import Refusal
from autolip.methods.lipsdp.constraint import Constraint
from autolip.methods.lipsdp.operands import READ, Operands, Rows
from autolip.operators.sparse import Matrix
from autolip.roundoff import UNIT, gamma

Array = NDArray[np.float64]

HEAVIEST = 2.0**400
"""Greatest multiplier, and reciprocal of one: a choice; products of what a proof multiplies stay
far within floating point."""

LEAST_PRODUCT = 2.0**-900
"""Least product of two slopes of opposite signs (one of the same sign may be lost: H without it is
smaller)."""

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
    graph, assembly = operands.graph, _Assembly(operands.places)
    for name, weight in weights.items():
        if not are_weights(weight):
            what = f"{graph[name].operation} at {graph[name].place}" if name else "the output"
            return Refusal(f"the weights of {what} are not positive numbers of moderate size")
        shape = graph[name or graph.output].shape
        assembly.enter(name, _flat(weight, shape), counts=name != graph.input)
    outputs = np.full(graph.output_shape.numel(), -1.0)
    assembly.couple(READ, outputs, operands.rows[READ])
    for name, item in constraints.items():
        lam, rows = weights[name], operands.rows[name]
        if bool(item.centre.any()):
            assembly.couple(name, -_flat(lam * item.centre, item.out_shape), rows)
        ends = item.lo * item.hi
        opposite = (item.lo < 0) & (item.hi > 0)
        if bool((opposite & (ends > -LEAST_PRODUCT)).any()):
            where = f"{graph[name].operation} at {graph[name].place}"
            return Refusal(f"slopes of {where} are too near 0: their product is lost")
        square = lam * ends
        if bool(square.any()):
            assembly.square(_flat(square, item.in_shape), rows)
    return assembly.finished()


def _flat(values: Tensor, shape: torch.Size) -> Array:
    numbers: Array = values.broadcast_to(shape).reshape(-1).numpy()
    return numbers


@dataclass
class _Assembly:
    """H, term by term; errors by Frobenius norms."""

    places: dict[str, slice]
    scale: dict[str, Array] = field(default_factory=dict)
    parts: dict[tuple[str, str], Matrix] = field(default_factory=dict)
    additions: int = 0
    squares: float = 0.0
    """Sum of the squares of all entries' errors."""
    mass: float = 0.0
    """Twice the sum of the Frobenius norms of everything that was added up.

    Of k blocks, their sum loses k units of sqrt(2) times it, and couplings three more: fewer than
    the 2 (k + 6) here.
    """

    def enter(self, name: str, size: Array, counts: bool) -> None:
        """A variable's own term size z^2, if it counts, and the scale that makes it about 1."""
        self.scale[name] = np.exp2(-np.round(np.log2(size) / 2))
        if counts:
            self._add(name, name, sparse.diags_array(size * self.scale[name] ** 2, format="csr"))

    def couple(self, name: str, factor: Array, rows: Rows) -> None:
        """diag(factor) M_s between a result and everything its operand depends on."""
        factor = factor * self.scale[name]
        for source, matrix in rows.items():
            block = _times(matrix.value, factor, self.scale[source])
            raised = _frobenius(_times(matrix.error, factor, self.scale[source])) * (1 + 1e-10)
            self.squares += 2 * raised * raised
            self._add(name, source, block)

    def square(self, factor: Array, rows: Rows) -> None:
        """sum over s, t of M_s^T diag(factor) M_t."""
        scaled = {
            s: (_times(x.value, 1.0, self.scale[s]), _times(x.error, 1.0, self.scale[s]))
            for s, x in rows.items()
        }
        root = np.sqrt(np.abs(factor))
        sizes = {
            s: tuple(_frobenius(_times(part, root, 1.0)) for part in parts)
            for s, parts in scaled.items()
        }
        for s, (left, _) in scaled.items():
            weighted = _times(left, factor, 1.0).T
            for t, (right, _) in scaled.items():
                if self.places[s].start >= self.places[t].start:
                    (size, error), (other, slip) = sizes[s], sizes[t]
                    rounding = (gamma(len(factor)) + 4 * UNIT) * size * other
                    total = (rounding + size * slip + error * other + error * slip) * (1 + 1e-10)
                    self.squares += (1 if s == t else 2) * total * total
                    self._add(s, t, weighted @ right)

    def _add(self, row: str, column: str, block: Matrix) -> None:
        pairs = {(row, column): block.tocsr()} | (
            {} if row == column else {(column, row): block.T.tocsr()}
        )
        for pair, part in pairs.items():
            self.parts[pair] = self.parts[pair] + part if pair in self.parts else part
        self.mass += 2 * _frobenius(block)
        self.additions += 1

    def finished(self) -> Assembled:
        """The sum, and how far it may be off in norm."""
        sizes = {name: place.stop - place.start for name, place in self.places.items()}
        grid = [
            [self.parts.get((r, c), sparse.csr_array((n, m))) for c, m in sizes.items()]
            for r, n in sizes.items()
        ]
        slack = math.sqrt(self.squares) * (1 + 1e-12) + gamma(self.additions + 4) * self.mass + LOST
        return Assembled(sparse.block_array(grid, format="csr"), slack, self.scale)


def _times(matrix: Matrix, rows: Array | float, columns: Array | float) -> Matrix:
    """diag(rows) M diag(columns)."""
    left, right = (
        np.broadcast_to(x, n) for x, n in zip((rows, columns), matrix.shape, strict=True)
    )
    data = matrix.data * np.repeat(left, np.diff(matrix.indptr)) * right[matrix.indices]
    return sparse.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)


def _frobenius(matrix: Matrix) -> float:
    return float(np.linalg.norm(matrix.data)) * (1 + gamma(matrix.nnz))
