"""The network as a graph of slope sets on a region, and the view of it with affine subgraphs
fused."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import torch

from autolip.graph.graph import Place
from autolip.intervals import Interval
from autolip.operators.algebra import compose
from autolip.operators.block import Block, Link, between
from autolip.operators.diagonal import Identity
from autolip.operators.image import image
from autolip.operators.operator import Operator
from autolip.slopes import Exact, Slope

READOUT = "readout"
"""Defined: the name of the linear map that follows a network; one after another are one."""


@dataclass(frozen=True)
class Edge:
    """One operand of an operation, and the slope set towards it."""

    source: str
    slope: Slope

    @property
    def operator(self) -> Operator | None:
        """The linear map of an affine operand; None for any other."""
        return self.slope.operator if isinstance(self.slope, Exact) else None


@dataclass(frozen=True)
class Vertex:
    """An operation on a region: f(x) - f(y) = sum over edges of M_i (x_i - y_i); its values lie in
    `range`."""

    name: str
    shape: torch.Size
    edges: tuple[Edge, ...]
    range: Interval
    place: Place = Place()
    operation: str = ""

    @property
    def is_affine(self) -> bool:
        return all(edge.operator is not None for edge in self.edges)

    @property
    def links(self) -> tuple[Link, ...]:
        """Its affine operands; all of them where it is affine."""
        return tuple(
            Link(edge.source, self.name, edge.operator)
            for edge in self.edges
            if edge.operator is not None
        )

    @property
    def only_edge(self) -> Edge | None:
        """Its operand; None where it has several, or none."""
        return self.edges[0] if len(self.edges) == 1 else None


@dataclass(frozen=True, eq=False)
class SlopeGraph:
    """Vertices in topological order, the first one being the input; equal to itself alone."""

    input: str
    vertices: tuple[Vertex, ...]
    output: str

    def __iter__(self) -> Iterator[Vertex]:
        return iter(self.vertices)

    @cached_property
    def by_name(self) -> dict[str, Vertex]:
        return {vertex.name: vertex for vertex in self.vertices}

    def __getitem__(self, name: str) -> Vertex:
        return self.by_name[name]

    @property
    def input_shape(self) -> torch.Size:
        return self[self.input].shape

    @property
    def output_shape(self) -> torch.Size:
        return self[self.output].shape

    @cached_property
    def work(self) -> float:
        """Multiply-adds of one forward and one backward pass of the linear operations."""
        return 2 * sum(link.operator.work for link in self.links)

    @property
    def links(self) -> tuple[Link, ...]:
        """All affine operands, in the order of the vertices that read them."""
        return tuple(link for vertex in self for link in vertex.links)

    def pruned(self) -> "SlopeGraph":
        """Without the vertices that the output does not depend on."""
        wanted = {self.output, self.input}
        for vertex in reversed(self.vertices):
            if vertex.name in wanted:
                wanted.update(edge.source for edge in vertex.edges)
        return replace(self, vertices=tuple(v for v in self.vertices if v.name in wanted))

    def then(self, operator: Operator) -> "SlopeGraph":
        """This function followed by a linear operator on its output; an affine output that nothing
        else reads is a part of the operator's."""
        last = self[self.output]
        kept = self.vertices
        if last.is_affine and last.edges:
            edges = tuple(
                Edge(link.source, Exact(compose(operator, link.operator))) for link in last.links
            )
            if not any(edge.source == last.name for vertex in self for edge in vertex.edges):
                kept = tuple(vertex for vertex in kept if vertex is not last)
        else:
            edges = (Edge(last.name, Exact(operator)),)
        values = image(operator, last.range)
        read = Vertex(
            READOUT, operator.out_shape, edges, values, Place("the chosen output"), "affine"
        )
        return SlopeGraph(self.input, (*kept, read), read.name)


def fused(graph: SlopeGraph, stops: Collection[str] = ()) -> SlopeGraph:
    """The same function with every maximal affine subgraph as one operator per (source, sink) pair.

    What remains: the input, the operations that are not affine, the values they read (their
    pre-activations) and the output, each affine one with edges straight from the input and the
    non-affine operations it depends on.  At `stops`, names of affine values, subgraphs end: they
    remain, and what depends on them has edges from there.
    """
    kept = _sinks(graph) | set(stops)
    reaching: dict[str, tuple[str, ...]] = {}
    vertices: list[Vertex] = []
    for vertex in graph:
        if vertex.name == graph.input or not vertex.is_affine:
            reaching[vertex.name] = (vertex.name,)
            vertices.append(vertex)
            continue
        sources = [source for edge in vertex.edges for source in reaching[edge.source]]
        reaching[vertex.name] = tuple(dict.fromkeys(sources))
        if vertex.name in kept:
            edges = tuple(
                Edge(source, Exact(affine_map(graph, source, vertex.name, stops)))
                for source in reaching[vertex.name]
            )
            vertices.append(
                Vertex(vertex.name, vertex.shape, edges, vertex.range, vertex.place, "affine")
            )
            if vertex.name in stops:
                reaching[vertex.name] = (vertex.name,)
    return SlopeGraph(graph.input, tuple(vertices), graph.output)


def separated(graph: SlopeGraph) -> SlopeGraph:
    """The same function with one operand for every vertex that is not affine; the same graph where
    that is so already.

    An operation with several operands becomes the sum of its parts, each part a vertex of its own.
    """
    vertices: list[Vertex] = []
    for vertex in graph:
        if vertex.is_affine or len(vertex.edges) == 1:
            vertices.append(vertex)
            continue
        edges = []
        for number, edge in enumerate(vertex.edges):
            if edge.operator is None:
                part = Vertex(
                    f"{vertex.name}:{number}",
                    vertex.shape,
                    (edge,),
                    Interval.everywhere(vertex.shape),
                    vertex.place,
                    vertex.operation,
                )
                vertices.append(part)
                edge = Edge(part.name, Exact(Identity(vertex.shape)))
            edges.append(edge)
        vertices.append(replace(vertex, edges=tuple(edges)))
    return (
        graph if len(vertices) == len(graph.vertices) else replace(graph, vertices=tuple(vertices))
    )


def affine_map(graph: SlopeGraph, source: str, sink: str, stops: Collection[str] = ()) -> Operator:
    """The linear part of `sink` as a function of `source` through affine operations only, composed;
    along paths without `stops` between the two."""
    links = [
        link
        for vertex in graph
        if vertex.is_affine
        for link in vertex.links
        if link.source == source or link.source not in stops
    ]
    return Block.of(
        between(links, source, sink), source, sink, graph[source].shape, graph[sink].shape
    )


def _sinks(graph: SlopeGraph) -> set[str]:
    """Names of affine values that something non-affine reads, and the output."""
    read = {edge.source for vertex in graph if not vertex.is_affine for edge in vertex.edges}
    return read | {graph.output}
