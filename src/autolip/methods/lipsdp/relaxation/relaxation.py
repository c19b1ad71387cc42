"""The semidefinite relaxation of a network in a pair of norms: what no multiplier changes.

It is made once, and carried: whoever climbs, states or proves asks it what the network is as a
chain, as matrices, or as a quadratic form with blocks to eliminate; each is found when it is first
asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch

from autolip.errors import Refusal
from autolip.graph.views import SlopeGraph, fused
from autolip.methods.lipsdp.relaxation.assembly import assembled
from autolip.methods.lipsdp.relaxation.chain import Chain, chain_of
from autolip.methods.lipsdp.relaxation.constraint import Constraint, constraints_of
from autolip.methods.lipsdp.relaxation.elimination import Blocks
from autolip.methods.lipsdp.relaxation.operands import READ, Operands
from autolip.methods.lipsdp.relaxation.qr_reduction import reduced
from autolip.norms import Norm

LARGEST_WORK = 2e7
"""Multiply-adds of a pass up to which a network's matrices are written out to see what remains:
tuned on convolutional networks (some 3 s)."""

LARGEST_WHOLE = 20_000
"""Variables up to which they are written out anyway, once a proof is wanted: a choice."""


@dataclass(frozen=True, eq=False)
class Relaxation:
    """sup ||y||_q / ||x||_p over the differences that obey the constraints of a network.

    `graph` is not fused; every vertex that is not affine has one edge, and a constraint.
    """

    graph: SlopeGraph
    p: Norm
    q: Norm
    constraints: Mapping[str, Constraint]

    @staticmethod
    def of(graph: SlopeGraph, p: Norm, q: Norm) -> "Relaxation | Refusal":
        """That of a network; refused where a nonlinear vertex has no finite constraint."""
        constraints = constraints_of(graph)
        if isinstance(constraints, Refusal):
            return constraints
        return Relaxation(graph, p, q, constraints)

    @cached_property
    def fused(self) -> SlopeGraph:
        """The network with its affine parts composed."""
        return fused(self.graph)

    @cached_property
    def chain(self) -> Chain | None:
        """The network as a narrow chain, if it is one, in l2 at both ends."""
        return chain_of(self.fused) if (self.p, self.q) == (Norm.L2, Norm.L2) else None

    @property
    def variables(self) -> int:
        """The order of H, without t."""
        results = (item.out_shape.numel() for item in self.constraints.values())
        return self.graph.input_shape.numel() + sum(results)

    @cached_property
    def operands(self) -> Operands | Refusal:
        """What H is made of; refused where the network is too large to be written out."""
        work = self.graph.work
        if work > LARGEST_WORK and self.variables > LARGEST_WHOLE:
            return Refusal(f"a network of {work:.2g} multiply-adds is too large to be written out")
        return Operands.of(self.fused)

    @cached_property
    def blocks(self) -> Blocks | Refusal:
        """What is eliminated of H first: which variables are coupled shows with multipliers that
        are all 1."""
        if isinstance(self.operands, Refusal):
            return self.operands
        one = torch.ones((), dtype=torch.float64)
        names = (self.graph.input, READ, *self.constraints)
        form = assembled(self.operands, self.constraints, dict.fromkeys(names, one))
        if isinstance(form, Refusal):
            return form
        layers = [self.operands.places[name] for name in self.constraints]
        return Blocks.of(form.matrix, layers)

    @cached_property
    def order(self) -> int:
        """The order of what must be factorised of H as a whole, or more: that of H where to look
        costs too much."""
        if self.graph.work > LARGEST_WORK or isinstance(self.blocks, Refusal):
            return self.variables
        return len(self.blocks.kept)

    @cached_property
    def depths(self) -> dict[str, int]:
        """Nonlinear vertices on the longest path to each of them, itself included."""
        known: dict[str, int] = {}
        for vertex in self.graph:
            below = max((known[edge.source] for edge in vertex.edges), default=0)
            known[vertex.name] = below + (vertex.name in self.constraints)
        return {name: known[name] for name in self.constraints}

    @cached_property
    def reduced(self) -> "Relaxation":
        """The same relaxation on a smaller network, up to rounding: for a search, not for a
        proof."""
        return replace(self, graph=reduced(self.graph, self.p, self.q))
