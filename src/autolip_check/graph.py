"""The network as a graph: which linear maps every operation can act as on differences of its
operands.

Everything that is declared, names, shapes, kinds, numbers, is checked here, before anything is
computed with it.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from autolip_check.admission import (
    LARGEST_TENSOR,
    fields_of,
    list_of,
    number,
    one_of,
    quoted,
    shape_of,
    text_of,
)
from autolip_check.container import Array, Document, require
from autolip_check.maps import Map, Shape, Tensors, build, tensor
from autolip_check.regions import Region, read_region

NORMS = {"l1": 1.0, "l2": 2.0, "linf": math.inf}
"""Defined: the exponent of every norm."""

MOVES = "the entries that move"
"""Defined here: the name of a step that leaves out of the input what cannot move."""

MOST_OPERATIONS = 50_000
"""Tuned: a limit on the work."""


@dataclass(frozen=True)
class Slopes:
    """Every diagonal map with entries in [lo, hi]."""

    lo: Array
    hi: Array


@dataclass(frozen=True)
class Gain:
    """Any map of at most this gain in each norm, blocks along `dims` apart (None: one block)."""

    norms: dict[str, float]
    dims: tuple[int, ...] | None


Slope = Map | Slopes | Gain


@dataclass(frozen=True)
class Edge:
    """One operand, and how its differences act."""

    source: str
    slope: Slope

    @property
    def is_zero(self) -> bool:
        """Whether nothing of the operand is left: a linear map whose entries are all 0."""
        return isinstance(self.slope, Map) and self.slope.is_zero


@dataclass(frozen=True)
class Origin:
    """Which operation of the model a vertex stands for, with which parameters, and where: as the
    file says."""

    operation: str = ""
    place: str = ""
    parameters: Document = field(default_factory=dict)
    is_step: bool = False
    """Whether it is one of several steps of the operation that follows."""


@dataclass(frozen=True)
class Vertex:
    """f(x) - f(y) = sum over edges of M_i (x_i - y_i)."""

    name: str
    shape: Shape
    edges: tuple[Edge, ...]
    origin: Origin = field(default_factory=Origin)

    @property
    def is_affine(self) -> bool:
        return bool(self.edges) and all(isinstance(edge.slope, Map) for edge in self.edges)


@dataclass(frozen=True)
class Constant:
    """A value within `error` of `value`."""

    value: Array
    error: Array


@dataclass(frozen=True)
class Network:
    """Vertices by name, operands before results; the first is the input.

    `constants` are what the operands of operations that are not affine are where the input and the
    results of all such operations are 0; where that is told.
    """

    input: str
    output: str
    vertices: dict[str, Vertex]
    region: Region = field(default_factory=lambda: Region("everywhere", "everywhere"))
    units: Array = field(default_factory=lambda: np.ones(1))
    """What the input is multiplied by to be that of the model."""
    constants: dict[str, Constant] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Vertex]:
        return iter(self.vertices.values())

    def __getitem__(self, name: Any) -> Vertex:
        known = isinstance(name, str) and name in self.vertices
        require(known, f"there is no operation {quoted(name)} before its use")
        return self.vertices[name]

    def size(self, name: str) -> int:
        return math.prod(self[name].shape)

    @property
    def moving(self) -> int:
        """In how many entries two inputs of the region differ, at most."""
        return self.size(self.input) - sum(self.region.settled)

    def sources(self, sink: str, free: tuple[str, ...] = ()) -> set[str]:
        """What an affine operation depends on through affine ones: the input, nonlinear operations,
        free ones."""
        needed = {self[sink].name}
        for vertex in reversed(self.vertices.values()):
            if vertex.name in needed and vertex.is_affine and vertex.name not in free:
                needed.remove(vertex.name)
                needed |= {edge.source for edge in vertex.edges if not edge.is_zero}
        return needed


def read_network(entry: Any, tensors: Tensors) -> Network:
    """The graph of a certificate, every shape checked."""
    told = {"constants"} if isinstance(entry, dict) and "constants" in entry else set[str]()
    entry = fields_of(entry, {"input", "output", "region", "vertices", *told}, "the graph")
    items = list_of(entry["vertices"], "the graph")
    require(1 <= len(items) <= MOST_OPERATIONS, f"the graph has {len(items)} operations")
    first = fields_of(items[0], {"name", "shape", "edges", "origin"}, "an operation")
    size = math.prod(shape_of(first["shape"]))
    region = read_region(entry["region"], size)
    network = Network(entry["input"], entry["output"], {}, region)
    total = 0
    for item in items:
        vertex = _vertex(item, network, tensors)
        total += math.prod(vertex.shape)
        require(total <= LARGEST_TENSOR, "the values of the network are too large together")
        network.vertices[vertex.name] = vertex
    require(
        network[network.input] is next(iter(network)), "the graph does not begin with its input"
    )
    require(network[network.output], "the graph has no output")
    constants = entry.get("constants", {})
    require(isinstance(constants, dict), "constants are given by name")
    for name, item in constants.items():
        network.constants[name] = _constant(item, network[name].shape, tensors)
    return network


def _constant(item: Any, shape: Shape, tensors: Tensors) -> Constant:
    fields = fields_of(item, {"value", "error"}, "a constant")
    value = np.broadcast_to(tensor(fields["value"], tensors), shape)
    error = np.broadcast_to(tensor(fields["error"], tensors), shape)
    require(bool((error >= 0).all()), "the error of a constant is negative")
    return Constant(value, error)


def _vertex(item: Any, network: Network, tensors: Tensors) -> Vertex:
    item = fields_of(item, {"name", "shape", "edges", "origin"}, "an operation")
    name = text_of(item["name"], "the name of an operation")
    shape = shape_of(item["shape"])
    require(name not in network.vertices, f"two operations are called {quoted(name)}")
    require(not name.endswith("|"), "names that end in | are the checker's own")
    operands = list_of(item["edges"], "the operands")
    edges = tuple(_edge(operand, network, shape, tensors) for operand in operands)
    is_input = not network.vertices
    require(
        is_input == (not edges),
        "the first operation is the input, and no other one is",
    )
    return Vertex(name, shape, edges, _origin(item["origin"]))


def _origin(entry: Any) -> Origin:
    """What an operation is; {} for a step towards one of the model's."""
    if entry == {}:
        return Origin(is_step=True)
    entry = fields_of(entry, {"operation", "place", "parameters"}, "the origin of an operation")
    parameters = entry["parameters"]
    require(isinstance(parameters, dict), "the parameters of an operation are not understood")
    operation = text_of(entry["operation"], "the name of an operation")
    return Origin(operation, text_of(entry["place"], "the place of an operation"), parameters)


