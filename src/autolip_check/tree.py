"""The tree of branch and bound, walked from its root: every case is split in two, or closed.

In preorder, a node says what it is by `at`: a neuron >= 0, split behind a piece, the lower half
first; or one of the facts below.  What a fact needs comes in the same order in the other arrays.
Ranges and half-spaces are derived here, from the splits and the region alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autolip_check.admission import AT_ONCE, admitted, fields_of, positive
from autolip_check.cells import Bounds, Case, Cell
from autolip_check.container import Array, require
from autolip_check.dyadic import Dyadic
from autolip_check.effort import Effort
from autolip_check.layers import Layers
from autolip_check.leaves import MOST, Slopes, axis_of_signs
from autolip_check.maps import Tensors, indices, tensor
from autolip_check.reach import Place, narrowed

QUADRATIC, ENTRIES, EMPTY, BOX = -1, -2, -3, -4
"""Defined here: bounded by multipliers; by entries; nothing lies there; in a smaller box, and a
node for that follows."""

FIELDS = {"at", "piece", "multipliers", "counts", "sides", "weights"}


@dataclass(frozen=True)
class Tree:
    """Nodes, and behind which piece they are split; a row of multipliers for every quadratic bound;
    for every cell without points the number of half-spaces that show it, for every box that of each
    of its ends; these half-spaces, and their weights."""

    at: NDArray[Any]
    piece: NDArray[Any]
    multipliers: Array
    counts: NDArray[Any]
    sides: NDArray[Any]
    weights: Array

    @staticmethod
    def read(entry: Any, layers: Layers, tensors: Tensors) -> "Tree":
        """From a certificate; the lengths of arrays are checked where they are used."""
        fields = fields_of(entry, FIELDS, "a tree")
        at, piece, counts, sides = (
            indices(fields[name], tensors) for name in ("at", "piece", "counts", "sides")
        )
        require(len(at) == len(piece) > 0, "a tree has no nodes")
        rows = tensor(fields["multipliers"], tensors)
        require(rows.ndim == 2 and rows.shape[1] == layers.neurons, "multipliers do not fit")
        weights = positive(tensor(fields["weights"], tensors).reshape(-1), "a weight")
        require(len(weights) == len(sides), "half-spaces and weights do not match")
        return Tree(at, piece, admitted(rows), counts, sides, weights)

    def nodes(self) -> Iterator[tuple[int, int]]:
        """What each node says, in preorder; read in parts, so that a long tree takes no more memory
        than it has in the file."""
        for start in range(0, len(self.at), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            yield from zip(self.at[part].tolist(), self.piece[part].tolist(), strict=True)


@dataclass(frozen=True)
class Node:
    """The pieces that a case was cut to, those that are left of them, and a box around it."""

    cut: Case
    case: Case
    place: Place | None


@dataclass
class Walk:
    """||y - y'||_q <= value ||x - x'||_p, by a tree; `tau`: the square of what that is from l2 to
    l2, rounded down."""

    layers: Layers
    bounds: Bounds
    tree: Tree
    p: str
    q: str
    value: float
    tau: float
    used: dict[str, int] = field(default_factory=lambda: {"rows": 0, "counts": 0, "sides": 0})

    def run(self, effort: Effort) -> None:
        """Rejected unless every case is closed, and all of the tree is used."""
        waiting = [self._root()]
        for at, piece in self.tree.nodes():
            require(waiting, "a tree has nodes left over")
            node = self._narrowed(waiting.pop())
            effort.spend(self._work(node))
            if at >= 0:
                self.layers.place(at)
                first, last = int(node.case.first[at]), int(node.case.last[at])
                require(first <= piece < last, "a case is split where it has no pieces")
                waiting += [self._half(node, at, piece, low) for low in (False, True)]
            elif at == BOX:
                waiting.append(self._boxed(node))
            else:
                self._closed(at, node)
        require(not waiting, "a tree leaves cases open")
        lengths = {"rows": self.tree.multipliers, "counts": self.tree.counts}
        lengths["sides"] = self.tree.sides
        require(
            all(self.used[name] == len(array) for name, array in lengths.items()),
            "a tree has facts left over",
        )

    def _root(self) -> Node:
        ends = [len(layer.pieces.breaks) for layer in self.layers.layers for _ in range(len(layer))]
        last = np.array(ends, dtype=np.int64)
        whole = Case(np.zeros_like(last), last)
        return Node(whole, whole, Place.of(self.bounds) if self.bounds.is_bounded else None)

    def _narrowed(self, node: Node) -> Node:
        if node.place is None:
            return node
        return Node(node.cut, narrowed(self.layers, node.case, node.place), node.place)

    def _half(self, node: Node, neuron: int, piece: int, low: bool) -> Node:
        cut, case = (part.half(neuron, piece, low) for part in (node.cut, node.case))
        return Node(cut, case, node.place)

    def _closed(self, kind: int, node: Node) -> None:
        """Nothing in the case is steeper than the value, or nothing is in it."""
        if kind == EMPTY:
            sides, weights = self._group()
            cell = Cell(self.layers, self.bounds, node.cut, node.case)
            require(cell.is_empty(sides, weights), "a case is not shown to be empty")
            return
        slopes = Slopes.of(self.layers, node.case.first, node.case.last)
        if kind == QUADRATIC:
            (row,) = self._next("rows", self.tree.multipliers, 1)
            slopes.quadratic(row, self.tau)
            return
        require(kind == ENTRIES, f"a node {kind} is not known")
        require(slopes.by_entries(self.p, self.q) <= self.value, "a case is steeper than is said")

    def _boxed(self, node: Node) -> Node:
        """The same in a box whose ends half-spaces show: those of every entry up, then down."""
        place = node.place
        if place is None:
            require(False, "a box is told where there are no bounds")
            raise AssertionError
        cell = Cell(self.layers, self.bounds, node.cut, node.case)
        tops = []
        for sign in (1.0, -1.0):
            for entry in range(self.layers.inputs):
                sides, weights = self._group()
                row = np.zeros(self.layers.inputs)
                row[entry] = sign
                spaces = [cell.half_space(side) for side in sides]
                tops.append(cell.highest(Dyadic.of(row), spaces, weights) if sides else None)
        return Node(node.cut, node.case, place.cut(tops))

    def _group(self) -> tuple[list[int], Array]:
        """The next half-spaces, and their weights."""
        (count,) = self._next("counts", self.tree.counts, 1).tolist()
        start = self.used["sides"]
        sides = self._next("sides", self.tree.sides, count)
        return sides.tolist(), self.tree.weights[start : start + count]

    def _next(self, name: str, array: NDArray[Any], count: int) -> NDArray[Any]:
        start = self.used[name]
        require(0 <= count <= len(array) - start, "a tree lacks facts")
        self.used[name] = start + count
        return array[start : start + count]

    def _work(self, node: Node) -> float:
        """Multiply-adds of one case, about."""
        free = float((node.case.first < node.case.last).sum())
        order = free + self.layers.inputs
        parts = [matrix for part in self.layers.whole for matrix in part.values()]
        entries = sum(matrix.value.size for matrix in parts)
        sides = parts[-1].value.shape[0], int(self.layers.moving.sum())
        axis = axis_of_signs(self.p, self.q, *sides)
        corners = 0.0 if axis is None else 2.0 ** min(sides[axis], MOST)
        return 8 * order * entries + 2 * order**3 + corners * sides[0] * sides[1]
