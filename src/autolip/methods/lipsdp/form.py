"""The quadratic form of a statement as a matrix, with its rounding: H in scaled variables, the input last.

    H = value^2 |x|^2 - |y|^2 + sum_k  lam_k (z_k^2 - 2 c_k z_k v_k + a_k b_k v_k^2),       v_k = sum_s M_ks s,

s running over the input and earlier results.  A variable with multiplier lam is scaled by a power of two near
1/sqrt(lam), so that the diagonal of H is about 1 and no rounding happens on the way.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.errors import Refusal
from autolip.graph.views import SlopeGraph, Vertex, fused
from autolip.intervals import UNIT, gamma
from autolip.methods.layerwise import dense_layers
from autolip.methods.lipsdp.statement import Statement, constraint, nonlinear
from autolip.methods.recursion import Layer
from autolip.slopes import Exact

Rows = dict[str, Layer]
"""An affine value as the sum of matrices times the input and the results it depends on, by name."""


@dataclass
class Form:
    """H without the input's term value^2 |x|^2 (or mu): lower triangle of `matrix`, exact up to `slack` in norm.

    The last `inputs` variables are x; `weights` is the diagonal of the input's term, for value 1 (mu, if it is given).
    """

    matrix: Float[Tensor, "n n"]
    slack: float
    inputs: int
    weights: Float[Tensor, " m"]


def size_of(graph: SlopeGraph) -> int:
    """The order of H."""
    return graph.input_shape.numel() + sum(v.shape.numel() for v in nonlinear(graph))


def form_of(statement: Statement) -> Form | Refusal:
    """H as a matrix; refused where an affine part has unknown entries or a multiplier is not positive."""
    assembly = _Assembly.of(statement)
    if isinstance(assembly, Refusal):
        return assembly
    refusal = assembly.fill()
    return refusal or assembly.finished()


@dataclass
class _Assembly:
    statement: Statement
    graph: SlopeGraph
    places: dict[str, slice]
    scale: dict[str, Tensor]
    matrix: Tensor
    square: float = 0.0
    """Sum of the squares of all entries' errors."""
    mass: float = 0.0
    """Sum of the Frobenius norms of everything that was added up."""
    additions: int = 0

    @staticmethod
    def of(statement: Statement) -> "_Assembly | Refusal":
        graph = fused(statement.graph)
        places, scale, start = {}, {}, 0
        for vertex in nonlinear(graph):
            lam = _full(statement.multipliers.get(vertex.name), vertex)
            if isinstance(lam, Refusal):
                return lam
            places[vertex.name] = slice(start, start + len(lam))
            scale[vertex.name] = torch.exp2(-(torch.log2(lam) / 2).round())
            start += len(lam)
        weights = _input_weights(statement)
        if not bool((weights > 0).all() and weights.isfinite().all()):
            return Refusal("the weights of the input are not positive")
        places[graph.input] = slice(start, start + len(weights))
        size = weights * statement.value**2 if statement.inputs is None else weights
        scale[graph.input] = torch.exp2(-(torch.log2(size) / 2).round())
        start += len(weights)
        return _Assembly(statement, graph, places, scale, torch.zeros(start, start, dtype=torch.float64))

    def fill(self) -> Refusal | None:
        """All terms but the input's."""
        for vertex in nonlinear(self.graph):
            rows = self._rows(vertex.edges[0].source)
            item = constraint(vertex)
            lam = self.statement.multipliers[vertex.name]
            for refusal in (rows, item):
                if isinstance(refusal, Refusal):
                    return refusal
            assert isinstance(rows, dict) and not isinstance(item, Refusal)
            own = self.scale[vertex.name]
            self._add(vertex.name, vertex.name, torch.diag(lam.broadcast_to(item.out_shape).reshape(-1) * own * own))
            if bool(item.centre.any()):
                self._couple(vertex.name, -(lam * item.centre).reshape(-1) * own, rows)
            product = item.lo * item.hi * lam
            if bool(product.any()):
                self._square(rows, product.broadcast_to(item.in_shape).reshape(-1))
        rows = self._rows(self.graph.output)
        if isinstance(rows, Refusal):
            return rows
        nu = self.statement.outputs
        count = self.graph.output_shape.numel()
        self._square(rows, -torch.ones(count, dtype=torch.float64) if nu is None else -1 / nu.reshape(-1))
        return None

    def finished(self) -> Form:
        place = self.places[self.graph.input]
        weights = _input_weights(self.statement) * self.scale[self.graph.input] ** 2
        rounding = gamma(self.additions + 4) * self.mass
        return Form(self.matrix, math.sqrt(self.square) * (1 + 1e-12) + rounding, place.stop - place.start, weights)

    def _rows(self, name: str) -> Rows | Refusal:
        """A value by what it depends on, columns scaled (exactly)."""
        if name in self.places:
            one = torch.diag(self.scale[name])
            return {name: Layer(one, torch.zeros_like(one))}
        rows: Rows = {}
        for edge in self.graph[name].edges:
            assert isinstance(edge.slope, Exact)
            layers = dense_layers((edge.slope.operator,))
            if isinstance(layers, Refusal):
                return layers
            columns = self.scale[edge.source]
            rows[edge.source] = Layer(layers[0].weight * columns, layers[0].error * columns)
        return rows

    def _couple(self, name: str, factor: Tensor, rows: Rows) -> None:
        """diag(factor) M_ks between a result and everything its operand depends on."""
        for source, layer in rows.items():
            block = factor.unsqueeze(1) * layer.weight
            self.square += 2 * _frobenius(factor.abs().unsqueeze(1) * layer.error + 4 * UNIT * block.abs()) ** 2
            self._add(name, source, block)

    def _square(self, rows: Rows, factor: Tensor) -> None:
        """sum over s, t of M_s^T diag(factor) M_t; errors by Frobenius norms."""
        root = factor.abs().sqrt().unsqueeze(1)
        sizes = {s: (_frobenius(root * x.weight), _frobenius(root * x.error)) for s, x in rows.items()}
        for s, left in rows.items():
            weighted = left.weight.T * factor
            for t, right in rows.items():
                if self.places[s].start >= self.places[t].start:
                    (size, error), (other, slip) = sizes[s], sizes[t]
                    rounding = (gamma(len(factor)) + 4 * UNIT) * size * other
                    total = (rounding + size * slip + error * other + error * slip) * (1 + 1e-10)
                    self.square += (1 if s == t else 2) * total**2
                    self._add(s, t, weighted @ right.weight)

    def _add(self, row: str, column: str, block: Tensor) -> None:
        if self.places[row].start < self.places[column].start:
            row, column, block = column, row, block.T
        self.matrix[self.places[row], self.places[column]] += block
        self.mass += 2 * _frobenius(block)
        self.additions += 1


def _full(lam: Tensor | None, vertex: Vertex) -> Tensor | Refusal:
    """The multiplier of every entry of a vertex."""
    if lam is None or not bool((lam > 0).all() and lam.isfinite().all()):
        return Refusal(f"the multipliers of {vertex.operation} at {vertex.place} are not positive numbers")
    return lam.broadcast_to(vertex.shape).reshape(-1)


def _input_weights(statement: Statement) -> Tensor:
    if statement.inputs is not None:
        return statement.inputs.reshape(-1)
    return torch.ones(statement.graph.input_shape.numel(), dtype=torch.float64)


def _frobenius(matrix: Tensor) -> float:
    return torch.linalg.vector_norm(matrix).item() * (1 + gamma(matrix.numel()))
