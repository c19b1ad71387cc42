"""What each layer of a network contributes to the bound that was taken, and what a pair of inputs
makes of it.

The method whose bound is the smallest bounds the network up to each layer as well.  A layer's gain
is its bound against that of the largest it reads; along the main path, which leads back from the
output through the largest term of every sum, the gains multiply to the bound itself, and their
logarithms are shares of its.  The pair's differences have gains of their own, which multiply to
what it attains: gains against those, the losses, multiply to the width of the bracket.  The gains
of layers beside the path are those against their own main source.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from autolip.errors import Refusal
from autolip.graph.graph import Graph
from autolip.graph.moving_inputs import moved
from autolip.graph.views import SlopeGraph, Vertex
from autolip.lower.witness import Witness
from autolip.methods.blocks import weights_in
from autolip.methods.method import Problem
from autolip.methods.prefixes import bounds_up_to
from autolip.norms import Norm
from autolip.rules import slopes_on
from autolip.values import Upper


@dataclass(frozen=True)
class Layer:
    """One step of the network, affine operations in a row being one.

    `bound` is the method's on the network up to here, `gain` what it is of the bound before; None
    where that is 0 or infinite.  `attained` is how far two inputs are apart here, against how far
    they are apart as inputs, in ordinary arithmetic: no bound.  `loss` is what the layer's gain is
    of theirs.  `share` is that of its logarithm among those of all gains above 1 (0 where it is not
    above 1, None beside the path).  Of `neurons` entries of an operation that acts entry by entry,
    `stable` have one slope alone on the region.
    """

    module: str
    source: str
    operation: str
    shape: tuple[int, ...]
    weights: int
    bound: float
    gain: float | None
    attained: float | None
    loss: float | None
    share: float | None
    neurons: int | None = None
    stable: int | None = None

    @property
    def place(self) -> str:
        """Where it stands in the user's model."""
        name = self.module or self.operation
        return f"{name} ({self.source})" if self.source else name


def layers_of(
    problem: Problem, witness: Witness | None, method: str = "", taken: Upper | None = None
) -> tuple[Layer, ...] | Refusal:
    """The layers in order; Refusal where AutoLip has no bound in these norms.

    `witness` is the pair of inputs whose differences are followed, `method` the one whose bound was
    `taken`, if there are any.
    """
    found = bounds_up_to(problem, method, taken)
    if isinstance(found, Refusal):
        return found
    bounds = {name: bound.value for name, bound in found.items()}
    stretched = {} if witness is None else stretches(problem, witness)
    told = _Told(problem.fused, bounds, stretched, _stable(problem))
    start = told.graph[told.graph.input]
    first = (start,) if bounds[start.name] != 1 else ()
    others = (vertex for vertex in told.graph if vertex.name != start.name)
    return tuple(map(told.layer, (*first, *others)))


@dataclass(frozen=True)
class _Told:
    """What is known after each vertex of a graph."""

    graph: SlopeGraph
    bounds: dict[str, float]
    stretched: dict[str, float]
    stable: dict[str, tuple[int, int]]

    def layer(self, vertex: Vertex) -> Layer:
        gain = self.gain(vertex)
        passed = self._passed(vertex)
        return Layer(
            vertex.place.module,
            vertex.place.source,
            vertex.operation,
            tuple(vertex.shape),
            sum(weights_in(link.operator) for link in vertex.links),
            self.bounds[vertex.name],
            gain,
            self.stretched.get(vertex.name),
            None if gain is None or passed is None else quotient(gain, passed),
            self._share(vertex),
            *self.stable.get(vertex.name, (None, None)),
        )

    def source(self, vertex: Vertex) -> str | None:
        """The operand whose bound is the largest; None for the input."""
        names = [edge.source for edge in vertex.edges]
        return max(names, key=self.bounds.__getitem__, default=None)

    def gain(self, vertex: Vertex) -> float | None:
        source = self.source(vertex)
        before = 1.0 if source is None else self.bounds[source]
        return quotient(self.bounds[vertex.name], before)

    def _passed(self, vertex: Vertex) -> float | None:
        """What the pair of inputs makes of the layer's gain."""
        if vertex.name not in self.stretched:
            return None
        source = self.source(vertex)
        before = 1.0 if source is None else self.stretched[source]
        return quotient(self.stretched[vertex.name], before)

    def _share(self, vertex: Vertex) -> float | None:
        gain = self.main.get(vertex.name)
        if gain is None:
            return None
        return math.log(gain) / self._grown if gain > 1 else 0.0

    @cached_property
    def main(self) -> dict[str, float | None]:
        """The gains along the main path, from the output to the input."""
        path = [self.graph[self.graph.output]]
        while (source := self.source(path[-1])) is not None:
            path.append(self.graph[source])
        return {vertex.name: self.gain(vertex) for vertex in path}

    @cached_property
    def _grown(self) -> float:
        """The logarithms of all gains above one, added."""
        known = (gain for gain in self.main.values() if gain is not None)
        return sum(math.log(gain) for gain in known if gain > 1)


def quotient(value: float, before: float) -> float | None:
    """One number of another; None where either is 0 or infinite."""
    usable = 0 < value < math.inf and 0 < before < math.inf
    return value / before if usable else None


def stretches(problem: Problem, witness: Witness) -> dict[str, float]:
    """||v(x) - v(y)||_q / ||x - y||_p for every value v of the network, up to rounding, x and y in
    their units."""
    at_x, at_y = (values(problem.graph, x) for x in (witness.x, witness.y))
    start = problem.graph.input
    for each in (at_x, at_y):
        each[moved(start)] = each[start]
    for vertex in problem.fused:
        if vertex.name not in at_x:  # what is read off the network's output
            for each in (at_x, at_y):
                each[vertex.name] = _read(problem, each[problem.graph.output])
    apart = {name: at_x[name] - at_y[name] for name in at_x}
    if problem.scale is not None:
        apart[start] = apart[start] / problem.scale
    run = _length(apart[start], witness.p)
    return {name: _length(value, problem.q) / run for name, value in apart.items()} if run else {}


def _read(problem: Problem, value: Tensor) -> Tensor:
    for operator in problem.readouts:
        value = operator.mv(value.unsqueeze(0)).squeeze(0)
    return value


def _length(value: Tensor, norm: Norm) -> float:
    return norm.of_rows(value.unsqueeze(0)).item()


def values(graph: Graph, x: Tensor) -> dict[str, Tensor]:
    """The value of every node at an input, in double precision."""
    found = {graph.input: x.to(torch.float64).reshape(graph.input_shape)}
    for node in graph.nodes:
        found[node.name] = node.call(found.__getitem__)
    return found


def _stable(problem: Problem) -> dict[str, tuple[int, int]]:
    """Entries, and those with one slope alone, of every operation that acts entry by entry; nothing
    where no range is bounded."""
    if not problem.ranges:
        return {}
    found = {}
    for vertex in slopes_on(problem.graph, problem.region, problem.ranges, problem.centre):
        count = None if vertex.only_edge is None else vertex.only_edge.slope.known_entries
        if count is not None:
            found[vertex.name] = vertex.shape.numel(), count
    return found
