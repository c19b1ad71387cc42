"""Points of the region, the pieces on which the neurons lie there, and the norm of the derivative.

Estimates: what comes of it is evaluated afresh as every lower bound is.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from autolip.budget import IN_DOUBLE, charge
from autolip.norms import Norm, maximiser
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
        pairs = ((self.x, other.x), (self.pattern, other.pattern), (self.slope, other.slope))
        return Points(*map(torch.cat, pairs))

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
    def products(self) -> int:
        """Multiply-adds of one derivative."""
        layers = self.network.difference_layers
        entries = sum(matrix.value.numel() for layer in layers for matrix in layer.values())
        return int(self.network.moving.sum()) * entries

    def at(self, x: Float[Tensor, "k n0"]) -> Points:
        """Patterns and norms at some points."""
        pattern = self.pattern(x)
        return Points(x, pattern, self.norms(pattern))

    def pattern(self, x: Float[Tensor, "k n0"]) -> Int64[Tensor, "k n"]:
        """The piece on which every neuron lies, of those that the region leaves it."""
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
        return torch.cat(found).T

    def jacobians(self, pattern: Int64[Tensor, "k n"]) -> Float[Tensor, "k m n0"]:
        """The derivative on the pieces of each pattern."""
        network = self.network
        every = torch.arange(network.neurons)
        slopes = network.pieces.slopes[every, pattern].unsqueeze(-1)
        size = int(network.moving.sum())
        values = [torch.eye(size, dtype=torch.float64).expand(len(pattern), size, size)]
        *layers, output = network.difference_layers
        for layer, place in zip(layers, network.places, strict=True):
            terms = [matrix.value @ values[j] for j, matrix in layer.items()]
            values.append(slopes[:, place] * sum(terms[1:], terms[0]))
        terms = [matrix.value @ values[j] for j, matrix in output.items()]
        charge(len(pattern) * self.products, 1e-4 + IN_DOUBLE * len(pattern) * self.products)
        whole: Tensor = sum(terms[1:], terms[0])
        return whole.nan_to_num(0.0, 0.0, 0.0)  # what overflowed is not followed

    def norms(self, pattern: Int64[Tensor, "k n"]) -> Float[Tensor, " k"]:
        """The norms of those derivatives, as many at a time as memory allows."""
        rows = max(1, 2**22 // (int(self.network.moving.sum()) * (self.network.neurons + 1)))
        parts = [self._norms(self.jacobians(part)) for part in pattern.split(rows)]
        return torch.cat(parts) if parts else torch.zeros(0, dtype=torch.float64)

    def _norms(self, maps: Float[Tensor, "k m n0"]) -> Float[Tensor, " k"]:
        order = torch.linalg.vector_norm
        if self.p is Norm.L1:
            return order(maps, self.q.p, dim=-2).amax(-1)
        if self.q is Norm.LINF or maps.shape[-2] == 1:
            return order(maps, self.p.dual.p, dim=-1).amax(-1)
        small = maps if maps.shape[-2] <= maps.shape[-1] else maps.mT
        return torch.linalg.eigvalsh(small @ small.mT)[:, -1].clamp_min(0).sqrt()

    def direction(self, pattern: Int64[Tensor, " n"]) -> Float[Tensor, " n0"]:
        """Of length 1 in its units, the direction along which the derivative on these pieces is
        steepest."""
        (matrix,) = self.jacobians(pattern.unsqueeze(0))
        if self.p is Norm.L1:
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
        network = self.network
        up = (pattern < network.last).nonzero().reshape(-1)
        down = (pattern > network.first).nonzero().reshape(-1)
        turned = pattern.repeat(len(up) + len(down), 1)
        turned[torch.arange(len(up)), up] += 1
        turned[len(up) + torch.arange(len(down)), down] -= 1
        return turned


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


def pairs_at(derivatives: Derivatives, points: Points) -> tuple[Tensor, Tensor]:
    """The ends, (k, n0) each, of a segment about each point along its steepest direction, on its
    pieces and in the region; as long as doubling finds it to be, and none where it finds none.

    Where a point lies at the border of a bounded region, one nearer to the middle is tried.
    """
    found = [
        pair
        for x, pattern in zip(points.x, points.pattern, strict=True)
        if (pair := _segment(derivatives, x, pattern)) is not None
    ]
    if not found:
        return points.x[:0], points.x[:0]
    return torch.stack([x for x, _ in found]), torch.stack([y for _, y in found])


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
