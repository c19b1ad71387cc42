"""Points of the region, the pieces on which the neurons lie there, and the norm of the derivative.

Estimates: what comes of it is evaluated afresh as every lower bound is.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from autolip.budget import IN_DOUBLE, charge
from autolip.norms import Norm, maximiser
from autolip.piecewise import signs
from autolip.piecewise.network import Network

INWARDS = (0.0, 1e-6, 1e-4, 1e-2, 0.5)
"""Chosen: parts of the way to a region's middle by which a point is moved, one after another."""

DISTANCES = (0.1, 1.0, 10.0, 100.0, 1000.0)
"""Chosen: how far from the origin points are drawn where the region is unbounded."""

OUTWARDS = 30.0
"""Chosen: by how much every other point of a bounded region is moved outwards, before it is
projected: to edges and corners."""

DOUBLINGS = 30
"""Chosen: how often the shortest segment about a point is doubled, relative to its distance from
the origin."""

SHORTEST = 1e-3
"""Chosen: least distance from the origin that counts for that."""


@dataclass(frozen=True)
class Points:
    """Flat inputs, their patterns and the norms of the derivatives."""

    x: Float[Tensor, "k n0"]
    pattern: Int64[Tensor, "k n"]
    slope: Float[Tensor, " k"]

    def __len__(self) -> int:
        return len(self.slope)

    def __getitem__(self, index: Tensor) -> "Points":
        return Points(self.x[index], self.pattern[index], self.slope[index])

    def joined(self, other: "Points") -> "Points":
        """Both."""
        return Points.all([self, other])

    @staticmethod
    def all(parts: "list[Points]") -> "Points":
        """Those of all parts."""
        found = ([getattr(part, name) for part in parts] for name in ("x", "pattern", "slope"))
        return Points(*map(torch.cat, found))

    def steepest(self, count: int) -> "Points":
        """Those with the largest norms, in falling order, each pattern once."""
        order = self.slope.argsort(descending=True, stable=True)
        seen, kept = set[bytes](), list[int]()
        for number in order.tolist():
            key = self.pattern[number].numpy().tobytes()
            if key not in seen:
                seen.add(key)
                kept.append(number)
            if len(kept) == count:
                break
        return self[torch.tensor(kept, dtype=torch.int64)]


