"""The quadratic form of a statement as a matrix, with its rounding: H in scaled variables, the
input last.

    H = value^2 |x|^2 + sum_k lam_k (z_k^2 - 2 c_k z_k v_k + a_k b_k v_k^2) + nu |t|^2 - 2 t y,
    v_k = sum_s M_ks s,

s running over the input and earlier results, and y alike.  The least over t of its last two terms
is -y^2 / nu: H >= 0 is the same with and without them, but where a_k b_k = 0 throughout, with t
every variable's own part of H is diagonal. A variable with multiplier lam is scaled by a power of
two near 1/sqrt(lam), so that the diagonal of H is about 1 and no rounding happens on the way.
"""

import itertools
import math
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from autolip.errors import Refusal
from autolip.graph.views import SlopeGraph, fused
from autolip.intervals import UNIT, gamma
from autolip.methods.lipsdp.elimination import Blocks
from autolip.methods.lipsdp.statement import Statement, are_weights, constraint, nonlinear
from autolip.norms import Norm
from autolip.operators.sparse import Matrix, Sparse, sparse_matrix

Array = NDArray[np.float64]
Rows = dict[str, Sparse]
"""An affine value as the sum of matrices times the input and the results it depends on, by name."""

READ = ""
"""The name of t."""

LARGEST_WORK = 2e7
"""Multiply-adds of a pass up to which a network's matrices are written out to see what remains
(some 3 s)."""

LARGEST_ENTRY = 2.0**200
"""Greatest entry of a network's matrices that H is written out for."""

LEAST_PRODUCT = 2.0**-900
"""Least product of two slopes of opposite signs (one of the same sign may be lost: H without it is
smaller)."""

LOST = 2.0**-150
"""More than what underflows of H, in norm: a lost 2^-1074 is multiplied by 2^800 at most, for the
weights lie within 2^400, their roots within 2^200, and the matrices' entries below that."""

LARGEST_WHOLE = 20_000
"""Variables up to which they are written out anyway, once a proof is wanted."""


@dataclass(frozen=True)
class Layout:
    """Where the variables of a network stand in H, the matrices of its affine parts, and what is
    eliminated first."""

    graph: SlopeGraph
    """Fused."""
    places: dict[str, slice]
    rows: dict[str, Rows] = field(repr=False)
    """What the operand of every nonlinear vertex is made of, and (READ) the output."""
    blocks: Blocks = field(repr=False)


@dataclass(frozen=True)
class Form:
    """H without the input's term value^2 |x|^2 (or mu): `matrix`, symmetric, exact up to `slack` in
    norm.

    The last `inputs` variables are x; `weights` is the diagonal of the input's term, for value 1
    (mu, if it is given).
    """

    matrix: Matrix
    slack: float
    inputs: int
    weights: Float[Tensor, " m"]
    blocks: Blocks

    @property
    def diagonal(self) -> Float[Tensor, " n"]:
        return torch.from_numpy(self.matrix.diagonal())

    def complement(self, diagonal: Float[Tensor, " n"]) -> Float[Tensor, "k k"] | None:
        """What remains of H, with this diagonal, once its blocks are eliminated; None where they
        are not definite."""
        return self.blocks.complement(self.matrix, diagonal.numpy())


def variables_of(graph: SlopeGraph) -> int:
    """The order of H, without t."""
    return graph.input_shape.numel() + sum(v.shape.numel() for v in nonlinear(graph))


def size_of(graph: SlopeGraph) -> int:
    """The order of what must be factorised of H as a whole, or more: that of H where to look costs
    too much."""
    found = layout(graph) if graph.work <= LARGEST_WORK else Refusal("a large network")
    return variables_of(graph) if isinstance(found, Refusal) else len(found.blocks.kept)


def form_of(statement: Statement) -> Form | Refusal:
    """H as a matrix; refused where an affine part has unknown entries or a multiplier is not
    positive."""
    found = layout(statement.graph)
    return found if isinstance(found, Refusal) else _written(statement, found)


