"""A piecewise linear network in matrices: what branch and bound works on.

v_k = sum_j W_kj z_j + b_k,    z_0 = x,    z_k = phi_k(v_k),    y = sum_j W_yj z_j + b_y
"""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from autolip.errors import Refusal
from autolip.graph.graph import Graph
from autolip.graph.views import SlopeGraph, Vertex, fused
from autolip.intervals import Interval, centre_and_radius
from autolip.operators.diagonal import Identity
from autolip.operators.norms.rounding import rounded_matrix, rounded_product
from autolip.operators.operator import Operator, largest
from autolip.piecewise.pieces import Pieces, pieces_of
from autolip.regions import Region
from autolip.rounded import Rounded
from autolip.rules import parts_on
from autolip.rules.lowering import lowered
from autolip.rules.propagate import affine_image, outcome_of
from autolip.rules.rule import Operand, Pointwise

MOST_NEURONS = 4096
"""Chosen: neurons of a network that is written in matrices, at most."""

MOST_ENTRIES = 2**24
"""Chosen: entries of all its matrices together, at most (128 MiB)."""

MODERATE = 2.0**200
"""Chosen: greatest entry, and reciprocal of the greatest, of a matrix whose products stay far
within floating point."""

Maps = Mapping[int, Rounded]
"""By the number of the value that is read, 0 for the input: the matrix."""


@dataclass(frozen=True)
class Affine:
    """v = sum_j maps[j] z_j + offset."""

    maps: Maps
    offset: Rounded

    def __len__(self) -> int:
        return len(self.offset.value)


@dataclass(frozen=True, eq=False)
class Network:
    """The layers v_1, v_2, ... in topological order, the functions of all their neurons, and the
    output.

    `first` and `last` are the pieces on which each neuron may lie on the region.  `moving` are the
    entries of the input that are not the same all over it, `scale` the units of differences.
    """

    region: Region
    input_shape: torch.Size
    moving: Bool[Tensor, " n0"]
    layers: tuple[Affine, ...]
    output: Affine
    pieces: Pieces
    first: Int64[Tensor, " n"]
    last: Int64[Tensor, " n"]
    scale: Float[Tensor, " n0"] | None = None
    names: tuple[str, ...] = ()
    """Of the operations that the layers are operands of."""

    @property
    def inputs(self) -> int:
        return self.input_shape.numel()

    @property
    def neurons(self) -> int:
        return len(self.first)

    def on(self, region: Region) -> "Network":
        """The same on a region, all pieces left to every neuron: nothing is known."""
        moving = ~region.settled(self.input_shape).reshape(-1)
        first = (self.pieces.breaks == -math.inf).sum(1)
        last = (self.pieces.breaks < math.inf).sum(1)
        return replace(self, region=region, moving=moving, first=first, last=last)

    @cached_property
    def places(self) -> tuple[slice, ...]:
        """Where the neurons of each layer stand among all."""
        stops = torch.tensor([0, *map(len, self.layers)]).cumsum(0).tolist()
        return tuple(slice(a, b) for a, b in itertools.pairwise(stops))

    @cached_property
    def _extremes(self) -> tuple[Tensor, Tensor]:
        """(n, P, P): the least and the largest slope of the pieces from one to another."""
        slopes = self.pieces.slopes
        count = slopes.shape[1]
        lows = slopes.new_zeros(len(slopes), count, count)
        highs = torch.zeros_like(lows)
        for a in range(count):
            for b in range(a, count):
                lows[:, a, b] = slopes[:, a : b + 1].amin(1)
                highs[:, a, b] = slopes[:, a : b + 1].amax(1)
        return lows, highs

    def slopes(
        self, first: Int64[Tensor, "k n"], last: Int64[Tensor, "k n"]
    ) -> tuple[Float[Tensor, "k n"], Float[Tensor, "k n"]]:
        """The least and the largest slope of every neuron, where it may lie on these pieces."""
        every = torch.arange(self.neurons)
        lows, highs = self._extremes
        return lows[every, first, last], highs[every, first, last]

    def centred(
        self, first: Int64[Tensor, "k n"], last: Int64[Tensor, "k n"]
    ) -> tuple[Float[Tensor, "k n"], Float[Tensor, "k n"]]:
        """Centres and radii that contain those slopes."""
        return centre_and_radius(*self.slopes(first, last))

    def rounded(self, lean: Float[Tensor, "k n"]) -> Int64[Tensor, "k n"]:
        """The pieces whose slopes are nearest to lo + lean (hi - lo), of those left in the
        region."""
        low, high = self.slopes(self.first.unsqueeze(0), self.last.unsqueeze(0))
        wanted = (low + lean * (high - low)).unsqueeze(-1)
        piece = torch.arange(self.pieces.slopes.shape[1])
        first, last = self.first.unsqueeze(-1), self.last.unsqueeze(-1)
        off = (self.pieces.slopes - wanted).abs()
        return off.masked_fill((piece < first) | (piece > last), math.inf).argmin(-1)

    def moved(self, maps: Maps) -> dict[int, Rounded]:
        """The same, of differences of inputs in their units: entries that do not move left out."""
        return {j: self._of_moving(x) if j == 0 else x for j, x in maps.items()}

    def _of_moving(self, matrix: Rounded) -> Rounded:
        kept = matrix[:, self.moving]
        return kept if self.scale is None else kept * Rounded.exact(self.scale[self.moving])

    @cached_property
    def difference_layers(self) -> tuple[dict[int, Rounded], ...]:
        """The maps of the layers, and those of the output, on differences."""
        return tuple(self.moved(layer.maps) for layer in (*self.layers, self.output))


