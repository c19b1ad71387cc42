"""The network as a graph: which linear maps every operation can act as on differences of its operands."""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from autolip_check.activations import global_slopes
from autolip_check.container import Array, Document, number, require, shape_of
from autolip_check.maps import Map, Shape, Tensors, build, tensor


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


@dataclass(frozen=True)
class Edge:
    """One operand, and how its differences act."""

    source: str
    slope: Map | Slopes | Gain


@dataclass(frozen=True)
class Vertex:
    """f(x) - f(y) = sum over edges of M_i (x_i - y_i); `origin` says where in the model, what, with which numbers."""

    name: str
    shape: Shape
    edges: tuple[Edge, ...]
    origin: Document

    @property
    def is_affine(self) -> bool:
        return bool(self.edges) and all(isinstance(edge.slope, Map) for edge in self.edges)


@dataclass(frozen=True)
class Network:
    """Vertices by name, operands before results; the first is the input."""

    input: str
    output: str
    vertices: dict[str, Vertex]

    def __iter__(self) -> Iterator[Vertex]:
        return iter(self.vertices.values())

    def __getitem__(self, name: str) -> Vertex:
        require(name in self.vertices, f"there is no operation {name!r} before its use")
        return self.vertices[name]

    def size(self, name: str) -> int:
        return math.prod(self[name].shape)

    def sources(self, sink: str, free: tuple[str, ...] = ()) -> set[str]:
        """What an affine operation depends on through affine ones: the input, nonlinear operations, free ones."""
        needed = {self[sink].name}
        for vertex in reversed(self.vertices.values()):
            if vertex.name in needed and vertex.is_affine and vertex.name not in free:
                needed = needed - {vertex.name} | {edge.source for edge in vertex.edges}
        return needed


def read_network(entry: Document, tensors: Tensors) -> Network:
    """The graph of a certificate, every shape checked."""
    require(set(entry) == {"input", "output", "region", "vertices"}, "the graph has unknown fields")
    network = Network(entry["input"], entry["output"], {})
    for item in entry["vertices"]:
        require(set(item) == {"name", "shape", "edges", "origin"}, "an operation has unknown fields")
        require(item["name"] not in network.vertices, f"two operations are called {item['name']}")
        require(not item["name"].endswith("|"), "names that end in | are the checker's own")
        shape = shape_of(item["shape"])
        edges = tuple(_edge(edge, network, shape, tensors) for edge in item["edges"])
        require(bool(edges) == bool(network.vertices), "the first operation is the input, and no other one is")
        network.vertices[item["name"]] = Vertex(item["name"], shape, edges, item["origin"])
    whole = network.input in list(network.vertices)[:1] and network.output in network.vertices
    require(whole, "the graph does not begin with its input, or has no output")
    return network


def _edge(entry: Document, network: Network, shape: Shape, tensors: Tensors) -> Edge:
    source, kind, before = entry["source"], entry.get("kind"), network[entry["source"]].shape
    fields = {"exact": {"map"}, "between": {"lo", "hi"}, "gain": {"norms", "dims"}}
    require(kind in fields and set(entry) == {"source", "kind", *fields[kind]}, f"a slope {kind!r} is not known")
    if kind == "exact":
        linear = build(entry["map"], tensors)
        require((linear.shape_in, linear.shape_out) == (before, shape), f"the map after {source} has a wrong shape")
        return Edge(source, linear)
    if kind == "between":
        lo, hi = (np.broadcast_to(tensor(entry[end], tensors), shape) for end in ("lo", "hi"))
        require(before == shape and bool((lo <= hi).all()), f"the slopes after {source} are wrong")
        return Edge(source, Slopes(lo, hi))
    gains = {name: number(value) for name, value in entry["norms"].items()}
    require(all(value >= 0 for value in gains.values()), "a gain is negative")
    return Edge(source, Gain(gains, None if entry["dims"] is None else shape_of(entry["dims"])))


@dataclass(frozen=True)
class Section:
    """The affine maps from some vertices, free variables, to all that depend on them through affine operations only."""

    network: Network
    free: tuple[str, ...]

    def act(self, values: dict[str, Array], back: bool = False, absolute: bool = False) -> dict[str, Array]:
        """The values of all vertices that those given reach; `back`: the adjoint, what they give at the free ones."""
        known, vertices = dict(values), self.network.vertices.values()
        for vertex in reversed(vertices) if back else vertices:
            if vertex.is_affine and vertex.name not in self.free:
                for edge in vertex.edges:
                    start, end = (vertex.name, edge.source) if back else (edge.source, vertex.name)
                    if start in known and isinstance(edge.slope, Map):
                        term = edge.slope.act(known[start], back, absolute)
                        known[end] = known[end] + term if end in known else term
        return known

    def terms(self) -> float:
        """Roundings, in the sense of gamma, on the worst path through the section, either way."""
        worst, uses = dict.fromkeys(self.free, 0.0), Counter(e.source for v in self.network for e in v.edges)
        for vertex in self.network:
            if vertex.name not in self.free and vertex.is_affine:
                known = [(e.source, e.slope) for e in vertex.edges if e.source in worst and isinstance(e.slope, Map)]
                paths = [worst[source] + slope.terms + uses[source] for source, slope in known]
                worst |= {vertex.name: max(paths) + len(paths)} if paths else {}
        return max(worst.values())


def assumptions(network: Network) -> tuple[list[str], list[str]]:
    """Operations whose slopes follow from their name, and sentences about those that are taken from the certificate."""
    derived, assumed = [], []
    for vertex in network:
        name, numbers = str(vertex.origin.get("operation")), vertex.origin.get("parameters", {})
        known, where = global_slopes(name, numbers), f"{name} at {vertex.origin.get('place') or 'the model itself'}"
        for slope in (edge.slope for edge in vertex.edges):
            if isinstance(slope, Map):
                assumed += [f"{where} acts on some entries as a linear map"] if known else []
            elif isinstance(slope, Gain):
                gains = ", ".join(f"{norm} {value:.6g}" for norm, value in sorted(slope.norms.items()))
                assumed.append(f"{where} has a gain of at most {gains}")
            elif slope.lo.size:
                if known and slope.lo.max() <= known[0] and slope.hi.min() >= known[1]:
                    derived.append(name)
                else:
                    assumed.append(f"{where} has slopes within [{slope.lo.min():.6g}, {slope.hi.max():.6g}]")
    return derived, assumed
