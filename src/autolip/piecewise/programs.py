"""Points inside cells, by linear programs (HiGHS), and weights that may show that there are none.

    maximise t    subject to    rows x + offsets >= t |rows|,   x in the region,   t <= 1

Nothing here is relied upon: a point is evaluated, weights are proved (see emptiness).
"""

import math
from dataclasses import dataclass
from functools import cached_property

import highspy
import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.optimize import nnls
from torch import Tensor

from autolip.budget import charge
from autolip.intervals import Interval
from autolip.norms import Norm, maximiser
from autolip.piecewise.cells import HalfSpaces
from autolip.piecewise.network import Network
from autolip.regions import Ball

Array = NDArray[np.float64]

A_PROGRAM, AN_ENTRY = 5e-4, 4e-7
"""Measured: seconds of a small linear program, and for each entry of its matrix."""

TANGENTS = 6
"""Chosen: how often a ball's tangent planes are added where a point lies outside."""


PARTS = (0.0, 0.01, 0.1, 0.5)
"""Chosen: parts of a depth that a point in a ball is looked for at, one after another."""

FLOOR = 1e-300
"""Defined: stands for 0 in a division."""


@dataclass(frozen=True)
class Solved:
    """The deepest point, how deep it lies in all half-spaces, and their weights."""

    point: Float[Tensor, " n"]
    depth: float
    weights: Float[Tensor, " m"]


@dataclass
class Programs:
    """Linear programs over the region of a network."""

    network: Network
    count: int = 0

    @cached_property
    def _box(self) -> Interval:
        return self.network.region.interval(self.network.input_shape)

    @cached_property
    def _solver(self) -> highspy.Highs:
        # the class itself prints its licence to the standard output when it is made
        silent = highspy.Highs.__base__ or highspy.Highs
        solver = silent()
        for option, value in (
            ("output_flag", False),
            ("log_to_console", False),
            ("presolve", "off"),
            ("threads", 1),
        ):
            solver.setOptionValue(option, value)
        return solver

    def deepest(self, cell: HalfSpaces) -> Solved | None:
        """The deepest point of a cell; None where the solver has no answer."""
        rows, ends = cell.rows.value.numpy(), cell.offsets.numpy()
        lengths = np.linalg.norm(rows, axis=1)
        lengths[(lengths == 0) & (ends < 0)] = 1.0  # nothing fulfils such a row: its weight says so
        found = self._solved(rows, lengths, ends)
        for _ in range(TANGENTS):
            cut = None if found is None or found.depth < 0 else self._tangent(found.point)
            if cut is None:
                break
            rows, ends = np.vstack([rows, cut[0]]), np.append(ends, cut[1])
            lengths = np.append(lengths, 0.0)
            found = self._solved(rows, lengths, ends)
        if found is None:
            return None
        solved = Solved(found.point, found.depth, found.weights[: len(cell)])
        outside = self._tangent(found.point) is not None
        return self._inside_a_ball(solved, cell) if outside else solved

    def _inside_a_ball(self, found: Solved, cell: HalfSpaces) -> Solved:
        """A point of the ball that lies as deep as a part of what was found, or else weights of the
        half-spaces that hold the ball off: tangents of a ball only come near to it."""
        region, shape = self.network.region, self.network.input_shape
        assert isinstance(region, Ball)
        origin = region.origin(shape).reshape(-1)
        rows = cell.rows.value
        lengths = rows.norm(dim=1).clamp_min(FLOOR)
        normals = rows / lengths.unsqueeze(1)
        ends = (rows @ origin + cell.offsets) / lengths
        weights, depth = found.weights, found.depth
        for share in PARTS if region.norm is Norm.L2 else ():
            step, held = nearest(normals, ends - share * depth)
            if not share and bool(held.any()):
                weights = held / lengths
            if not float(step.norm()) <= region.radius:
                break
            found = Solved(origin + step, share * depth, weights)
        point = region.inward(found.point.reshape(1, *shape)).reshape(-1)
        slack = (normals @ (point - origin) + ends).min().item()
        return Solved(point, min(found.depth, slack), weights)

    def extremes(self, cell: HalfSpaces) -> list[tuple[Tensor, Tensor]]:
        """For every entry up and every entry down, a form, and weights of the half-spaces that show
        how large it is in the cell."""
        rows, ends = cell.rows.value.numpy(), cell.offsets.numpy()
        program = _program(rows, np.zeros(len(rows)), ends, self._box)
        self._solver.passModel(program)
        size = rows.shape[1]
        found = list[tuple[Tensor, Tensor]]()
        columns = np.arange(size + 1, dtype=np.int32)
        for sign in (1.0, -1.0):
            for entry in range(size):
                cost = np.zeros(size + 1)
                cost[entry] = -sign
                self._solver.changeColsCost(size + 1, columns, cost)
                solution = self._run()
                if solution is not None:
                    found.append((-torch.from_numpy(cost[:-1]), solution.weights))
        return found

    def _tangent(self, point: Tensor) -> tuple[Array, float] | None:
        """A half-space that contains a ball, but not a point outside of it."""
        region, shape = self.network.region, self.network.input_shape
        if not isinstance(region, Ball):
            return None
        offset = point - region.origin(shape).reshape(-1)
        if region.norm.of_rows(offset[None])[0] <= region.radius * (1 + 1e-9):
            return None
        normal = maximiser(offset[None], region.norm.dual)[0].numpy()
        return -normal, region.radius + float(normal @ region.origin(shape).reshape(-1).numpy())

    def _solved(self, rows: Array, lengths: Array, offsets: Array) -> Solved | None:
        charge(0.0, AN_ENTRY * rows.size)
        self._solver.passModel(_program(rows, lengths, offsets, self._box))
        return self._run()

    def _run(self) -> Solved | None:
        self.count += 1
        charge(0.0, A_PROGRAM)
        if self._solver.run() == highspy.HighsStatus.kError:
            # another solver of this process has set how many threads there are: that is kept
            self._solver.setOptionValue("threads", 0)
            self._solver.run()
        if self._solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            return None
        solution = self._solver.getSolution()
        values = torch.tensor(solution.col_value, dtype=torch.float64)
        weights = torch.tensor(solution.row_dual, dtype=torch.float64).abs()
        weights = weights.where(weights > weights.amax() * 1e-12, 0.0) if len(weights) else weights
        return Solved(values[:-1], values[-1].item(), weights)


