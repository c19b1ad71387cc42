"""Operands of nonlinear vertices, and read-outs, as rows in the input and in what bends.

Write z_k = c_k v_k + e_k, |e_k| <= rho_k |v_k|.  Backwards through the network a row of v_k, or of
y, becomes one in x and in the e_j: every question has its own centres c, and affine operators are
shared.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from autolip.errors import Refusal
from autolip.graph.views import SlopeGraph
from autolip.operators.norms.rounding import Units, rounded_matrix, rounded_product
from autolip.operators.operator import DTYPE, Operator
from autolip.rounded import Rounded

WRITTEN = 2**22
"""Chosen: entries of an affine map up to which it is written out as a matrix."""

Centres = Mapping[str, Float[Tensor, "s *shape"]]
"""c of every nonlinear vertex with slopes, by name; those of gains are 0."""

Rows = dict[str, Rounded]
"""Coefficients, (s, rows, *shape), of the input and of the e_j, by name."""


@dataclass(frozen=True, eq=False)
class Affine:
    """An affine map that rows go back through."""

    operator: Operator

    @cached_property
    def matrix(self) -> Rounded | None:
        """The map as a matrix with its rounding; None where it is large, or entries are unknown."""
        if self.operator.in_size * self.operator.out_size > WRITTEN:
            return None
        found = rounded_matrix(self.operator)
        return None if isinstance(found, Refusal) else found

    def of_units(self, at: Int[Tensor, "s n"]) -> Rounded | Refusal:
        """The rows of these outputs, (s, n, *in_shape)."""
        shape = (*at.shape, *self.operator.in_shape)
        if self.matrix is not None:
            return _shaped(self.matrix[at], shape)
        units = torch.nn.functional.one_hot(at.reshape(-1), self.operator.out_size).to(DTYPE)
        units = units.reshape(-1, *self.operator.out_shape)
        found = rounded_product(self.operator.T, Units(units, torch.zeros_like(units)))
        return found if isinstance(found, Refusal) else _shaped(found, shape)

    def back(self, rows: Rounded) -> Rounded | Refusal:
        """(s, n, *out_shape) to (s, n, *in_shape)."""
        count = rows.value.shape[:2]
        shape = (*count, *self.operator.in_shape)
        if self.matrix is not None:
            flat = _shaped(rows, (*count, self.operator.out_size))
            return _shaped(flat @ self.matrix, shape)
        found = rounded_product(
            self.operator.T, _shaped(rows, (math.prod(count), *self.operator.out_shape))
        )
        return found if isinstance(found, Refusal) else _shaped(found, shape)


class OperandRows:
    """The rows of one network, for any slopes."""

    def __init__(self, fused: SlopeGraph) -> None:
        self.graph = fused
        self._affine = {(link.target, link.source): Affine(link.operator) for link in fused.links}

    def of_operand(self, name: str, at: Int[Tensor, "s n"], centres: Centres) -> Rows | Refusal:
        """Those of some entries of what a nonlinear vertex reads, each sample's own."""
        source = self.graph[name].edges[0].source
        reached: Rows = {}
        if source == self.graph.input or not self.graph[source].is_affine:
            shape = self.graph[source].shape
            units = torch.nn.functional.one_hot(at, shape.numel()).to(DTYPE)
            reached[source] = _shaped(Rounded.exact(units), (*at.shape, *shape))
            return self._down(reached, centres)
        for link in self.graph[source].links:
            rows = self._affine[source, link.source].of_units(at)
            if isinstance(rows, Refusal):
                return rows
            reached[link.source] = rows
        return self._down(reached, centres)

    def of_output(self, rows: Float[Tensor, "s n m"], centres: Centres) -> Rows | Refusal:
        """Those of linear functions of the flattened output."""
        last = self.graph[self.graph.output]
        shaped = _shaped(Rounded.exact(rows), (*rows.shape[:2], *last.shape))
        return self._down({last.name: shaped}, centres)

    def _down(self, reached: Rows, centres: Centres) -> Rows | Refusal:
        """Back to the input, from values that rows were found for."""
        found: Rows = {}
        for vertex in reversed(self.graph.vertices):
            rows = reached.pop(vertex.name, None)
            if rows is None:
                continue
            if vertex.name == self.graph.input or not vertex.is_affine:
                found[vertex.name] = rows
            if not vertex.is_affine:
                if vertex.name in centres:
                    weight = Rounded.exact(centres[vertex.name].unsqueeze(1))
                    _add(reached, vertex.edges[0].source, rows * weight)
                continue
            for link in vertex.links:
                part = self._affine[vertex.name, link.source].back(rows)
                if isinstance(part, Refusal):
                    return part
                _add(reached, link.source, part)
        return found


def _add(rows: Rows, name: str, part: Rounded) -> None:
    rows[name] = rows[name] + part if name in rows else part


def _shaped(rows: Rounded, shape: tuple[int, ...]) -> Rounded:
    error = rows.error.expand(rows.value.shape)
    return Rounded(rows.value.reshape(shape), error.reshape(shape))


def flattened(rows: Rounded) -> Rounded:
    """(s, n, *shape) to (s, n, size)."""
    return _shaped(rows, (*rows.value.shape[:2], math.prod(rows.value.shape[2:])))
