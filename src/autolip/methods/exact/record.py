"""The tree of a search as it grows: how each case was split, or why it is bounded or empty."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from autolip.certificates import CaseTree
from autolip.errors import InputError

Weighed = tuple[Int64[Tensor, " s"], Float[Tensor, " s"]]
"""Half-spaces by their numbers, and weights > 0."""

NOTHING: Weighed = (torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.float64))


@dataclass(frozen=True)
class Fact:
    """Why a case is bounded: by these multipliers, or by its entries; or why it is empty."""

    kind: int
    multipliers: Float[Tensor, " n"] | None = None
    shown: Weighed = NOTHING

    @staticmethod
    def quadratic(multipliers: Float[Tensor, " n"]) -> "Fact":
        """Bounded by a quadratic form."""
        return Fact(CaseTree.QUADRATIC, multipliers)

    @staticmethod
    def empty(shown: Weighed) -> "Fact":
        """Left out: these half-spaces have nothing in common."""
        return Fact(CaseTree.EMPTY, shown=shown)


ENTRIES = Fact(CaseTree.ENTRIES)


@dataclass
class Node:
    """One case: the box found for it, what is known of it, and its halves once it is split."""

    box: list[Weighed] | None = None
    fact: Fact | None = None
    split: tuple[int, int, int, int] | None = None
    """Neuron, last piece of the lower half, lower half, upper half."""
    share: float = 1.0
    """Part of the whole tree that it is, each half being half of it."""


@dataclass
class Record:
    """All nodes by number, the root first."""

    nodes: list[Node] = field(default_factory=lambda: [Node()])

    def halved(self, node: int, neuron: int, piece: int) -> tuple[int, int]:
        """The numbers of the halves of a case that is split behind a piece of a neuron."""
        low = len(self.nodes)
        share = self.nodes[node].share / 2
        self.nodes += [Node(share=share), Node(share=share)]
        self.nodes[node].split = (neuron, piece, low, low + 1)
        return low, low + 1

    def rejoined(self, node: int) -> None:
        """A case that was not seen through is one again."""
        self.nodes[node].split = None

    def done(self, node: int) -> None:
        """Halves are known: what was known of the whole is not needed any more."""
        self.nodes[node].fact = None

    def _in_order(self) -> Iterator[int]:
        waiting = [0]
        while waiting:
            number = waiting.pop()
            yield number
            split = self.nodes[number].split
            if split is not None:
                waiting += [split[3], split[2]]

    def ends(self) -> Iterator[int]:
        """The numbers of the cases that are not split, in preorder."""
        return (number for number in self._in_order() if self.nodes[number].split is None)

    @staticmethod
    def of(tree: CaseTree, inputs: int) -> "Record":
        """The record of a tree in preorder, of pieces that all count; of a network with so many
        inputs."""
        record, waiting = Record(), [0]
        rows = iter(tree.multipliers)
        sizes = tree.counts.tolist()
        groups = zip(tree.sides.split(sizes), tree.weights.split(sizes), strict=True)
        for at, piece in zip(tree.at.tolist(), tree.piece.tolist(), strict=True):
            if at == CaseTree.BOX:
                record.nodes[waiting[-1]].box = [next(groups) for _ in range(2 * inputs)]
                continue
            number = waiting.pop()
            if at >= 0:
                low, high = record.halved(number, at, piece)
                waiting += [high, low]
            elif at == CaseTree.EMPTY:
                record.nodes[number].fact = Fact.empty(next(groups))
            else:
                row = next(rows) if at == CaseTree.QUADRATIC else None
                record.nodes[number].fact = Fact(at, row)
        return record

    def tree(self, shift: Int64[Tensor, " n"]) -> CaseTree:
        """In preorder; of each neuron so many pieces do not count."""
        at, piece, rows = list[int](), list[int](), list[Tensor]()
        groups = list[Weighed]()
        for node in map(self.nodes.__getitem__, self._in_order()):
            if node.box is not None:
                at.append(CaseTree.BOX)
                piece.append(0)
                groups += node.box
            if node.split is not None:
                neuron, cut = node.split[:2]
                at.append(neuron)
                piece.append(cut - int(shift[neuron]))
                continue
            fact = node.fact
            if fact is None:
                raise InputError("the search was broken off within a step: its tree is not whole")
            at.append(fact.kind)
            piece.append(0)
            if fact.multipliers is not None:
                rows.append(fact.multipliers)
            if fact.kind == CaseTree.EMPTY:
                groups.append(fact.shown)
        empty = torch.zeros(0, len(shift), dtype=torch.float64)
        none = NOTHING
        return CaseTree(
            torch.tensor(at),
            torch.tensor(piece),
            torch.stack(rows) if rows else empty,
            torch.tensor([len(sides) for sides, _ in groups], dtype=torch.int64),
            torch.cat([none[0], *(sides for sides, _ in groups)]),
            torch.cat([none[1], *(weights for _, weights in groups)]),
        )
