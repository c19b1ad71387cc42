"""A graph of slope sets as plain data: a closed set of linear primitives, tensors by the hash of
their content."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, assert_never

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autolip.errors import InputError
from autolip.graph.graph import Graph
from autolip.graph.schema import named
from autolip.graph.views import Edge, SlopeGraph, Vertex
from autolip.operators.block import Block
from autolip.operators.convolution import Convolution
from autolip.operators.operator import DTYPE, Adjoint, Operator
from autolip.rounded import Rounded
from autolip.slopes import Between, Exact, Gain

Document = dict[str, Any]

LEAST = 2.0**-250
"""Defined by the checker: no number of a certificate is smaller, unless it is 0, so that no product
underflows."""

LARGEST = 2.0**250
"""Defined by the checker: no number of a certificate is larger."""

LARGEST_WIRING = 2**30
"""Chosen: the number of entries of a wiring that is materialised because its inputs and its outputs
overlap, at most."""


def admitted(numbers: Tensor) -> Tensor:
    """The same numbers, float64; InputError where the check would not take them."""
    values = numbers.detach().to("cpu", DTYPE)
    if not values.isfinite().all():
        raise InputError(
            "a certificate holds finite numbers only: some slope or weight is infinite"
        )
    sizes = values.abs()
    is_small = (sizes < LEAST) & (sizes > 0)
    odd = values[(sizes > LARGEST) | is_small]
    if odd.numel():
        raise InputError(
            "a certificate holds numbers between 2^-250 and 2^250 in size: "
            f"{odd.reshape(-1)[0].item():.3g} is none"
        )
    return values


@dataclass
class Tensors:
    """Arrays under the hash of their type, shape and bytes: equal ones are stored once."""

    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)

    def name(self, values: NDArray[Any]) -> str:
        """Enter an array; its name."""
        array = np.ascontiguousarray(values)
        head = f"{array.dtype.str} {list(array.shape)} ".encode()
        digest = hashlib.sha256(head + array.tobytes()).hexdigest()
        name = digest[:40]
        self.arrays[name] = array
        return name

    def floats(self, values: Tensor) -> str | float:
        """A tensor by name, as float32 where that is exact; one number where all entries are
        equal."""
        values = admitted(values)
        if values.numel() and bool((values == values.reshape(-1)[0]).all()):
            return float(values.reshape(-1)[0])
        return self.full(values)

    def full(self, values: Tensor) -> str:
        """The same, always as a tensor of its shape."""
        array = admitted(values).numpy()
        with np.errstate(over="ignore"):  # what overflows is not exact, and stays float64
            single = array.astype(np.float32)
        return self.name(single if bool((single.astype(np.float64) == array).all()) else array)

    def indices(self, values: Tensor) -> str:
        """A tensor of integers."""
        small = not values.numel() or values.max().item() < 2**31
        return self.name(values.reshape(-1).numpy().astype(np.int32 if small else np.int64))


@dataclass
class Encoder:
    """Writes the vertices of a graph; compositions and sums become vertices of their own."""

    tensors: Tensors
    parameters: dict[str, Document]
    vertices: list[Document] = field(default_factory=list)

    def vertex(self, vertex: Vertex) -> None:
        """One vertex, after those that its operands need."""
        edges = [entry for edge in vertex.edges for entry in self._edge(edge)]
        origin = {
            "operation": vertex.operation,
            "place": str(vertex.place),
            "parameters": self.parameters.get(vertex.name.split(":")[0], {}),
        }
        self._append(vertex.name, tuple(vertex.shape), edges, origin)

    def _append(
        self, name: str, shape: tuple[int, ...], edges: list[Document], origin: Document
    ) -> None:
        self.vertices.append({"name": name, "shape": list(shape), "edges": edges, "origin": origin})

    def _edge(self, edge: Edge) -> list[Document]:
        slope = edge.slope
        match slope:
            case Exact():
                return self._exact(edge.source, slope.operator)
            case Between():
                lo = self.tensors.floats(slope.lo)
                hi = self.tensors.floats(slope.hi)
                return [{"source": edge.source, "kind": "between", "lo": lo, "hi": hi}]
            case Gain():
                return [self._gain(edge.source, slope)]
            case _:
                assert_never(slope)

    @staticmethod
    def _gain(source: str, slope: Gain) -> Document:
        norms = {
            norm.value: upper.value
            for norm, upper in slope.norms.items()
            if upper.value < float("inf")
        }
        if any(upper.events for upper in slope.norms.values()):
            raise InputError("a gain that is only probably valid cannot be certified")
        admitted(torch.tensor(list(norms.values()), dtype=DTYPE))
        dims = None if slope.axes is None else list(slope.axes)
        return {"source": source, "kind": "gain", "norms": norms, "dims": dims}

    def _exact(self, source: str, operator: Operator) -> list[Document]:
        """The edges, with what they need before them, that add operator(source)."""
        if isinstance(operator, Block):
            raise InputError(
                "a fused graph is not certified: give the graph operation by operation"
            )
        return operator.fold(_Value(source), self._through, _Value.sum).edges

    def _through(self, leaf: Operator, x: "_Value") -> "_Value":
        """The image of a value, which becomes a vertex of its own unless it is one."""
        if not x.name:
            x.name = f"#{len(self.vertices)}"
            self._append(x.name, tuple(leaf.in_shape), x.edges, {})
        edge = {"source": x.name, "kind": "exact", "map": self._leaf(leaf)}
        return _Value(edges=[edge])

    def _leaf(self, operator: Operator) -> Document:
        adjoint = isinstance(operator, Adjoint)
        base = operator.operator if isinstance(operator, Adjoint) else operator
        conv = Convolution.of(base)
        if conv is not None:
            return self._convolution(conv, adjoint)
        if operator.is_wiring:
            return self._wiring(operator)
        if operator.is_zero:
            none = torch.zeros(0, dtype=torch.int64)
            return self._pairs(operator, none, none)
        weight: str | float
        if operator.matrices is not None:
            kind = "dense"
            weight = self.tensors.full(operator.matrices)
        elif operator.diagonal is not None:
            kind = "diagonal"
            weight = self.tensors.floats(operator.diagonal)
        else:
            raise InputError(f"{operator} has no place in a certificate: its entries are unknown")
        return {
            "op": kind,
            "weight": weight,
            "in": list(operator.in_shape),
            "error": operator.relative_error,
        }

    def _convolution(self, conv: Convolution, adjoint: bool) -> Document:
        geometry = conv.geometry
        return {
            "op": "convolution",
            "weight": self.tensors.full(conv.weight),
            "in": list(conv.out_shape if geometry.transposed else conv.in_shape),
            "error": conv.relative_error,
            "stride": list(geometry.stride),
            "padding": list(geometry.padding),
            "dilation": list(geometry.dilation),
            "groups": geometry.groups,
            "adjoint": geometry.transposed != adjoint,
        }

    def _wiring(self, operator: Operator) -> Document:
        if operator.is_selection:
            places = _sources(operator)
            strides = _strides(places)
            index = self.tensors.indices(places) if strides is None else strides
            return {
                "op": "gather",
                "in": list(operator.in_shape),
                "out": list(operator.out_shape),
                "index": index,
            }
        if operator.in_counts.max().item() <= 1:
            rows = _sources(operator.T).reshape(-1)
            used = rows >= 0
            return self._pairs(operator, rows[used], torch.arange(len(rows))[used])
        if operator.in_size * operator.out_size > LARGEST_WIRING:
            raise InputError(f"{operator} is too large a wiring for a certificate")
        rows, columns = operator.matrix().nonzero(as_tuple=True)
        return self._pairs(operator, rows, columns)

    def _pairs(self, operator: Operator, rows: Tensor, columns: Tensor) -> Document:
        return {
            "op": "pairs",
            "in": list(operator.in_shape),
            "out": list(operator.out_shape),
            "rows": self.tensors.indices(rows),
            "columns": self.tensors.indices(columns),
        }


@dataclass
class _Value:
    """A value between the factors of a composition: the edges that add up to it, and its name where
    it is a vertex."""

    name: str = ""
    edges: list[Document] = field(default_factory=list)

    @staticmethod
    def sum(values: Sequence["_Value"]) -> "_Value":
        """Edges into one vertex are added."""
        return _Value(edges=[edge for value in values for edge in value.edges])


def _sources(operator: Operator) -> Tensor:
    """Which flat input each output copies, -1 for none: the image of 1, 2, 3, ..., less 1."""
    numbers = torch.arange(1, operator.in_size + 1, dtype=DTYPE)
    shaped = numbers.reshape(1, *operator.in_shape)
    image = operator.mv(shaped)
    return image[0].long() - 1


def _strides(places: Tensor) -> list[int] | None:
    """Offset and strides with places[i] = offset + sum strides_a i_a, where there are such."""
    if not places.numel():
        return None
    origin = [0] * places.dim()
    first = int(places[tuple(origin)])
    grid = torch.full_like(places, first)
    strides = []
    for axis, size in enumerate(places.shape):
        second = [*origin]
        second[axis] = min(1, size - 1)
        there = int(places[tuple(second)])
        step = there - first
        strides.append(step)
        along = [1] * places.dim()
        along[axis] = size
        grid = grid + step * torch.arange(size).reshape(along)
    return [first, *strides] if bool((grid == places).all()) and int(places.min()) >= 0 else None


def encode_graph(
    slopes: SlopeGraph,
    region: Document,
    graph: Graph | None,
    tensors: Tensors,
    constants: Mapping[str, Rounded] = MappingProxyType({}),
) -> Document:
    """The graph as plain data; numbers among the arguments of its operations are kept with them.

    `constants` by the name of an operation: what its operand is where the input is 0, and the
    results of all operations that are not affine.
    """
    encoder = Encoder(tensors, _numbers(graph) if graph is not None else {})
    for vertex in slopes:
        encoder.vertex(vertex)
    told = {name: _constant(values, tensors) for name, values in constants.items()}
    return {
        "input": slopes.input,
        "output": slopes.output,
        "region": region,
        "vertices": encoder.vertices,
        **({"constants": told} if told else {}),
    }


def _constant(values: Rounded, tensors: Tensors) -> Document:
    error = torch.where(values.error > 0, values.error.clamp_min(LEAST), 0.0)
    return {"value": tensors.floats(values.value), "error": tensors.floats(error)}


def _numbers(graph: Graph) -> dict[str, Document]:
    """The numeric arguments of every operation, by name."""
    found: dict[str, Document] = {}
    for node in graph:
        given = named(node.target, node.args, node.kwargs).items()
        found[node.name] = {k: _plain(v) for k, v in given if isinstance(v, int | float | str)}
    return found


def _plain(value: int | float | str) -> int | float | str:
    """A number of JSON, which knows no infinity: that in words."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
