"""One case of a search, and how much work goes into each."""

import math
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from autolip.methods.exact.record import ENTRIES, Fact
from autolip.piecewise.relaxed import Vectors


@dataclass(frozen=True)
class Effort:
    """How cases are bounded: columns of the vectors, steps for the first case and for each later
    one, the margin, and cases that are split at once."""

    rank: int = 6
    first_steps: int = 200
    steps: int = 24
    margin: float = 2e-3
    batch: int = 64


@dataclass(frozen=True)
class Case:
    """The pieces left to every neuron, a proved bound, what each neuron contributes to it, and the
    vectors of the relaxation to go on from.

    `cut` are the pieces left by splits alone: their half-spaces are the case's cell, from which,
    and from the region, the others follow.
    """

    first: Int64[Tensor, " n"]
    last: Int64[Tensor, " n"]
    cut: tuple[Int64[Tensor, " n"], Int64[Tensor, " n"]]
    node: int = 0
    """Its number in the record."""
    bound: float = math.inf
    fact: Fact = ENTRIES
    energy: Float[Tensor, " n"] = field(default_factory=lambda: torch.zeros(0))
    vectors: Vectors | None = None

    def left(self, neuron: int, first: int, last: int, node: int) -> "Case":
        """The same with these pieces of one neuron, under another number."""
        ends = [end.clone() for end in (self.first, self.last, *self.cut)]
        for end, piece in zip(ends, (first, last) * 2, strict=True):
            end[neuron] = piece
        return replace(self, first=ends[0], last=ends[1], cut=(ends[2], ends[3]), node=node)
