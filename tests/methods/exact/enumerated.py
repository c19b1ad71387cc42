"""Every linear region of a small network, cell by cell: not a line of the program under test.

A cell is split by the hyperplanes of the next layer that meet its interior, one after another.  A
point inside says on which side of each it lies; a linear program (HiGHS), the same for all
hyperplanes of a cell but for its objective, whether there is something on the other one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import highspy
import numpy as np
import torch
from torch import Tensor, nn

DEPTH = 1e-9
"""Least depth of a region that counts."""

CLEAR = 1e-7
"""Depth from which on a point inside is taken to lie on its side of a hyperplane."""


class MaxMin(nn.Module):
    """The larger and the smaller one of neighbours (GroupSort with groups of two)."""

    def forward(self, x: Tensor) -> Tensor:
        a, b = x[..., 0::2], x[..., 1::2]
        return torch.cat([torch.maximum(a, b), torch.minimum(a, b)], -1)


@dataclass
class Values:
    """Affine functions of the input: (size, n) and (size), and the shape of what they are."""

    rows: np.ndarray
    ends: np.ndarray
    shape: torch.Size


@dataclass
class Cell:
    """rows x + ends >= 0, and a point inside."""

    rows: np.ndarray
    ends: np.ndarray
    point: np.ndarray


def jacobians(
    model: nn.Sequential, box: tuple[float, float] | None = None, shape: torch.Size | None = None
) -> Iterator[Tensor]:
    """The derivative in every linear region, in a box."""
    if shape is None:
        shape = torch.Size([next(model.parameters()).shape[1]])
    n = shape.numel()
    identity = Values(np.eye(n), np.zeros(n), shape)
    rows, ends = np.zeros((0, n)), np.zeros(0)
    if box is not None:
        rows, ends = np.vstack([np.eye(n), -np.eye(n)]), np.repeat([-box[0], box[1]], n)
    point = _deepest(rows, ends)[0]
    yield from _below(list(model), identity, Cell(rows, ends, point))


def constant(model: nn.Sequential, p: float = 2, q: float = 2) -> float:
    """The largest norm; l2, or row and column sums."""
    return max(norm(matrix, p, q) for matrix in jacobians(model))


def norm(matrix: Tensor, p: float, q: float) -> float:
    """||A||_{p -> q}, for p = 1, q = inf, or p = q = 2."""
    if p == 1:
        return float(torch.linalg.vector_norm(matrix, q, dim=0).max())
    if q == float("inf"):
        dual = 1.0 if p == float("inf") else 2.0
        return float(torch.linalg.vector_norm(matrix, dual, dim=1).max())
    return float(torch.linalg.matrix_norm(matrix.detach(), 2))


def _below(layers: list[nn.Module], values: Values, cell: Cell) -> Iterator[Tensor]:
    for number, layer in enumerate(layers):
        if isinstance(layer, nn.ReLU | nn.LeakyReLU | MaxMin):
            forms = _forms(layer, values)
            for side, part in _parts(cell, *forms):
                yield from _below(layers[number + 1 :], _bent(layer, values, side), part)
            return
        values = _through(layer, values)
    yield torch.from_numpy(values.rows)


@torch.no_grad()
def _through(layer: nn.Module, values: Values) -> Values:
    """An affine layer, by its value at 0 and at every column."""
    columns = torch.from_numpy(values.rows.T.copy()).reshape(-1, *values.shape)
    zero = layer(torch.zeros_like(columns[:1]))
    rows = (layer(columns) - zero).flatten(1).numpy().T
    end = layer(torch.from_numpy(values.ends).reshape(1, *values.shape))
    return Values(rows, end.flatten().numpy(), end.shape[1:])


def _forms(layer: nn.Module, values: Values) -> tuple[np.ndarray, np.ndarray]:
    """What changes sign where the layer bends."""
    if isinstance(layer, MaxMin):
        return values.rows[0::2] - values.rows[1::2], values.ends[0::2] - values.ends[1::2]
    return values.rows, values.ends


def _bent(layer: nn.Module, values: Values, side: np.ndarray) -> Values:
    """The layer where these signs are known."""
    if isinstance(layer, MaxMin):
        a, b = np.arange(0, len(values.ends), 2), np.arange(1, len(values.ends), 2)
        order = np.concatenate([np.where(side, a, b), np.where(side, b, a)])
        return Values(values.rows[order], values.ends[order], values.shape)
    below = layer.negative_slope if isinstance(layer, nn.LeakyReLU) else 0.0
    slope = np.where(side, 1.0, below)
    return Values(slope[:, None] * values.rows, slope * values.ends, values.shape)


def _parts(cell: Cell, rows: np.ndarray, ends: np.ndarray) -> Iterator[tuple[np.ndarray, Cell]]:
    """The cells into which hyperplanes cut one, and on which side of each they lie."""
    flat = ~rows.any(1)
    side = np.where(flat, ends >= 0, False)
    waiting = [(cell, side, list(np.flatnonzero(~flat)))]
    while waiting:
        here, side, left = waiting.pop()
        cut = None
        if left:
            lengths = np.linalg.norm(rows[left], axis=1)
            depths = (rows[left] @ here.point + ends[left]) / lengths
            solver = _solver(here.rows, here.ends)
            while left and cut is None:
                k, depth = left.pop(0), depths[len(depths) - len(left) - 1]
                side = side.copy()
                side[k] = depth > 0
                sign = 1.0 if depth > 0 else -1.0
                if abs(depth) < CLEAR or _reaches(solver, -sign * rows[k], -sign * ends[k]):
                    cut = k, abs(depth) >= CLEAR
        if cut is None:
            yield side, here
            continue
        k, known = cut
        for over in (bool(side[k]), not side[k]):
            sign = 1.0 if over else -1.0
            more = np.vstack([here.rows, sign * rows[k]]), np.append(here.ends, sign * ends[k])
            point = here.point if known and over == side[k] else None
            if point is None:
                point, depth = _deepest(*more)
                if depth <= DEPTH:
                    continue
            other = side.copy()
            other[k] = over
            waiting.append((Cell(*more, point), other, list(left)))


def _solver(rows: np.ndarray, ends: np.ndarray, depth: bool = False) -> highspy.Highs:
    """Maximise over a cell: nothing yet, or the depth, at most 1, in the last variable."""
    silent = highspy.Highs.__base__ or highspy.Highs
    solver = silent()
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("presolve", "off")
    solver.setOptionValue("threads", 1)
    if depth:
        rows = np.hstack([rows, -np.linalg.norm(rows, axis=1, keepdims=True)])
    count, size = rows.shape
    program = highspy.HighsLp()
    program.num_col_, program.num_row_ = size, count
    program.sense_ = highspy.ObjSense.kMaximize
    program.col_cost_ = np.append(np.zeros(size - 1), float(depth))
    program.col_lower_ = np.full(size, -np.inf)
    program.col_upper_ = np.append(np.full(size - 1, np.inf), 1.0 if depth else np.inf)
    program.row_lower_, program.row_upper_ = -ends, np.full(count, np.inf)
    program.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    program.a_matrix_.start_ = np.arange(0, size * count + 1, size)
    program.a_matrix_.index_ = np.tile(np.arange(size), count)
    program.a_matrix_.value_ = rows.ravel()
    solver.passModel(program)
    return solver


def _reaches(solver: highspy.Highs, row: np.ndarray, end: float) -> bool:
    """Whether row x + end is more than 0 somewhere in the cell."""
    solver.changeColsCost(len(row), np.arange(len(row), dtype=np.int32), row)
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        return True  # unbounded
    return bool(solver.getInfo().objective_function_value + end > DEPTH * np.linalg.norm(row))


def _deepest(rows: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, float]:
    """A point inside, and its depth."""
    solver = _solver(rows, ends, depth=True)
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        return np.zeros(rows.shape[1]), -1.0
    solution = np.array(solver.getSolution().col_value)
    return solution[:-1], float(solution[-1])
