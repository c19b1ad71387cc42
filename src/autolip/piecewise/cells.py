"""Where in the input space a case lies: half-spaces, for layers that read known pieces alone.

The pieces on which neurons lie bound their operands.  Where everything that a layer reads lies on
one piece each, its operands are affine functions of the input, and these bounds are half-spaces

    rows x + offsets >= 0.
"""

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from autolip.operators.operator import DTYPE
from autolip.piecewise.network import Network
from autolip.rounded import Rounded, total

KEPT = 4096
"""Chosen: layers as functions of what comes before that are kept, before all are forgotten."""


@dataclass(frozen=True)
class HalfSpaces:
    """The points with rows x + offsets >= 0, each row of some layer; whatever the rows within their
    errors, every input of the case is among them, for the offsets are rounded up.

    `sides` are their numbers: twice the neuron's, and one more where its operand is bounded from
    above.
    """

    rows: Rounded
    offsets: Float[Tensor, " m"]
    layers: Int64[Tensor, " m"]
    sides: Int64[Tensor, " m"]

    def __len__(self) -> int:
        return len(self.offsets)

    def __getitem__(self, index: Tensor) -> "HalfSpaces":
        found = (part[index] for part in (self.offsets, self.layers, self.sides))
        return HalfSpaces(self.rows[index], *found)

    @staticmethod
    def joined(parts: list["HalfSpaces"], size: int) -> "HalfSpaces":
        """All of them together, of points of this size."""
        none = torch.zeros(0, size, dtype=DTYPE)
        value = torch.cat([none, *(part.rows.value for part in parts)])
        error = torch.cat([none, *(part.rows.error for part in parts)])
        offsets = torch.cat([none.new_zeros(0), *(part.offsets for part in parts)])
        numbers = torch.zeros(0, dtype=torch.int64)
        layers = torch.cat([numbers, *(part.layers for part in parts)])
        sides = torch.cat([numbers, *(part.sides for part in parts)])
        return HalfSpaces(Rounded(value, error), offsets, layers, sides)


@dataclass(frozen=True)
class Forms:
    """Values as affine functions of a point: of the input, or of the operands of a layer.

    `ends` are the offsets of v - break and of break - v, for every break, rounded up.
    """

    rows: Rounded
    offset: Rounded
    ends: tuple[Float[Tensor, "n m"], Float[Tensor, "n m"]]
    is_itself: bool = False
    """Whether the values are the point."""

    @staticmethod
    def of(rows: Rounded, offset: Rounded, breaks: Float[Tensor, "n m"]) -> "Forms":
        """With these breaks."""
        column, at = _column(offset), Rounded.exact(breaks)
        return Forms(rows, offset, (_above(column - at), _above(at - column)))