def network_of(
    graph: Graph,
    region: Region,
    known: Mapping[str, Interval],
    readouts: tuple[Operator, ...] = (),
    scale: Tensor | None = None,
) -> Network | Refusal:
    """The network of a captured graph on a region, in units of its input; refused where some
    operation is not piecewise linear, or the matrices would be too large."""
    simple = lowered(graph)
    slopes = parts_on(simple, region, known)
    read = slopes
    for operator in readouts:
        read = read.then(operator)
    joined = fused(read)
    curves = curves_of(simple, slopes)
    if isinstance(curves, Refusal):
        return curves
    offsets = offsets_of(simple, curves)
    if isinstance(offsets, Refusal):
        return offsets
    writer = _Writer(joined, offsets, {joined.input: 0})
    found = writer.network(region, curves)
    if isinstance(found, Refusal):
        return found
    there = _read(offsets[simple.output], readouts)
    if isinstance(there, Refusal):
        return there
    found = replace(found, output=replace(found.output, offset=there))
    return found if scale is None else replace(found, scale=scale.reshape(-1))


def _read(offset: Interval, readouts: tuple[Operator, ...]) -> Rounded | Refusal:
    """What the output is at 0, after what is read of it."""
    found: Rounded | Refusal = Rounded(*centre_and_radius(offset.lo, offset.hi))
    for operator in readouts:
        if isinstance(found, Rounded):
            batch = Rounded(found.value.unsqueeze(0), found.error.unsqueeze(0))
            found = rounded_product(operator, batch)
            found = found if isinstance(found, Refusal) else found[0]
    if isinstance(found, Refusal):
        return found
    return Rounded(found.value.reshape(-1), found.error.reshape(-1))


def curves_of(graph: Graph, slopes: SlopeGraph) -> dict[str, Pieces] | Refusal:
    """The functions of all vertices that are not affine."""
    operands = {v.name: Operand(v.name, v.shape, v.range) for v in slopes}
    found: dict[str, Pieces] = {}
    for node in graph.nodes:
        vertex = slopes[node.name]
        if vertex.is_affine:
            continue
        outcome = outcome_of(node, operands)
        whole = isinstance(outcome, Pointwise) and outcome.operand.shape == node.shape
        pieces = pieces_of(outcome) if isinstance(outcome, Pointwise) and whole else None
        if pieces is None:
            return Refusal(
                f"{vertex.operation} at {vertex.place} is not known to be piecewise linear in each "
                "entry: branching on its pieces is not possible"
            )
        found[node.name] = pieces
    return found