def nearest(
    normals: Float[Tensor, "m n"], ends: Float[Tensor, " m"]
) -> tuple[Float[Tensor, " n"], Float[Tensor, " m"]]:
    """About the shortest d with normals d + ends >= 0, and weights y with d = y normals, up to a
    factor: least squares with weights >= 0 (Lawson and Hanson 1974, chapter 23).  Where there is no
    such d it is infinite."""
    system = np.vstack([normals.numpy().T, -ends.numpy()])
    goal = np.append(np.zeros(normals.shape[1]), 1.0)
    weights, _ = nnls(system, goal, maxiter=10 * len(ends) + 100)
    rest = system @ weights - goal
    with np.errstate(all="ignore"):
        step = -rest[:-1] / rest[-1]
    step = np.where(np.isfinite(step), step, math.inf)
    return torch.from_numpy(step), torch.from_numpy(weights)


def _program(rows: Array, lengths: Array, offsets: Array, box: Interval) -> highspy.HighsLp:
    count, size = rows.shape
    program = highspy.HighsLp()
    program.num_col_, program.num_row_ = size + 1, count
    program.col_cost_ = np.append(np.zeros(size), -1.0)
    program.col_lower_ = np.append(_finite(box.lo), -math.inf)
    program.col_upper_ = np.append(_finite(box.hi), 1.0)
    program.row_lower_ = -offsets
    program.row_upper_ = np.full(count, math.inf)
    program.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    program.a_matrix_.start_ = np.arange(0, (size + 1) * count + 1, size + 1)
    program.a_matrix_.index_ = np.tile(np.arange(size + 1), count)
    program.a_matrix_.value_ = np.hstack([rows, -lengths[:, None]]).ravel()
    return program


def _finite(end: Tensor) -> Array:
    numbers: Array = end.reshape(-1).numpy()
    return numbers
