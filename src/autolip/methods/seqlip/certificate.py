"""SeqLip's exact bound as facts that can be checked: cuts of the layers as vertices, cases of
slopes between them.

Any P, Q and power of two g cut a layer exactly, W = [P, g I] [Q; (W - P Q) / g]: the certificate's
graph computes the two factors one after the other, and the bound is the product over the stretches
from cut to cut.  Each is largest with every slope at one of its ends; the tree of cases is that of
branch and bound, with the multipliers of its boxes.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from autolip.certificates import CasesFact, Fork, Leaf, Proof
from autolip.errors import Refusal
from autolip.graph.chains import stretches
from autolip.graph.views import Edge, SlopeGraph, Vertex
from autolip.intervals import Interval, centre_and_radius
from autolip.methods.layerwise.method import dense_layers
from autolip.methods.method import Problem
from autolip.methods.seqlip.inner.exact import ExactOutcome, joined, maximise_exact
from autolip.methods.seqlip.inner.interior_point import Boxes, Goal, minimise
from autolip.methods.seqlip.inner.multipliers import Gram
from autolip.methods.seqlip.inner.problem import Pair, balanced
from autolip.methods.seqlip.inner.qr_core import condensed
from autolip.operators.algebra import compose
from autolip.operators.dense import Dense
from autolip.operators.diagonal import Diagonal
from autolip.operators.incidence import Incidence
from autolip.operators.operator import Operator
from autolip.slopes import Between, Exact

EXCESS = 2e-5
"""Chosen: how far each maximum is raised: room for rounding, and for what the small g of a cut
adds."""

HOLD = 1e6
"""Chosen: how much larger the multiplier of a slope at one of its ends is than what it has to
hold."""

WIDEST = 256
"""Chosen: neurons of a layer up to which cases are written."""

MOST_LEAVES = 5000
"""Chosen: cases of one certificate at most."""


@dataclass(frozen=True)
class Cut:
    """W = [left, g I] [right; (W - left right) / g]."""

    left: Tensor
    right: Tensor
    gain: float

    @staticmethod
    def of(weight: Tensor) -> "Cut":
        """At the square roots of the singular values; what rounding leaves over is carried by a
        small g."""
        u, s, vt = torch.linalg.svd(weight, full_matrices=False)
        root = s.sqrt()
        return Cut(
            u * root, root[:, None] * vt, 2.0 ** round(math.log2(root[0].item() + 2.0**-500) - 10)
        )


def seqlip_proof(problem: Problem, value: float, nodes: int) -> Proof | None:
    """The proof of a bound of at least the product of the maxima; None where the network is not one
    narrow chain."""
    graph = problem.fused
    chains = [s for s in stretches(graph) if (s.source, s.sink) == (graph.input, graph.output)]
    affine = [vertex for vertex in graph if vertex.is_affine and vertex.edges]
    names = [vertex.name for vertex in graph if not vertex.is_affine]
    layers = (
        dense_layers(chains[0].blocks, WIDEST) if len(chains) == 1 else Refusal("not one chain")
    )
    if isinstance(layers, Refusal) or len(affine) != len(layers) or len(names) != len(layers) - 1:
        return None
    weights = [layer.value for layer in layers]
    cuts = [Cut.of(weight) for weight in weights[1:-1]]
    lefts = [weights[0], *(cut.left for cut in cuts)]
    rights = [*(cut.right for cut in cuts), weights[-1]]
    ends = [graph.input, *(f"{vertex.name}:cut" for vertex in affine[1:-1]), graph.output]
    facts: list[CasesFact] = []
    for number, (left, right, slope) in enumerate(
        zip(lefts, rights, chains[0].slopes, strict=True)
    ):
        source = ends[number]
        sink = ends[number + 1]
        fact = _fact(source, sink, names[number], right, left, slope, nodes)
        if fact is None:
            return None
        facts.append(fact)
    if math.prod(fact.value / (1 + EXCESS) for fact in facts) > value * (1 + 1e-6):
        return None
    joins = dict(
        zip((vertex.name for vertex in affine[1:-1]), zip(names, cuts, strict=False), strict=True)
    )
    return Proof(with_cuts(problem.slopes, joins), tuple(facts))


def _fact(
    source: str, sink: str, name: str, a: Tensor, b: Tensor, slope: Between, nodes: int
) -> CasesFact | None:
    lo = slope.lo.reshape(-1)
    hi = slope.hi.reshape(-1)
    found = maximise_exact(a, b, lo, hi, nodes=nodes)
    count = sum(len(boxes.beta) for boxes in found.leaves)
    if not 0 < count <= MOST_LEAVES:
        return None
    value = found.upper.value * (1 + EXCESS)
    return CasesFact(source, sink, value, _Cases(name, a, b, slope, found).tree())


@dataclass(frozen=True)
class _Cases:
    """The boxes of one maximum as a tree of cases."""

    name: str
    a: Tensor
    b: Tensor
    slope: Between
    found: ExactOutcome

    def tree(self) -> Fork | Leaf:
        pair, live = balanced(self.a, self.b, self.slope.lo.reshape(-1), self.slope.hi.reshape(-1))
        leaves = joined(list(self.found.leaves))
        boxes = self._refined(pair, leaves)
        lo = boxes.lo
        hi = boxes.hi
        multipliers = [
            self._multipliers(pair, live, *row) for row in zip(lo, hi, boxes.tau, strict=True)
        ]
        is_high = (lo == pair.hi).long()
        ends = torch.where(lo < hi, -1, is_high)
        return self._grown(list(range(len(lo))), ends, live, multipliers)

    def _refined(self, pair: Pair, boxes: Boxes) -> Boxes:
        """Multipliers that prove the bound of every box themselves: some were settled by what their
        parents knew."""
        core = condensed(pair)
        scale = 2.0**-pair.exponent
        target = self.found.upper.value * scale * (1 + EXCESS / 4)
        return minimise(
            Gram(core.a, core.b),
            replace(boxes, bound=torch.full_like(boxes.bound, math.inf)),
            Goal(target),
        )

    def _grown(
        self, rows: list[int], ends: Tensor, live: Tensor, leaves: list[Tensor]
    ) -> Fork | Leaf:
        """A slope that is at an end in all these boxes divides them, until one is left."""
        if len(rows) == 1:
            return Leaf({self.name: leaves[rows[0]]})
        is_decided = (ends[rows] >= 0).all(0)
        differs = (ends[rows] != ends[rows[0]]).any(0)
        known = is_decided & differs
        entry = int(known.nonzero()[0])
        parts = [[row for row in rows if ends[row, entry] == end] for end in (0, 1)]
        low, high = (self._grown(part, ends, live, leaves) for part in parts)
        return Fork(self.name, int(live[entry]), low, high)

    def _multipliers(self, pair: Pair, live: Tensor, lo: Tensor, hi: Tensor, tau: Tensor) -> Tensor:
        """lam = value / (r t), from M(t) of `seqlip.multipliers`; what hardly bends, or is dead, is
        held."""
        size = self.a.square().sum(0)
        reach = self.b.square().sum(1)
        held = HOLD * len(size) * size
        value = self.found.upper.value * (1 + EXCESS / 2)
        dead = value**2 / (
            HOLD * reach.clamp(min=2.0**-300) * self.slope.hi.reshape(-1).square().clamp(min=1e-300)
        )
        given = torch.where(size > 0, held, dead)
        result = given.clamp(min=2.0**-200, max=2.0**200)
        columns = pair.a.square().sum(0)
        scale = columns / size[live]
        _, r = centre_and_radius(lo, hi)
        free = value / (r * tau.exp() * scale) * 2.0**-pair.exponent
        smaller = torch.minimum(free, held[live])
        result[live] = torch.where(r > 0, smaller, held[live])
        return result.reshape(self.slope.lo.shape)


def with_cuts(graph: SlopeGraph, before: Mapping[str, tuple[str, Cut]]) -> SlopeGraph:
    """The graph with layers computed through their cuts as well, from where the next operation
    reads them.

    `before` gives for each of these layers the operation whose result it reads, and the cut.
    """
    vertices: list[Vertex] = []
    for vertex in graph:
        joined = (
            {e.source for e in vertex.edges} & set(before) if not vertex.is_affine else set[str]()
        )
        edges = tuple(
            Edge(f"{e.source}:joined", e.slope) if e.source in joined else e for e in vertex.edges
        )
        vertices.append(replace(vertex, edges=edges))
        if vertex.name in before:
            source, cut = before[vertex.name]
            vertices += _cut_vertices(graph[source], vertex, cut)
    return replace(graph, vertices=tuple(vertices))


def _cut_vertices(source: Vertex, layer: Vertex, cut: Cut) -> list[Vertex]:
    """q = Q z;  rest = W z - P q;  cut = [q; rest / g];  joined = [P, g I] cut = W z."""
    (m, k) = cut.left.shape
    name = layer.name
    flat = Incidence(torch.flatten, layer.shape)
    above = Incidence(lambda x: torch.nn.functional.pad(x, (0, m)), (k,))
    below = Incidence(lambda x: torch.nn.functional.pad(x, (k, 0)), (m,))
    inverse = torch.tensor(1 / cut.gain, dtype=torch.float64)
    shrink = Diagonal(inverse, (m,))
    unit = torch.eye(m, dtype=torch.float64)
    wide = torch.cat([cut.left, cut.gain * unit], 1)
    shaped = Incidence(lambda x: x.reshape(layer.shape), (m,))
    return [
        _vertex(
            f"{name}:q",
            (source.name, compose(Dense(cut.right), Incidence(torch.flatten, source.shape))),
        ),
        _vertex(f"{name}:rest", (name, flat), (f"{name}:q", Dense(-cut.left))),
        _vertex(f"{name}:cut", (f"{name}:q", above), (f"{name}:rest", compose(below, shrink))),
        _vertex(f"{name}:joined", (f"{name}:cut", compose(shaped, Dense(wide)))),
    ]


def _vertex(name: str, *parts: tuple[str, Operator]) -> Vertex:
    shape = parts[0][1].out_shape
    return Vertex(
        name,
        shape,
        tuple(Edge(s, Exact(operator)) for s, operator in parts),
        Interval.everywhere(shape),
    )