@dataclass
class Cells:
    """The half-spaces of cases; what layers are as functions of the input is kept for a while."""

    network: Network
    kept: dict[tuple[int, int, bytes], Forms] = field(default_factory=dict)

    def of_case(
        self,
        first: Int64[Tensor, " n"],
        last: Int64[Tensor, " n"],
        base: int = 0,
        cut: tuple[Int64[Tensor, " n"], Int64[Tensor, " n"]] | None = None,
    ) -> HalfSpaces | None:
        """The half-spaces that contain all inputs whose neurons lie on these pieces.

        Only those of the pieces in `cut`, where these follow from them, and from the region.
        With a base, counted from 1, those of its operands and of what follows, as functions of
        them; None where something that follows reads what comes before.
        """
        network = self.network
        known = first == last
        found = list[HalfSpaces]()
        for k in range(max(base - 1, 0), len(network.layers)):
            read = [network.places[j - 1] for j in network.layers[k].maps if j]
            if k != base - 1 and not all(bool(known[place].all()) for place in read):
                continue
            forms = self.forms(k, first, base)
            if forms is None:
                return None
            found.append(self._bounds(k, forms, *(cut or (first, last))))
        size = network.inputs if base == 0 else len(network.layers[base - 1])
        return HalfSpaces.joined(found, size)

    def forms(self, k: int, pattern: Int64[Tensor, " n"], base: int = 0) -> Forms | None:
        """The operands of layer k, counted from 0, where all that it reads lies on these pieces."""
        breaks = self.network.pieces.breaks[self.network.places[k]]
        if k == base - 1:
            return _itself(breaks)
        stop = self.network.places[k].start
        key = k, base, pattern[:stop].numpy().tobytes()
        if key not in self.kept:
            written = self._written(k, pattern, base)
            if written is None:
                return None
            if len(self.kept) > KEPT:
                self.kept.clear()
            self.kept[key] = written
        return self.kept[key]

    def _written(self, k: int, pattern: Tensor, base: int) -> Forms | None:
        layer = self.network.layers[k]
        if base and min(layer.maps) < base:
            return None
        rows, offsets = list[Rounded](), [layer.offset]
        for j, matrix in layer.maps.items():
            if j == 0:
                rows.append(matrix)
                continue
            operand = self.forms(j - 1, pattern, base)
            if operand is None:
                return None
            slope, offset = self._piece(j, pattern)
            scaled = matrix.scale(columns=slope)
            rows.append(scaled if operand.is_itself else scaled @ operand.rows)
            offsets += [_product(scaled, operand.offset), _product(matrix, offset)]
        breaks = self.network.pieces.breaks[self.network.places[k]]
        kept = [one for one in offsets if one.value.any() or not one.is_exact]
        return Forms.of(total(rows), total(kept or [layer.offset]), breaks)

    def _piece(self, j: int, pattern: Tensor) -> tuple[Tensor, Rounded]:
        """Slopes and offsets of a layer, counted from 1, on the pieces of a pattern."""
        place, pieces = self.network.places[j - 1], self.network.pieces
        every = torch.arange(place.start, place.stop)
        piece = pattern[place]
        return pieces.slopes[every, piece], pieces.offsets[every, piece]

    def _bounds(self, k: int, forms: Forms, first: Tensor, last: Tensor) -> HalfSpaces:
        """v >= breaks[first - 1] and v <= breaks[last], where that is not known of the whole
        region."""
        network, place = self.network, self.network.places[k]
        below = (first[place] > network.first[place]).nonzero().reshape(-1)
        above = (last[place] < network.last[place]).nonzero().reshape(-1)
        ends = [
            forms.ends[0][below, first[place][below] - 1],
            forms.ends[1][above, last[place][above]],
        ]
        value, error = forms.rows.value, forms.rows.error
        rows = Rounded(
            torch.cat([value[below], -value[above]]), torch.cat([error[below], error[above]])
        )
        sides = 2 * torch.cat([below, above]) + 2 * place.start
        sides[len(below) :] += 1
        return HalfSpaces(rows, torch.cat(ends), torch.full_like(sides, k), sides)


def _itself(breaks: Float[Tensor, "n m"]) -> Forms:
    """The operands of a layer as functions of themselves."""
    size = len(breaks)
    zero = Rounded.exact(torch.zeros(size, dtype=DTYPE))
    whole = Forms.of(Rounded.exact(torch.eye(size, dtype=DTYPE)), zero, breaks)
    return replace(whole, is_itself=True)


def _product(matrix: Rounded, x: Rounded) -> Rounded:
    """A x, and without an error where x is 0."""
    if x.is_exact and not x.value.any():
        return Rounded.exact(torch.zeros(len(matrix.value), dtype=DTYPE))
    return (matrix @ _column(x))[:, 0]


def _column(x: Rounded) -> Rounded:
    return Rounded(x.value.unsqueeze(1), x.error.unsqueeze(1))


def _above(x: Rounded) -> Tensor:
    """At least every number within the error; the number itself where it is known."""
    above = x.value + x.error
    lifted = above.nextafter(torch.full_like(above, float("inf")))
    return torch.where(x.error > 0, lifted, x.value)