KINDS = {"exact": {"map"}, "between": {"lo", "hi"}, "gain": {"norms", "dims"}}


def _edge(entry: Any, network: Network, shape: Shape, tensors: Tensors) -> Edge:
    kind = one_of(KINDS, entry, "kind", "a slope")
    entry = fields_of(entry, {"source", "kind", *KINDS[kind]}, "an operand")
    source = network[entry["source"]]
    if kind == "exact":
        return Edge(source.name, build(entry["map"], tensors, source.shape, shape))
    if kind == "between":
        require(source.shape == shape, f"the slopes after {quoted(source.name)} have a wrong shape")
        return Edge(source.name, _slopes(entry, shape, tensors))
    return Edge(source.name, _gain(entry, shape))


def _slopes(entry: Document, shape: Shape, tensors: Tensors) -> Slopes:
    lower = tensor(entry["lo"], tensors)
    upper = tensor(entry["hi"], tensors)
    lo = np.broadcast_to(lower, shape)
    hi = np.broadcast_to(upper, shape)
    require(bool((lo <= hi).all()), "a lower slope is above the upper one")
    return Slopes(lo, hi)


def _gain(entry: Document, shape: Shape) -> Gain:
    norms = entry["norms"]
    dims = entry["dims"]
    are_known = isinstance(norms, dict) and set(norms) <= set(NORMS)
    require(are_known, "a gain is of a norm that is not known")
    gains = {name: number(value) for name, value in norms.items()}
    require(all(value >= 0 for value in gains.values()), "a gain is negative")
    if dims is None:
        return Gain(gains, None)
    axes = shape_of(dims)
    rising = sorted(set(axes))
    are_ordered = list(axes) == rising
    require(are_ordered and max(axes, default=-1) < len(shape), "the axes of blocks are odd")
    return Gain(gains, axes)


@dataclass(frozen=True)
class Section:
    """The affine maps from some vertices, free variables, to all that depend on them through affine
    operations only."""

    network: Network
    free: tuple[str, ...]

    def act(
        self, values: dict[str, Array], back: bool = False, absolute: bool = False
    ) -> dict[str, Array]:
        """The values of all vertices that those given reach; `back`: the adjoint, what they give at
        the free ones."""
        known = dict(values)
        vertices = self.network.vertices.values()
        for vertex in reversed(vertices) if back else vertices:
            if not vertex.is_affine or vertex.name in self.free:
                continue
            for edge in vertex.edges:
                start, end = (vertex.name, edge.source) if back else (edge.source, vertex.name)
                if start not in known or edge.is_zero or not isinstance(edge.slope, Map):
                    continue
                term = edge.slope.act(known[start], back, absolute)
                if end in known:
                    term = known[end] + term
                known[end] = term
        return known

    @property
    def work(self) -> float:
        """Multiply-adds of one pass through the section, or more."""
        maps = (e.slope for v in self.network if v.is_affine for e in v.edges)
        return sum(slope.work for slope in maps if isinstance(slope, Map))

    def terms(self) -> float:
        """Roundings, in the sense of gamma, on the worst path through the section, either way."""
        worst = dict.fromkeys(self.free, 0.0)
        uses = Counter(edge.source for vertex in self.network for edge in vertex.edges)
        for vertex in self.network:
            if vertex.name in self.free or not vertex.is_affine:
                continue
            # products of a map, and sums: over its operands forward, over its readers backward
            paths = [
                worst[edge.source] + edge.slope.terms + uses[edge.source]
                for edge in vertex.edges
                if edge.source in worst and isinstance(edge.slope, Map)
            ]
            if paths:
                worst[vertex.name] = max(paths) + len(paths)
        return max(worst.values())