@lru_cache(maxsize=4)
def layout(graph: SlopeGraph) -> Layout | Refusal:
    """That of all forms of a network: which variables are coupled shows with multipliers that are
    all 1."""
    if graph.work > LARGEST_WORK and variables_of(graph) > LARGEST_WHOLE:
        return Refusal(
            f"a network of {graph.work:.2g} multiply-adds is too large to be written out"
        )
    small, rows = fused(graph), dict[str, Rows]()
    operands = {vertex.name: vertex.edges[0].source for vertex in nonlinear(small)} | {
        READ: small.output
    }
    sizes = {name: small[name or small.output].shape.numel() for name in (*operands, small.input)}
    stops = itertools.accumulate(sizes.values())
    places = {
        name: slice(stop - sizes[name], stop) for name, stop in zip(sizes, stops, strict=True)
    }
    for name, source in operands.items():
        found = _rows(small, source, places)
        if isinstance(found, Refusal):
            return found
        rows[name] = found
    ones = {name: torch.ones((), dtype=torch.float64) for name in operands if name != READ}
    plain = Layout(small, places, rows, Blocks((), np.arange(sum(sizes.values()))))
    form = _written(Statement(graph, Norm.L2, Norm.L2, ones, None, 1.0), plain)
    if isinstance(form, Refusal):
        return form
    return replace(plain, blocks=Blocks.of(form.matrix, [places[name] for name in ones]))


def _rows(graph: SlopeGraph, name: str, places: dict[str, slice]) -> Rows | Refusal:
    """A value by what it depends on."""
    if name in places:
        return {name: Sparse.identity(graph[name].shape.numel())}
    rows: Rows = {}
    for link in graph[name].links:
        found = sparse_matrix(link.operator)
        if isinstance(found, Refusal):
            return found
        if found.value.nnz and not abs(found.value.data).max() <= LARGEST_ENTRY:
            return Refusal(f"the matrix of {link.operator} has entries beyond {LARGEST_ENTRY:.3g}")
        rows[link.source] = found
    return rows


def _written(statement: Statement, layout: Layout) -> Form | Refusal:
    """All terms but the input's."""
    graph, multipliers = layout.graph, statement.multipliers
    weights = (
        torch.ones(graph.input_shape, dtype=torch.float64)
        if statement.inputs is None
        else statement.inputs
    )
    nu = torch.ones((), dtype=torch.float64) if statement.outputs is None else statement.outputs
    assembly = _Assembly(layout.places)
    sizes = {
        graph.input: weights * statement.value**2 if statement.inputs is None else weights,
        READ: nu,
    }
    sizes |= {
        vertex.name: multipliers.get(vertex.name, torch.zeros(())) for vertex in nonlinear(graph)
    }
    for name, size in sizes.items():
        if not are_weights(size):
            what = f"{graph[name].operation} at {graph[name].place}" if name else "the output"
            return Refusal(f"the weights of {what} are not positive numbers of moderate size")
        shape = graph[name or graph.output].shape
        assembly.enter(name, size.broadcast_to(shape).reshape(-1).numpy(), name != graph.input)
    assembly.couple(READ, np.full(graph.output_shape.numel(), -1.0), layout.rows[READ])
    for vertex in nonlinear(graph):
        item, lam, rows = constraint(vertex), multipliers[vertex.name], layout.rows[vertex.name]
        if isinstance(item, Refusal):
            return item
        if bool(item.centre.any()):
            assembly.couple(
                vertex.name,
                -(lam * item.centre).broadcast_to(item.out_shape).reshape(-1).numpy(),
                rows,
            )
        ends = item.lo * item.hi
        if bool(((item.lo < 0) & (item.hi > 0) & (ends > -LEAST_PRODUCT)).any()):
            return Refusal(
                f"slopes of {vertex.operation} at {vertex.place} are too near 0: their "
                "product is lost"
            )
        product = lam * ends
        if bool(product.any()):
            assembly.square(product.broadcast_to(item.in_shape).reshape(-1).numpy(), rows)
    scaled = weights.reshape(-1) * torch.from_numpy(assembly.scale[graph.input]) ** 2
    return Form(*assembly.finished(), len(scaled), scaled, layout.blocks)


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

    def finished(self) -> tuple[Matrix, float]:
        """The sum, and how far it may be off in norm."""
        sizes = {name: place.stop - place.start for name, place in self.places.items()}
        grid = [
            [self.parts.get((r, c), sparse.csr_array((n, m))) for c, m in sizes.items()]
            for r, n in sizes.items()
        ]
        slack = math.sqrt(self.squares) * (1 + 1e-12) + gamma(self.additions + 4) * self.mass + LOST
        return sparse.block_array(grid, format="csr"), slack


def _times(matrix: Matrix, rows: Array | float, columns: Array | float) -> Matrix:
    """diag(rows) M diag(columns)."""
    left, right = (
        np.broadcast_to(x, n) for x, n in zip((rows, columns), matrix.shape, strict=True)
    )
    data = matrix.data * np.repeat(left, np.diff(matrix.indptr)) * right[matrix.indices]
    return sparse.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)


def _frobenius(matrix: Matrix) -> float:
    return float(np.linalg.norm(matrix.data)) * (1 + gamma(matrix.nnz))
