"""The same relaxation by an interior-point or first-order solver: the yardstick, for small
networks.

    minimise value^2 (or sum_i mu_i)   subject to   H(value^2, lam) >= 0,  lam >= 0

(H: see statement) through cvxpy (Diamond and Boyd, JMLR 2016) with Clarabel, or SCS where that
fails.  What the solver returns is not trusted: its multipliers make a statement, which is proved
like any other.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
import torch
from scipy import sparse

from autolip.budget import UNLIMITED
from autolip.errors import Refusal
from autolip.graph.views import SlopeGraph
from autolip.methods.layerwise.method import dense_layers
from autolip.methods.lipsdp.proof.prove import prove
from autolip.methods.lipsdp.relaxation.constraint import STEEPEST, Constraint
from autolip.methods.lipsdp.relaxation.relaxation import Relaxation
from autolip.methods.lipsdp.statement import Proved, Statement
from autolip.norms import Norm
from autolip.operators.norms import NormOptions

LARGEST, QUICK, MINUTE = 400, 100, 60.0
"""Chosen: greatest order of H for a solver, which takes minutes; with less than one: its steps are
not cut short."""

SOLVERS = {"CLARABEL": "time_limit", "SCS": "time_limit_secs"}
"""By cvxpy's name, and their option for seconds: one after the other, until one has an optimum."""

MARGIN = 1e-6
"""Chosen: the part eta of sum_i lam_i (z_i - c_i v_i)^2 that H keeps: room for the solver's own
tolerance."""

Rows: TypeAlias = Any
"""A sparse matrix (scipy has no types)."""


@dataclass(frozen=True)
class Solved:
    """What the solver's multipliers prove, and the optimum that it reports."""

    proved: Proved
    optimum: float


def solved(
    relaxation: Relaxation,
    unit: float,
    options: NormOptions,
    solvers: Sequence[str] = tuple(SOLVERS),
) -> Solved | Refusal:
    """The relaxation's optimum, its multipliers proved; `unit` is the order of magnitude of the
    constant.  The budget is the solver's."""
    if relaxation.q is not Norm.L2:
        return Refusal("the reference solver takes l2 or scalar outputs only")
    if not 1 / STEEPEST <= unit <= STEEPEST:
        return Refusal(f"the constant is near {unit:.3g}: too large or too small for a solver")
    order = relaxation.variables
    linf = relaxation.p is Norm.LINF
    largest = LARGEST if options.budget.affords(MINUTE) else QUICK
    if order > largest:
        return Refusal(
            f"H has {order} rows: in this time the reference solver takes at most "
            f"{largest}; use lipsdp"
        )
    try:
        import cvxpy
    except ImportError:
        return Refusal("the reference solver needs cvxpy: pip install 'autolip[sdp]'")
    program = _Program.of(relaxation)
    if isinstance(program, Refusal):
        return program
    seconds = max(options.budget.left, 1.0)
    found = program.minimised(cvxpy, relaxation.p, unit, seconds, solvers)
    if isinstance(found, Refusal):
        return found
    weights, multipliers = found
    optimum = math.sqrt(float(weights.sum() if linf else weights[0]))
    shaped = {
        name: multipliers[name].reshape(item.blocks)
        for name, item in relaxation.constraints.items()
    }
    inputs = weights.reshape(relaxation.graph.input_shape) if linf else None
    statement = Statement(relaxation, shaped, inputs, optimum)
    proved = prove(statement, MARGIN, replace(options, budget=UNLIMITED))
    return proved if isinstance(proved, Refusal) else Solved(proved, optimum)


