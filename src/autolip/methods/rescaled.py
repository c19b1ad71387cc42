"""The product bound after the best positive rescaling of the neurons that a few steps find."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import ClassVar, assert_never

import torch
from torch import Tensor

from autolip.budget import metered
from autolip.errors import Refusal
from autolip.graph.views import Edge, Vertex
from autolip.methods.autolip import infinite, walk
from autolip.methods.method import Bound, Method, Problem, method
from autolip.methods.scalings import Weights, weighted
from autolip.norms import Norm
from autolip.operators.norms.rounding import upper_product
from autolip.operators.operator import DTYPE, Operator, flat
from autolip.slopes import Between, Exact, Gain
from autolip.values import Upper

RANK = 12
"""Chosen: singular directions of every block that are followed."""

LARGE, FEW = 1e9, 3
"""Chosen: from this many multiply-adds a pass on, only a few directions are; and norms are found
again only where the bound was seen to fall after the first look."""

SETTLING = 3
"""Chosen: steps before the singular values are taken seriously."""

BLOCK_STEPS = 1500
"""Chosen: most steps times blocks, beyond ten steps: each costs about a millisecond beside its
products."""

LITTLE = 2e10
"""Chosen: multiply-adds that the search for weights may always spend: some seconds."""


@method("rescaled")
@dataclass(frozen=True)
class Rescaled(Method):
    """Upper bound: the product bound in weighted norms, ||D_k W_k D_{k-1}^-1|| in place of ||W_k||,
    any D > 0 diagonal.

    Entrywise slopes commute with diagonals (relu(D v) = D relu(v) is the best known case), maps
    that act on blocks apart with those that are constant on every block.  Input and output keep
    weight 1.  For l2 the weights follow the gradient of the bound, from the leading singular
    vectors of every block; for linf and l1 the optimum is known: the weights that |W_K| ... |W_1|
    prescribes.  Never above AutoLip; the graph may be any.
    """

    steps: int = 60
    passes: float = 40.0

    name: ClassVar[str] = "rescaled"
    automatic: ClassVar[float] = 40
    source: ClassVar[str] = (
        "Kuang et al., arXiv 2603.28113 (2026); Stoer and Witzgall, Numer. Math. 4 (1962) for linf"
    )

    def bound(self, problem: Problem) -> Bound | Refusal:
        """Smaller slopes may lead the search to worse weights."""
        found = self._searched(problem)
        return found if isinstance(found, Refusal) else replace(found, nearest=False)

    def _searched(self, problem: Problem) -> Bound | Refusal:
        plain = walk(problem, problem.fused)
        weights = Weights.of(problem.fused)
        if (
            isinstance(plain, Refusal)
            or not weights.values
            or problem.budget.expired
            or _infinite(plain)
        ):
            return plain
        if infinite(problem, problem.fused) is not None:
            return plain
        search = _Search(problem, weights, self.steps, self.passes)
        better = search.run()
        if better is None or not isinstance(plain.value, Upper):
            return plain
        if search.foreseen * (1 + problem.options.tolerance) >= plain.value.value:
            return replace(plain, complete=not problem.budget.expired)
        scaled = weighted(problem.fused, better)
        found = walk(problem.with_own_norms(), scaled)
        if isinstance(found, Refusal) or not isinstance(found.value, Upper):
            return plain
        least = Upper.least([plain.value, found.value])
        is_found = found.value.value == least.value
        chosen = found if is_found else plain
        return replace(chosen, value=least, complete=found.complete)


def _infinite(plain: Bound) -> bool:
    """Whether operations without a finite gain made the bound infinite: weights leave their gains
    as they are."""
    return math.isinf(plain.value.value) and bool(plain.notes)


@dataclass
class _Singular:
    """A few leading singular vectors of a weighted block, improved by one step of subspace
    iteration at a time."""

    edge: Edge
    vertex: Vertex
    operator: Operator
    start: Tensor
    left: Tensor = field(default_factory=lambda: torch.zeros(0))
    right: Tensor = field(default_factory=lambda: torch.zeros(0))
    values: Tensor = field(default_factory=lambda: torch.ones(1))

    def step(self, weights: Weights) -> bool:
        """B = D_v A D_u^-1: from an orthonormal basis X to the singular vectors of B on it, and X
        <- B^T B X.

        False where that left the range of floating-point numbers.
        """
        after = weights[self.vertex.name]
        before = weights[self.edge.source]
        x = torch.linalg.qr(flat(self.start).T)[0].T.reshape(self.start.shape)
        y = self.operator.mv(x if before is None else x / before)
        y = y if after is None else y * after
        if not bool(y.isfinite().all()):
            return False
        columns = flat(y).T
        left, values, turn = torch.linalg.svd(columns, full_matrices=False)
        self.values = values.clamp(min=1e-300)
        self.right = torch.einsum("ij,j...->i...", turn, x)
        rows = left.T
        self.left = rows.reshape(y.shape)
        scaled = self.left if after is None else self.left * after
        pulled = self.operator.rmv(scaled)
        self.start = pulled if before is None else pulled / before
        return bool(self.start.isfinite().all())

    def shares(self, power: float) -> Tensor:
        """How much each singular direction counts in the Schatten norm of this power."""
        return torch.softmax(power * self.values.log(), 0)


@dataclass
class _Search:
    """Descends on the logarithms of the weights; keeps the best that it saw."""

    problem: Problem
    weights: Weights
    steps: int
    passes: float
    foreseen: float = 0.0
    """About the bound that the weights found will give, from below; 0 where nothing is known of
    it."""

    def run(self) -> Weights | None:
        """The best weights; None where there are none that may be used."""
        if self.problem.p is Norm.LINF:
            return self._prescribed(forward=True)
        if self.problem.q is Norm.L1:
            return self._prescribed(forward=False)
        return self._descended()

    def _descended(self) -> Weights:
        blocks = list(self._blocks())
        logs = {root: value.log() for root, value in self.weights.values.items()}
        best = self.weights
        self.foreseen = math.inf
        first = math.inf
        planned = self.passes * self.problem.work_of_one_pass
        allowed = max(planned, LITTLE)
        with metered() as meter:
            affordable = BLOCK_STEPS // max(len(blocks), 1)
            steps = min(self.steps, max(10, affordable))
            for number in range(steps):
                current = self.weights.moved({root: value.exp() for root, value in logs.items()})
                if current is None or not all(block.step(current) for block in blocks):
                    break
                total, slopes = self._gradient(blocks, power=4.0 * 12.0 ** (number / steps))
                if number == SETTLING:
                    first = total
                if total < self.foreseen and number >= SETTLING:
                    best = current
                    self.foreseen = total
                if meter.work > allowed or self.problem.budget.expired:
                    break
                for root, slope in slopes.items():
                    logs[root] = logs[root] - slope
        if self._large and self.foreseen * (1 + self.problem.options.tolerance) >= first:
            self.foreseen = math.inf
        return best

    @property
    def _large(self) -> bool:
        return self.problem.work_of_one_pass >= LARGE

    def _blocks(self) -> Iterator[_Singular]:
        for vertex in self.problem.fused:
            for edge in vertex.edges:
                operator = edge.operator
                if operator is not None:
                    count = min(FEW if self._large else RANK, operator.in_size, operator.out_size)
                    generator = torch.Generator().manual_seed(self.problem.options.search_seed)
                    start = torch.randn(
                        (count, *operator.in_shape), generator=generator, dtype=DTYPE
                    )
                    yield _Singular(edge, vertex, operator, start)

    def _gradient(self, blocks: list[_Singular], power: float) -> tuple[float, dict[str, Tensor]]:
        """The bound, and for every free group the step that balances what its entries receive and
        send on."""
        singular = {(block.vertex.name, id(block.edge)): block for block in blocks}
        levels, shares = self._levels(lambda v, e: singular[v.name, id(e)].values[0].item())
        received = {root: torch.zeros_like(value) for root, value in self.weights.values.items()}
        sent = {root: torch.zeros_like(value) for root, value in self.weights.values.items()}
        for block in blocks:
            key = (block.vertex.name, id(block.edge))
            weight = shares[key] * block.shares(power)
            for ends, name, vectors in (
                (received, block.vertex.name, block.left),
                (sent, block.edge.source, block.right),
            ):
                root = self.weights.groups[name]
                if root in ends:
                    squares_of = vectors.square()
                    squares = torch.einsum("i,i...->...", weight, squares_of)
                    ends[root] += squares.sum_to_size(ends[root].shape)
        return levels, {root: self._balance(received[root], sent[root], power) for root in received}

    @staticmethod
    def _balance(received: Tensor, sent: Tensor, power: float) -> Tensor:
        """The logarithm of the quotient over twice the power, damped where neither is much.

        For power 2 and norms of Frobenius this balances a layer exactly.
        """
        mean = (received + sent).mean()
        floor = mean * 0.1 + 1e-300
        return ((received + floor) / (sent + floor)).log() / (2 * power)

    def _levels(
        self, norm: Callable[[Vertex, Edge], float]
    ) -> tuple[float, dict[tuple[str, int], float]]:
        """The product bound from norms of the blocks, and the share of every edge in it."""
        graph = self.problem.fused
        levels = {graph.input: 1.0}
        gains = {(v.name, id(e)): self._gain(v, e, norm) for v in graph for e in v.edges}
        for vertex in graph:
            if vertex.name != graph.input:
                levels[vertex.name] = sum(
                    gains[vertex.name, id(e)] * levels[e.source] for e in vertex.edges
                )
        parts = dict.fromkeys(levels, 0.0) | {graph.output: 1.0}
        shares: dict[tuple[str, int], float] = {}
        for vertex in reversed(graph.vertices):
            for edge in vertex.edges:
                key = (vertex.name, id(edge))
                before = levels[edge.source]
                through = gains[key] * before / (levels[vertex.name] or 1.0)
                shares[key] = parts[vertex.name] * through if math.isfinite(through) else 0.0
                parts[edge.source] += shares[key]
        return levels[graph.output], shares

    def _gain(self, vertex: Vertex, edge: Edge, norm: Callable[[Vertex, Edge], float]) -> float:
        if edge.operator is not None:
            return norm(vertex, edge)
        gain = edge.slope.gain(Norm.L2, Norm.L2, self.problem.norm)
        return math.inf if isinstance(gain, Refusal) else gain.value

    def _prescribed(self, forward: bool) -> Weights | None:
        """Weights 1 / (|W_k| ... |W_1| 1) where linf comes in, |W_K| ... |W_k|^T 1 where l1 goes
        out."""
        graph = self.problem.fused
        edges = [(vertex.name, edge) for vertex in graph for edge in vertex.edges]
        start = graph.input if forward else graph.output
        sizes = {vertex.name: torch.zeros((1, *vertex.shape), dtype=DTYPE) for vertex in graph}
        sizes[start] = torch.ones_like(sizes[start])
        for name, edge in edges if forward else reversed(edges):
            source, target = (edge.source, name) if forward else (name, edge.source)
            moved = _moduli(edge, sizes[source], sizes[target].shape, forward)
            if moved is None:
                return None
            sizes[target] = sizes[target] + moved
        values = {}
        for vertex in graph:
            root = self.weights.groups[vertex.name]
            if root in self.weights.values and root not in values and vertex.name == root:
                values[root] = _spread(sizes[root][0], self.weights.values[root].shape, forward)
        return self.weights.moved(values)


def _moduli(edge: Edge, size: Tensor, shape: torch.Size, forward: bool) -> Tensor | None:
    """|M| applied to sizes, or |M|^T; a gain takes the largest of a block to all of the block."""
    slope = edge.slope
    match slope:
        case Exact():
            majorant = (slope.operator if forward else slope.operator.T).majorant()
            return None if majorant is None else upper_product(majorant, size)
        case Between():
            return size * slope.steepest.abs()
        case Gain():
            if slope.axes is None or len(shape) != size.dim():
                return torch.full(shape, size.max().item(), dtype=DTYPE)
            axes = [axis + 1 for axis in slope.axes]
            return (size.amax(axes, keepdim=True) if axes else size).expand(shape)
        case _:
            assert_never(slope)


def _spread(size: Tensor, shape: torch.Size, forward: bool) -> Tensor:
    """One weight for all entries that share it: the largest size decides."""
    axes = [
        axis for axis, (full, kept) in enumerate(zip(size.shape, shape, strict=True)) if kept < full
    ]
    top = size.amax(axes, keepdim=True) if axes else size
    floor = top.max().clamp(min=1e-150) * 1e-9
    top = top.clamp(min=floor)
    return top.reciprocal() if forward else top
