"""Forward and adjoint passes through the affine parts of a graph, with a callback where it is not
affine.

With the results z_j of the nonlinear vertices given by the callback, their operands are

    v_k = C_k x + sum_j D_kj z_j,        y = E x + sum_j F_j z_j,

and the adjoint pass turns the derivatives of a function of y and of the v_k into those with respect
to x and the z_j.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from autolip.graph.views import SlopeGraph
from autolip.operators.operator import CPU, DTYPE, Operator

Bend = Callable[[str, Tensor], Tensor]
"""From a nonlinear vertex's name and v to z (forward); from its name and d/dz to d/dv (adjoint)."""

TOP = 2.0**16
"""Chosen: a nonlinear vertex's result is rescaled where its norm leaves [1 / TOP, TOP]."""


@dataclass(frozen=True)
class _Step:
    """One vertex: its affine operands, or the one operand of a nonlinear vertex (operator None)."""

    name: str
    operands: tuple[tuple[str, Operator | None], ...]
    finished: tuple[str, ...]
    """Values that no later step reads."""

    @property
    def is_nonlinear(self) -> bool:
        return self.operands[0][1] is None


class Passes:
    """The passes, for batches, in one format on one device; a step costs one product with every
    affine operator.

    Where `normalise` is set, the value of vertex n is held as 2^exponents[n] times what the
    callbacks see: every nonlinear result is kept near norm 1, which keeps deep networks within the
    range of float32.
    """

    def __init__(
        self,
        graph: SlopeGraph,
        dtype: torch.dtype = DTYPE,
        normalise: bool = False,
        device: torch.device = CPU,
    ) -> None:
        self.input = graph.input
        self.output = graph.output
        self.dtype = dtype
        self.normalise = normalise
        self.input_shape = graph.input_shape
        self.output_shape = graph.output_shape
        self.exponents: dict[str, int] = {}
        self._steps = _steps(graph, dtype, device)
        self._sources = {
            step.name: step.operands[0][0] for step in self._steps if step.is_nonlinear
        }

    def source(self, name: str) -> str:
        """The operand of a nonlinear vertex."""
        return self._sources[name]

    def forward(self, x: Tensor, bend: Bend) -> Tensor:
        """y for a batch of inputs."""
        values = {self.input: x}
        self.exponents = {self.input: 0}
        for step in self._steps:
            if step.is_nonlinear:
                source = step.operands[0][0]
                values[step.name], shift = self._normalised(bend(step.name, values[source]))
                self.exponents[step.name] = self.exponents[source] + shift
            else:
                values[step.name] = self._sum(step, values)
            for name in step.finished:
                del values[name]
        return values[self.output]

    def adjoint(self, g: Tensor, bend: Bend) -> Tensor:
        """The derivative with respect to x, from that with respect to y; after a forward pass."""
        slopes = {self.output: g}
        for step in reversed(self._steps):
            slope = slopes.pop(step.name, None)
            if slope is None:
                continue
            for source, operator in step.operands:
                shift = self.exponents[source] - self.exponents[step.name]
                term = slope if not shift else slope * 2.0**shift
                term = bend(step.name, term) if operator is None else operator.rmv(term)
                slopes[source] = slopes[source] + term if source in slopes else term
        return slopes.get(self.input, g.new_zeros((len(g), *self.input_shape)))

    def _sum(self, step: _Step, values: dict[str, Tensor]) -> Tensor:
        exponent = max(self.exponents[source] for source, _ in step.operands)
        self.exponents[step.name] = exponent
        total: Tensor | None = None
        for source, operator in step.operands:
            shift = self.exponents[source] - exponent
            assert operator is not None
            term = operator.mv(values[source])
            term = term if not shift else term * 2.0**shift
            total = term if total is None else total + term
        assert total is not None
        return total

    def _normalised(self, z: Tensor) -> tuple[Tensor, int]:
        if not self.normalise:
            return z, 0
        top = float(z.abs().max()) if z.numel() else 0.0
        if top == 0 or not math.isfinite(top) or 1 / TOP < top < TOP:
            return z, 0
        shift = max(math.frexp(top)[1], -1000)
        return z * 2.0**-shift, shift


def _steps(graph: SlopeGraph, dtype: torch.dtype, device: torch.device) -> tuple[_Step, ...]:
    """The vertices that matter to the output, and when each value is last read."""
    needed = {graph.output}
    dependent = {graph.input}
    for vertex in reversed(graph.vertices):
        if vertex.name in needed:
            needed.update(edge.source for edge in vertex.edges)
    for vertex in graph:
        if any(edge.source in dependent for edge in vertex.edges):
            dependent.add(vertex.name)
    chosen = [v for v in graph if v.name in needed & dependent and v.name != graph.input]
    last: dict[str, str] = {}
    for vertex in chosen:
        last.update({edge.source: vertex.name for edge in vertex.edges if edge.source in dependent})
    cast: dict[int, Operator] = {}
    steps = []
    for vertex in chosen:
        operands = []
        for edge in vertex.edges:
            if edge.source in dependent:
                operator = edge.operator
                if operator is not None:
                    operator = cast.setdefault(id(operator), operator.cast(dtype, device))
                operands.append((edge.source, operator))
        finished = tuple(
            name for name, reader in last.items() if reader == vertex.name and name != graph.output
        )
        steps.append(_Step(vertex.name, tuple(operands), finished))
    return tuple(steps)