@dataclass(frozen=True)
class _Program:
    """H in the variables (x, z_1, z_2, ...): rows of the output, and for every vertex the form of
    each multiplier."""

    order: int
    inputs: int
    output: Rows
    forms: dict[str, sparse.csr_array]
    """(order^2, multipliers): column i is the matrix of (z_i - a_i v_i) (z_i - b_i v_i), or of its
    block's sum."""

    @staticmethod
    def of(relaxation: Relaxation) -> "_Program | Refusal":
        graph = relaxation.fused
        order = relaxation.variables
        unit = sparse.csr_array(sparse.eye(order))
        inputs = graph.input_shape.numel()
        known = {graph.input: unit[:inputs]}
        start = inputs
        forms = dict[str, sparse.csr_array]()
        for name, item in relaxation.constraints.items():
            v = _rows(graph, graph[name].edges[0].source, known)
            if isinstance(v, Refusal):
                return v
            stop = start + item.out_shape.numel()
            z = known[name] = unit[start:stop]
            forms[name] = _form(item, v, z)
            start = stop
        output = _rows(graph, graph.output, known)
        if isinstance(output, Refusal):
            return output
        return _Program(order, inputs, output, forms)

    def minimised(
        self, cvxpy: ModuleType, p: Norm, unit: float, seconds: float, solvers: Sequence[str]
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]] | Refusal:
        """value^2 (or mu) and the multipliers, positive."""
        weights = cvxpy.Variable(self.inputs if p is Norm.LINF else 1, nonneg=True)
        lam = {
            name: cvxpy.Variable(form.shape[1], nonneg=True) for name, form in self.forms.items()
        }
        diagonal = np.arange(self.inputs) * (self.order + 1)
        columns = np.arange(self.inputs) if p is Norm.LINF else np.zeros(self.inputs, int)
        first = sparse.csr_array(
            (np.ones(self.inputs), (diagonal, columns)), (self.order**2, weights.size)
        )
        total = first @ weights + sum(form @ lam[name] for name, form in self.forms.items())
        square = ((self.output.T @ self.output) / unit**2).toarray()
        form = cvxpy.reshape(total, (self.order, self.order), order="F") - square
        problem = cvxpy.Problem(cvxpy.Minimize(cvxpy.sum(weights)), [form >> 0])
        for solver in solvers:
            try:
                problem.solve(solver=solver, **{SOLVERS[solver]: seconds})
            except cvxpy.error.SolverError:
                continue
            if problem.status in (cvxpy.OPTIMAL, cvxpy.OPTIMAL_INACCURATE):
                return _positive(weights.value, unit), {
                    n: _positive(x.value, unit) for n, x in lam.items()
                }
        return Refusal(
            f"the reference solvers ended without an optimum ({problem.status or 'failed'})"
        )


def _rows(graph: SlopeGraph, name: str, known: Mapping[str, Rows]) -> Rows | Refusal:
    """An affine value as rows in all variables."""
    if name in known:
        return known[name]
    total = None
    for link in graph[name].links:
        layers = dense_layers((link.operator,))
        if isinstance(layers, Refusal):
            return layers
        part = sparse.csr_array(layers[0].value.numpy()) @ known[link.source]
        total = part if total is None else total + part
    return Refusal(f"{name} depends on nothing") if total is None else total


def _form(item: Constraint, v: Rows, z: Rows) -> Rows:
    """The matrices of (1 - eta) |s|^2 - radius^2 v^2, s = z - centre v, for each multiplier, as
    columns."""
    blocks = torch.arange(item.blocks.numel()).reshape(item.blocks)
    radius = item.radius.broadcast_to(item.in_shape).reshape(-1, 1).numpy()
    s = z - v * item.centre.reshape(-1, 1).numpy() if bool(item.centre.any()) else z
    bent = _squares(
        sparse.csr_array(s), blocks.broadcast_to(item.out_shape).reshape(-1).numpy(), blocks.numel()
    )
    ball = _squares(
        sparse.csr_array(v * radius),
        blocks.broadcast_to(item.in_shape).reshape(-1).numpy(),
        blocks.numel(),
    )
    return sparse.csr_array((1 - MARGIN) * bent - ball)


def _squares(rows: Rows, column: np.ndarray, count: int) -> Rows:
    """(order^2, count): the outer square of every row, added up by column."""
    order = rows.shape[1]
    squares = [sparse.csr_array(sparse.kron(rows[[i]], rows[[i]])) for i in range(rows.shape[0])]
    which = sparse.csr_array(
        (np.ones(len(column)), (np.arange(len(column)), column)), (len(column), count)
    )
    return (
        sparse.csr_array(sparse.vstack(squares).T @ which)
        if squares
        else sparse.csr_array((order**2, count))
    )


def _positive(values: np.ndarray, unit: float) -> torch.Tensor:
    """In the network's units; a multiplier that the solver left at zero is small instead."""
    floor = 1e-9 * max(float(np.abs(values).mean()), 1e-300) if values.size else 0.0
    return torch.from_numpy(np.maximum(values, floor) * unit**2)