@dataclass(frozen=True)
class Derivatives:
    """A network's values and derivatives in floating point, and their norms."""

    network: Network
    p: Norm
    q: Norm

    @property
    def entries(self) -> int:
        """Of all matrices together."""
        layers = self.network.difference_layers
        return sum(matrix.value.numel() for layer in layers for matrix in layer.values())

    @property
    def products(self) -> int:
        """Multiply-adds of one derivative and its norm."""
        sides = len(self.network.output), int(self.network.moving.sum())
        corners = signs.count_of(self.p, self.q, *sides)
        return min(sides) * self.entries + corners * math.prod(sides)

    @property
    def products_beside(self) -> int:
        """Multiply-adds of the derivatives beside one: a pass forwards and one backwards."""
        return (int(self.network.moving.sum()) + len(self.network.output)) * self.entries

    def at(self, x: Float[Tensor, "k n0"]) -> Points:
        """Patterns and norms at some points."""
        pattern = self.pattern(x)
        return Points(x, pattern, self.norms(pattern))

    def pattern(self, x: Float[Tensor, "k n0"]) -> Int64[Tensor, "k n"]:
        """The piece on which every neuron lies, of those that the region leaves it."""
        return self._forward(x)[1]

    def outputs(self, x: Float[Tensor, "k n0"]) -> Float[Tensor, "k m"]:
        """What is measured at some points, up to a constant."""
        values, _ = self._forward(x)
        terms = [matrix.value @ values[j] for j, matrix in self.network.output.maps.items()]
        return sum(terms[1:], terms[0]).T

    def _forward(self, x: Float[Tensor, "k n0"]) -> tuple[list[Tensor], Int64[Tensor, "k n"]]:
        network, pieces = self.network, self.network.pieces
        values, found = [x.T], list[Tensor]()
        for layer, place in zip(network.layers, network.places, strict=True):
            terms = [matrix.value @ values[j] for j, matrix in layer.maps.items()]
            v = sum(terms[1:], terms[0]) + layer.offset.value.unsqueeze(1)
            piece = (pieces.breaks[place].unsqueeze(1) < v.unsqueeze(-1)).sum(-1)
            piece = torch.minimum(piece, network.last[place].unsqueeze(1))
            piece = torch.maximum(piece, network.first[place].unsqueeze(1))
            values.append(
                pieces.slopes[place].gather(1, piece) * v
                + pieces.offsets.value[place].gather(1, piece)
            )
            found.append(piece)
        return values, torch.cat(found).T

    def pairs(self, points: Points) -> tuple[Float[Tensor, "k n0"], Float[Tensor, "k n0"]]:
        """The ends of a segment about each point along its steepest direction, on its pieces and in
        the region; as long as doubling finds it to be, and none where it finds none.

        Where a point lies at the border of a bounded region, one nearer to the middle is tried.
        """
        found = [
            pair
            for x, pattern in zip(points.x, points.pattern, strict=True)
            if (pair := _segment(self, x, pattern)) is not None
        ]
        if not found:
            return points.x[:0], points.x[:0]
        return torch.stack([x for x, _ in found]), torch.stack([y for _, y in found])

    def jacobians(self, pattern: Int64[Tensor, "k n"]) -> Float[Tensor, "k m n0"]:
        """The derivative on the pieces of each pattern."""
        slopes = self._slopes(pattern)
        backwards = len(self.network.output) < int(self.network.moving.sum())
        maps = self._pulled(slopes)[0] if backwards else self._pushed(slopes)[-1]
        charge(len(pattern) * self.products, 1e-4 + IN_DOUBLE * len(pattern) * self.products)
        return maps.nan_to_num(0.0, 0.0, 0.0)  # what overflowed is not followed

    def _slopes(self, pattern: Int64[Tensor, "k n"]) -> Float[Tensor, "k n"]:
        every = torch.arange(self.network.neurons)
        return self.network.pieces.slopes[every, pattern]

    def _pushed(self, slopes: Float[Tensor, "k n"]) -> list[Tensor]:
        """The derivatives of the operands of all layers, and of the output, in the input."""
        network = self.network
        size = int(network.moving.sum())
        values = [torch.eye(size, dtype=torch.float64).expand(len(slopes), size, size)]
        found = list[Tensor]()
        places = [*network.places, None]
        for layer, place in zip(network.difference_layers, places, strict=True):
            terms = [matrix.value @ values[j] for j, matrix in layer.items()]
            found.append(sum(terms[1:], terms[0]))
            if place is not None:
                values.append(slopes[:, place, None] * found[-1])
        return found

    def _pulled(self, slopes: Float[Tensor, "k n"]) -> list[Tensor]:
        """The derivatives of the output in the input, and in the results of all layers."""
        network = self.network
        count = len(network.output)
        start = torch.eye(count, dtype=torch.float64).expand(len(slopes), count, count)
        sizes = [int(network.moving.sum()), *map(len, network.layers)]
        found = [start.new_zeros(len(slopes), count, size) for size in sizes]
        *layers, output = network.difference_layers
        for j, matrix in output.items():
            found[j] = found[j] + start @ matrix.value
        for k in reversed(range(len(layers))):
            scaled = found[k + 1] * slopes[:, None, network.places[k]]
            for j, matrix in layers[k].items():
                found[j] = found[j] + scaled @ matrix.value
        return found

    def norms(self, pattern: Int64[Tensor, "k n"]) -> Float[Tensor, " k"]:
        """The norms of those derivatives, as many at a time as memory allows."""
        width = min(int(self.network.moving.sum()), len(self.network.output))
        rows = max(1, 2**22 // (width * (self.network.neurons + self.network.inputs + 1)))
        parts = [self._norms(self.jacobians(part)) for part in pattern.split(rows)]
        return torch.cat(parts) if parts else torch.zeros(0, dtype=torch.float64)

    def _norms(self, maps: Float[Tensor, "k m n0"]) -> Float[Tensor, " k"]:
        order = torch.linalg.vector_norm
        if signs.axis_of(self.p, self.q, *maps.shape[-2:]) is not None:
            return self._by_signs(maps)[0]
        if self.p is Norm.L1:
            return order(maps, self.q.p, dim=-2).amax(-1)
        if self.q is Norm.LINF or maps.shape[-2] == 1:
            return order(maps, self.p.dual.p, dim=-1).amax(-1)
        small = maps if maps.shape[-2] <= maps.shape[-1] else maps.mT
        return torch.linalg.eigvalsh(small @ small.mT)[:, -1].clamp_min(0).sqrt()

    def _by_signs(
        self, maps: Float[Tensor, "k m n0"]
    ) -> tuple[Float[Tensor, " k"], Float[Tensor, "k c"]]:
        """The norms, and the signs of rows or columns that show each."""
        of_rows = signs.axis_of(self.p, self.q, *maps.shape[-2:]) == signs.ROWS
        across = maps if of_rows else maps.mT
        norm = self.p.dual if of_rows else self.q
        batch, count, width = across.shape
        best = maps.new_full((batch,), -1.0)
        shown = maps.new_zeros(batch, count)
        for part in signs.combinations(count, batch * width):
            lengths = torch.linalg.vector_norm(part @ across, norm.p, dim=-1)
            found, place = lengths.max(-1)
            shown = torch.where((found > best).unsqueeze(1), part[place], shown)
            best = torch.maximum(best, found)
        return best, shown

    def direction(self, pattern: Int64[Tensor, " n"]) -> Float[Tensor, " n0"]:
        """Of length 1 in its units, the direction along which the derivative on these pieces is
        steepest."""
        (matrix,) = self.jacobians(pattern.unsqueeze(0))
        axis = signs.axis_of(self.p, self.q, *matrix.shape)
        if axis is not None:
            (shown,) = self._by_signs(matrix.unsqueeze(0))[1]
            of_rows = axis == signs.ROWS
            moved = maximiser((shown @ matrix).unsqueeze(0), self.p)[0] if of_rows else shown
        elif self.p is Norm.L1:
            columns = torch.linalg.vector_norm(matrix, self.q.p, dim=0)
            moved = torch.zeros_like(columns)
            moved[columns.argmax()] = 1.0
        elif self.q is Norm.LINF or len(matrix) == 1:
            rows = torch.linalg.vector_norm(matrix, self.p.dual.p, dim=1)
            moved = maximiser(matrix[rows.argmax()].unsqueeze(0), self.p)[0]
        else:
            moved = torch.linalg.svd(matrix, full_matrices=False)[2][0]
        whole = torch.zeros(self.network.inputs, dtype=torch.float64)
        whole[self.network.moving] = moved
        return whole if self.network.scale is None else whole * self.network.scale

    def neighbours(self, pattern: Int64[Tensor, " n"]) -> Int64[Tensor, "k n"]:
        """The patterns with one neuron on the next piece, or on the one before."""
        neurons, steps = self._turns(pattern)
        turned = pattern.repeat(len(neurons), 1)
        turned[torch.arange(len(neurons)), neurons] += steps
        return turned

    def _turns(self, pattern: Int64[Tensor, " n"]) -> tuple[Int64[Tensor, " k"], Tensor]:
        """Which neuron each neighbour turns, and whether up or down."""
        up = (pattern < self.network.last).nonzero().reshape(-1)
        down = (pattern > self.network.first).nonzero().reshape(-1)
        return torch.cat([up, down]), torch.cat([torch.ones_like(up), -torch.ones_like(down)])

    def norms_beside(self, pattern: Int64[Tensor, " n"]) -> Float[Tensor, " k"]:
        """The norms of the derivatives on the neighbours of a pattern.

        With the derivatives v' of a neuron's operand in the input and y' of the output in its
        result, the derivative of the output changes by y' v' times the change of the slope.
        """
        neurons, steps = self._turns(pattern)
        slopes = self._slopes(pattern.unsqueeze(0))
        pushed = self._pushed(slopes)
        pulled = self._pulled(slopes)
        whole = pushed[-1]
        rows = torch.cat(pushed[:-1], 1)
        columns = torch.cat(pulled[1:], 2)
        v = rows[0, neurons]
        y = columns[0].T[neurons]
        pieces = pattern[neurons] + steps
        after = self.network.pieces.slopes[neurons, pieces]
        before = slopes[0, neurons]
        change = (after - before).unsqueeze(1)
        charge(self.products_beside)
        most = max(1, 2**22 // whole.numel())
        norms = [slopes.new_zeros(0)]
        for a, b in zip((change * y).split(most), v.split(most), strict=True):
            turned = whole + a.unsqueeze(2) * b.unsqueeze(1)
            norms.append(self._norms(turned.nan_to_num(0.0, 0.0, 0.0)))
        return torch.cat(norms)


def drawn(network: Network, count: int, generator: torch.Generator) -> Float[Tensor, "k n0"]:
    """Random points of the region: inside and at its borders, or from near 0 to far away."""
    region, shape = network.region, network.input_shape
    origin = region.origin(shape)
    if region.interval(shape).is_bounded:
        inner = region.sample(count, origin, generator)
        outer = region.project(origin + OUTWARDS * (inner[count // 2 :] - origin))
        return torch.cat([inner[: count // 2], outer]).flatten(1)
    noise = torch.randn((count, *shape), generator=generator, dtype=torch.float64)
    distances = torch.tensor(DISTANCES, dtype=torch.float64)
    each = distances[torch.arange(count) % len(distances)].reshape(-1, *[1] * len(shape))
    return region.project(origin + each * noise).flatten(1)


def _segment(derivatives: Derivatives, x: Tensor, pattern: Tensor) -> tuple[Tensor, Tensor] | None:
    """The longest of those about a point and about points on its way to the middle."""
    network = derivatives.network
    region, shape = network.region, network.input_shape
    bounded = region.interval(shape).is_bounded
    origin = region.origin(shape).reshape(-1)
    along = derivatives.direction(pattern)
    best, longest = None, 0.0
    for share in INWARDS if bounded else INWARDS[:1]:
        middle = x + share * (origin - x)
        scale = float((origin - x).abs().amax()) if bounded else float(x.abs().amax())
        lengths = max(scale, SHORTEST) * 2.0 ** torch.arange(-DOUBLINGS, 4, dtype=torch.float64)
        steps = lengths[:, None] * along
        ends = torch.stack([middle + steps, middle - steps], 1)
        same = derivatives.pattern(ends.flatten(0, 1)) == pattern
        inside = same.all(1).reshape(-1, 2).all(1) & (lengths > longest)
        for number in inside.nonzero().reshape(-1).flip(0).tolist():
            if all(region.contains(end.reshape(shape)) for end in ends[number]):
                best, longest = (ends[number, 0], ends[number, 1]), float(lengths[number])
                break
    return best
