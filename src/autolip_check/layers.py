"""A network of affine operations and functions that are linear in pieces, in exact matrices.

v_k = sum_j W_kj z_j + b_k,    z_0 = x,    z_k = f_k(v_k),    y = sum_j W_yj z_j
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from autolip_check.activations import name_of
from autolip_check.admission import quoted
from autolip_check.container import Array, require
from autolip_check.dyadic import Dyadic
from autolip_check.enclosed import Enclosed
from autolip_check.graph import MOVES, Constant, Edge, Network, Slopes, Vertex
from autolip_check.maps import Diagonal, Map, Stored, Wiring
from autolip_check.pieces import Pieces, pieces_of

MOST_ENTRIES = 2**22
"""Tuned: entries of one matrix, a limit on memory."""

Maps = dict[int, Dyadic]
"""By the number of the value that is read, 0 for the input: the matrix."""


@dataclass(frozen=True)
class Layer:
    """v = sum_j maps[j] z_j + a number within `off` of `offset`, and the function of v."""

    maps: Maps
    offset: Dyadic
    off: Dyadic
    pieces: Pieces

    def __len__(self) -> int:
        return len(self.offset.whole)


@dataclass(frozen=True)
class Layers:
    """All of a network, its neurons numbered layer by layer; `moving` are the entries of the input
    that differ."""

    layers: list[Layer]
    output: Maps
    moving: Array

    @cached_property
    def starts(self) -> list[int]:
        """The number of the first neuron of every layer, and that of all."""
        sizes = [len(layer) for layer in self.layers]
        return [0, *np.cumsum(sizes).tolist()]

    @property
    def inputs(self) -> int:
        return len(self.moving)

    @property
    def neurons(self) -> int:
        return self.starts[-1]

    @cached_property
    def outputs(self) -> int:
        return next(len(matrix.whole) for matrix in self.output.values())

    @cached_property
    def whole(self) -> list[dict[int, Enclosed]]:
        """The maps in floating point, those of the output last."""
        maps = [layer.maps for layer in self.layers]
        return [{j: Enclosed.of(m) for j, m in part.items()} for part in (*maps, self.output)]

    @cached_property
    def offsets(self) -> list[Enclosed]:
        """The offsets of the layers in floating point."""
        found = []
        for layer in self.layers:
            about = Enclosed.of(layer.offset)
            beside = Enclosed.of(layer.off).hi
            found.append(Enclosed(about.value, about.error + beside))
        return found

    def place(self, neuron: int) -> tuple[int, int]:
        """The layer of a neuron, and its number there."""
        require(0 <= neuron < self.neurons, f"there is no neuron {neuron}")
        layer = int(np.searchsorted(self.starts, neuron, side="right")) - 1
        return layer, neuron - self.starts[layer]


def read_layers(network: Network, sink: str) -> Layers:
    """The network from its input on; Rejected where some operation is neither affine nor linear in
    pieces, or weights are known up to rounding only.

    Values, and not only differences, have to be those of the network: entries that cannot move
    count in them.
    """
    rows: dict[str, Maps] = {network.input: {0: _unit(network.size(network.input))}}
    layers = list[Layer]()
    for vertex in network:
        require(
            name_of(vertex.origin.operation) != MOVES,
            "pieces depend on all entries of the input, and some are left out of the graph",
        )
        if vertex.is_affine:
            rows[vertex.name] = _affine(vertex, rows)
        elif vertex.edges:
            layers.append(_layer(vertex, rows, network))
            rows[vertex.name] = {len(layers): _unit(network.size(vertex.name))}
    settled = network.region.settled or (False,) * network.size(network.input)
    return Layers(layers, rows[sink], ~np.array(settled, dtype=bool))


def _unit(size: int) -> Dyadic:
    require(size * size <= MOST_ENTRIES, "a value is too large for exact matrices")
    return Dyadic.of(np.eye(size))


def _layer(vertex: Vertex, rows: dict[str, Maps], network: Network) -> Layer:
    """An operation that is bent: its operand, the constant of that, its function."""
    name = quoted(vertex.name)
    edge = vertex.edges[0]
    require(len(vertex.edges) == 1 and isinstance(edge.slope, Slopes), f"{name} has no pieces")
    require(vertex.name in network.constants, f"nothing is known of the constants before {name}")
    constant: Constant = network.constants[vertex.name]
    pieces = pieces_of(vertex.origin.operation, vertex.origin.parameters)
    offset = Dyadic.of(constant.value.reshape(-1))
    off = Dyadic.of(constant.error.reshape(-1))
    return Layer(rows[edge.source], offset, off, pieces)


def _affine(vertex: Vertex, rows: dict[str, Maps]) -> Maps:
    """The rows of an affine operation: those of its operands, multiplied and added exactly."""
    found: Maps = {}
    for edge in vertex.edges:
        for number, matrix in rows[edge.source].items():
            moved = _moved(edge, matrix)
            found[number] = found[number] + moved if number in found else moved
    return found


def _moved(edge: Edge, matrix: Dyadic) -> Dyadic:
    """A map times a matrix, column by column."""
    slope = edge.slope
    require(isinstance(slope, Map), "an affine operation mixes its operands")
    assert isinstance(slope, Map)
    if isinstance(slope, Wiring):
        return _wired(slope, matrix)
    require(not isinstance(slope, Stored) or slope.error == 0, "weights are known up to rounding")
    if isinstance(slope, Diagonal):
        scale = np.broadcast_to(slope.entries, slope.shape_out)
        return Dyadic.of(scale.reshape(-1, 1)) * matrix
    size = len(matrix.whole)
    units = np.eye(size).reshape(size, *slope.shape_in)
    images = slope.act(units, False, False)  # one product in every entry: exact
    entries = Dyadic.of(images.reshape(size, -1).T)
    return entries if _is_unit(matrix) else entries @ matrix


def _is_unit(matrix: Dyadic) -> bool:
    rows, columns = matrix.whole.shape
    if rows != columns:
        return False
    unit = _unit(rows)
    return matrix.exponent == unit.exponent and bool((matrix.whole == unit.whole).all())


def _wired(wiring: Wiring, matrix: Dyadic) -> Dyadic:
    """Rows copied, and added where an entry has several sources."""
    rows = int(np.prod(wiring.shape_out))
    whole = np.full((rows, matrix.whole.shape[1]), 0, dtype=object)
    np.add.at(whole, wiring.rows, matrix.whole[wiring.columns])
    return Dyadic(whole, matrix.exponent)