def offsets_of(graph: Graph, curves: Mapping[str, Pieces]) -> dict[str, Interval] | Refusal:
    """What every value is where the input, and what is not affine, is 0."""
    zero = _zero(graph.input_shape)
    operands = {graph.input: Operand(graph.input, graph.input_shape, zero)}
    for node in graph.nodes:
        known = node.name in curves
        image = _zero(node.shape) if known else affine_image(node, operands)
        if image is None:
            return Refusal(
                f"{node.target} at {node.place} is decided by the region: branching on pieces is "
                "not possible"
            )
        operands[node.name] = Operand(node.name, node.shape, image)
    return {name: operand.range for name, operand in operands.items()}


def _zero(shape: torch.Size) -> Interval:
    return Interval.uniform(0.0, 0.0, shape)


@dataclass
class _Writer:
    """Writes the layers one after another; `numbers` are those of the values that are read."""

    joined: SlopeGraph
    offsets: Mapping[str, Interval]
    numbers: dict[str, int]
    entries: int = 0

    def network(self, region: Region, curves: Mapping[str, Pieces]) -> Network | Refusal:
        layers, ranges = list[Affine](), list[Interval]()
        if sum(len(curve.slopes) for curve in curves.values()) > MOST_NEURONS:
            return Refusal(f"more than {MOST_NEURONS} neurons are too many for branch and bound")
        for name in (vertex.name for vertex in self.joined if vertex.name in curves):
            operand = self.joined[self.joined[name].edges[0].source]
            layer = self.affine(operand, self.offsets[operand.name])
            if isinstance(layer, Refusal):
                return layer
            layers.append(layer)
            ranges.append(_flat(operand.range))
            self.numbers[name] = len(layers)
        last = self.joined[self.joined.output]
        output = self.affine(last, _zero(last.shape))
        if isinstance(output, Refusal):
            return output
        if not layers:
            return Refusal("the network is affine: nothing is left to branch on")
        names = tuple(name for name in self.numbers if name in curves)
        pieces = Pieces.joined([curves[name] for name in names])
        whole = Interval(torch.cat([x.lo for x in ranges]), torch.cat([x.hi for x in ranges]))
        shape = self.joined.input_shape
        moving = ~region.settled(shape).reshape(-1)
        ends = pieces.within(whole)
        return Network(region, shape, moving, tuple(layers), output, pieces, *ends, names=names)

    def affine(self, vertex: Vertex, offset: Interval) -> Affine | Refusal:
        """The value of a vertex in terms of those that are numbered."""
        if vertex.name in self.numbers:
            operators: dict[str, Operator] = {vertex.name: Identity(vertex.shape)}
            offset = _zero(vertex.shape)
        else:
            operators = {link.source: link.operator for link in vertex.links}
        maps = dict[int, Rounded]()
        for source, operator in operators.items():
            self.entries += operator.in_size * operator.out_size
            if self.entries > MOST_ENTRIES:
                return Refusal(f"its matrices have more than {MOST_ENTRIES} entries")
            matrix = rounded_matrix(operator)
            if isinstance(matrix, Refusal):
                return matrix
            top = largest(matrix.value)
            if top and not 1 / MODERATE <= top <= MODERATE:
                return Refusal(
                    f"weights before {vertex.place} are so large or so small that their squares "
                    "leave floating point"
                )
            maps[self.numbers[source]] = matrix
        flat = _flat(offset)
        return Affine(maps, Rounded(*centre_and_radius(flat.lo, flat.hi)))


def _flat(values: Interval) -> Interval:
    return Interval(values.lo.reshape(-1), values.hi.reshape(-1))
