"""What a method is: a frozen dataclass of its options that bounds a problem, or says why it
refuses."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from autolip.budget import Budget
from autolip.certificates import Proof, RowFact
from autolip.errors import AutolipError, NothingThere, Refusal, attempted
from autolip.graph.fixed import known_as_diagonals
from autolip.graph.graph import Graph, Place
from autolip.graph.moving_inputs import moving_inputs
from autolip.graph.views import SlopeGraph, Vertex, fused, separated
from autolip.norms import EVERY_PAIR, Norm, Pair, described
from autolip.operators.norms import NormOptions, operator_norm
from autolip.operators.norms.engine import is_read_off
from autolip.operators.operator import Operator
from autolip.outputs import Difference
from autolip.piecewise.at_zero import operand_of, told_at_zero
from autolip.ranges import Allowance, Ranges, ranges
from autolip.ranges.prefix import Reason
from autolip.regions import Everywhere, Region
from autolip.registry import Registry, home_of, require_options
from autolip.rules import slopes_on
from autolip.rules.entries import entrywise
from autolip.rules.lowering import lowered
from autolip.values import Estimate, Upper

STEEP = 1e6
"""Tuned on a transformer layer: slopes of an entry above which its operation's ranges are too wide
for entries to be of use."""


@dataclass(frozen=True)
class Contribution:
    """What one operation adds to a bound: the gain along its edge."""

    place: Place
    operation: str
    gain: Upper


@dataclass(frozen=True)
class Bound:
    """A method's answer, with what each operation contributed and remarks for the user."""

    value: Upper | Estimate
    contributions: tuple[Contribution, ...] = ()
    notes: tuple[str, ...] = ()
    complete: bool = True
    """False where the time budget ended the work early (the value is still a bound)."""
    proof: Callable[[], Proof | None] = field(default=lambda: None, repr=False)
    """Why the value is a bound, in steps that can be checked without this program; None: not put
    down."""
    steep: tuple[Tensor, Tensor] | None = field(default=None, repr=False)
    """Pairs of points, (k, *shape) each, whose slopes the method believes to be near the value: to
    be evaluated."""
    nearest: bool = True
    """Whether the method gives no smaller value for wider slopes, up to its tolerance."""


@dataclass(frozen=True)
class Problem:
    """Bound sup ||f(x) - f(y)||_q / ||(x - y) / s||_p over x, y in a region, f given by its slope
    sets there; over x alone where y is a `centre`.  The units s are those of `scale`, None: 1.

    `slopes` is the graph operation by operation, `fused` the same with affine subgraphs composed;
    `readouts` are the linear operators that follow the captured network.
    """

    graph: Graph
    region: Region
    slopes: SlopeGraph
    fused: SlopeGraph
    p: Norm
    q: Norm
    options: NormOptions = NormOptions()
    readouts: tuple[Operator, ...] = ()
    norms: dict[tuple[int, Norm, Norm], tuple[Operator, Upper | Refusal]] = field(
        default_factory=dict, repr=False
    )
    hurried: set[tuple[int, Norm, Norm]] = field(default_factory=set, repr=False)
    """Which of the norms were found when the time had ended: by the cheap engines alone, or by
    halves."""
    say: Callable[[str], None] = field(default=lambda text: None, repr=False)
    """Told how far a method is, while it works."""
    ranges: Ranges = field(default_factory=Ranges, repr=False)
    """Where the values of operations lie, those of maxima in pieces too."""
    centre: Float[Tensor, "*shape"] | None = field(default=None, repr=False)
    scale: Float[Tensor, "*shape"] | None = field(default=None, repr=False)
    device: torch.device | None = None
    """Where searches pass through the network; None: large passes on a GPU, where there is one."""

    @staticmethod
    def pose(
        graph: Graph,
        region: Region,
        p: Norm,
        q: Norm,
        options: NormOptions,
        centre: Float[Tensor, "*shape"] | None = None,
        scale: Float[Tensor, "*shape"] | None = None,
    ) -> "Problem":
        """The problem for a captured network."""
        known = ranges(graph, region, Allowance.within(options.budget.left))
        slopes = slopes_on(graph, region, known, centre)
        slopes = known_as_diagonals(slopes) if known else slopes
        slopes = moving_inputs(slopes, region.settled(graph.input_shape), scale)
        return Problem(
            graph,
            region,
            slopes,
            fused(slopes),
            p,
            q,
            options,
            ranges=known,
            centre=centre,
            scale=scale,
        )

    def reading(self, operator: Operator) -> "Problem":
        """The same network followed by a linear read-out; norms already known are kept."""
        return replace(
            self,
            slopes=self.slopes.then(operator),
            fused=self.fused.then(operator),
            readouts=(*self.readouts, operator),
        )

    @cached_property
    def anywhere(self) -> "Problem | None":
        """The same wherever the input is, which bounds what happens in the region too; None where
        nothing is known of the input."""
        if isinstance(self.region, Everywhere):
            return None
        posed = Problem.pose(
            self.graph, Everywhere(), self.p, self.q, self.options, scale=self.scale
        )
        for operator in self.readouts:
            posed = posed.reading(operator)
        return replace(posed, say=self.say, device=self.device)

    @property
    def settled(self) -> Bool[Tensor, "*shape"]:
        """Which entries of the input are the same all over the region."""
        return self.region.settled(self.graph.input_shape)

    @property
    def moving(self) -> int:
        """How many entries of the input are not settled: in no more do two points differ."""
        return self.region.moving(self.graph.input_shape)

    @cached_property
    def separated(self) -> SlopeGraph:
        """`fused` with one operand for every vertex that is not affine; `fused` itself where that
        is so already."""
        parts = separated(self.slopes)
        return self.fused if parts is self.slopes else fused(parts)

    @cached_property
    def lowered(self) -> SlopeGraph:
        """The same with maxima, max-pools and sorted pairs as a + relu(b - a)."""
        known = self.ranges | {vertex.name: vertex.range for vertex in self.slopes}
        slopes = slopes_on(lowered(self.graph), self.region, known, self.centre)
        return self._to_the_end(slopes)

    @cached_property
    def everywhere(self) -> SlopeGraph:
        """The same with the slopes that operations have everywhere, of all entries of the input."""
        slopes = slopes_on(lowered(self.graph), Everywhere(), {})
        for operator in self.readouts:
            slopes = slopes.then(operator)
        return slopes

    @cached_property
    def entries(self) -> SlopeGraph | None:
        """The same with softmax, normalisation and products of matrices entry by entry; None where
        there is no such operation, or where most would stay whole.

        One that is too large for that, or whose ranges are so wide that some slope is steep, stays
        whole: then its gain says more.
        """
        known = self.ranges | {vertex.name: vertex.range for vertex in self.slopes}
        pieces = lowered(self.graph)
        before = {node.name: node for node in pieces}
        whole = set[str]()
        while self.ranges:
            written = entrywise(pieces, whole)
            if written is pieces:
                return None
            slopes = slopes_on(written, self.region, known, self.centre, lengths=False)
            new = [node.name for node in written if before.get(node.name) is not node]
            parts = [slopes[name] for name in new if name in slopes.by_name]
            steep = [part.name for part in parts if _is_steep(part)]
            apart = sum(name in before for name in new)
            if len(whole) > apart:
                return None
            if not steep:
                return self._to_the_end(slopes)
            whole |= {name if name in before else name.rpartition(".")[0] for name in steep}
        return None

    def _to_the_end(self, slopes: SlopeGraph) -> SlopeGraph:
        """From the entries that move to what is read, operand by operand."""
        slopes = moving_inputs(slopes, self.settled, self.scale)
        for operator in self.readouts:
            slopes = slopes.then(operator)
        return separated(slopes)

    @property
    def budget(self) -> Budget:
        """How long the methods may take."""
        return self.options.budget

    def with_budget(self, budget: Budget) -> "Problem":
        """The same, with as much time."""
        return replace(self, options=replace(self.options, budget=budget))

    @property
    def work_of_one_pass(self) -> float:
        """Multiply-adds of one forward and one backward pass of the network, 1 where there are
        none."""
        return self.slopes.work or 1.0

    @property
    def maps(self) -> int:
        """How many affine parts have a norm that takes a search."""
        return sum(not is_read_off(link.operator) for link in self.fused.links)

    def norm(self, operator: Operator, p: Norm, q: Norm) -> Upper | Refusal:
        """||A||_{p -> q} from the norm engines, each operator once; again where there is more time
        than there was."""
        key = (id(operator), p, q)
        known = self.norms.get(key)
        if known is None or (key in self.hurried and not self.budget.expired):
            found = operator_norm(operator, p, q, self.options)
            if known is not None and isinstance(known[1], Upper) and isinstance(found, Upper):
                found = Upper.least([known[1], found])
            self.norms[key] = (operator, found)
            (self.hurried.add if self.budget.expired else self.hurried.discard)(key)
        return self.norms[key][1]

    def with_own_norms(self) -> "Problem":
        """The same for operators that are not the network's: nothing is remembered of them."""
        return replace(self, norms={}, hurried=set())


def _is_steep(vertex: Vertex) -> bool:
    return not all(edge.slope.is_at_most(STEEP) for edge in vertex.edges)


class Method(ABC):
    """A way to bound a Lipschitz constant. Subclasses are frozen dataclasses of their options."""

    name: ClassVar[str]
    source: ClassVar[str]
    """Authors, year, result number."""
    norms: ClassVar[frozenset[Pair]] = EVERY_PAIR
    """The norms, of input and output, that it answers for."""
    automatic: ClassVar[float | None] = None
    """Where it comes among the methods of "auto", cheapest first; None: not among them."""
    lasting: ClassVar[bool] = False
    """Whether it goes on improving its bound for as long as there is time."""

    tight: ClassVar[Mapping[str, float]] = MappingProxyType({})
    """Networks of `autolip.testing.tight_networks()`, for l2 or with a pair of norms ("one sign",
    "one sign linf:l2"), and by which factor at most it misses their constants."""

    @final
    def accepts(self, problem: Problem) -> Refusal | None:
        """None, or why this method says nothing about this problem: its norms, or `_accepts`."""
        if (problem.p, problem.q) not in self.norms:
            return Refusal(f"bounds {only(self.norms)}")
        return self._accepts(problem)

    def _accepts(self, problem: Problem) -> Refusal | None:
        """None, or why this method says nothing about this problem in norms that it knows."""
        return None

    def is_automatic(self, p: Norm, q: Norm) -> bool:
        """Whether "auto" asks it, for these norms."""
        return self.automatic is not None

    @property
    def title(self) -> str:
        """The name that these very options are registered under; the method's own name where there
        is none."""
        return next((name for name, make in METHODS.items() if make() == self), self.name)

    def price(self, problem: Problem) -> float:
        """About the seconds of reference that it takes, where that is known beforehand; 0 where it
        keeps to little."""
        return 0.0

    def brief(self) -> "Method":
        """The same method as one of "auto", which takes little time for all of them."""
        return self

    def shared(self, count: int) -> "Method":
        """The same method for each of several problems, in the time that it would take by default
        for one."""
        return self

    def of_differences(
        self, problem: Problem, pairs: Sequence[Difference]
    ) -> Mapping[Difference, Bound] | Refusal:
        """Bounds of differences of outputs that are had together, of all or of the largest; refused
        where they are no quicker than one by one."""
        return Refusal("bounds differences one by one")

    @abstractmethod
    def bound(self, problem: Problem) -> Bound | Refusal:
        """The bound; a Refusal where the reason shows only on the way."""

    @final
    def answer(self, problem: Problem) -> Bound | Refusal:
        """The bound, or why there is none: the method refuses, or it fails.

        Never above that with the slopes that hold everywhere: those are asked for where a question
        that is accepted has no bound with the region's, or one that a search did not bring near.
        """
        refused = attempted(lambda: self.accepts(problem))
        if refused is not None:
            return refused
        found = reasoned(attempted(lambda: self.bound(problem)), problem)
        enough = self._is_enough(found) or problem.budget.expired
        if enough or problem.anywhere is None:
            return found
        return _met(found, self._asked(problem.anywhere.with_budget(problem.budget)))

    def _is_enough(self, found: Bound | Refusal) -> bool:
        if isinstance(found, Refusal):
            return self.automatic is None or isinstance(found, NothingThere)
        return found.nearest

    def _asked(self, problem: Problem) -> Bound | Refusal:
        return attempted(lambda: self.accepts(problem) or self.bound(problem))


def reasoned(found: Bound | Refusal, problem: Problem) -> Bound | Refusal:
    """The same, its proof with what shows the ranges that its slopes rest on."""
    if isinstance(found, Refusal) or not problem.ranges:
        return found

    def proof() -> Proof | None:
        made = found.proof()
        if made is None or made.constants:
            return made
        constants = told_at_zero(problem.graph, made.graph, problem.region)
        operands = {operand_of(made.graph, name) for name in constants}
        rows = tuple(_rows(problem.ranges.reasons, operands))
        return replace(made, constants=constants, rows=rows)

    return replace(found, proof=proof)


def _rows(reasons: Iterable[Reason], operands: set[str]) -> Iterator[RowFact]:
    """Facts about operands, up to the first that cannot be checked: others rest on it."""
    for reason in reasons if operands else ():
        facts = reason()
        if facts is None or any(fact.at not in operands for fact in facts):
            return
        yield from facts


def _met(found: Bound | Refusal, anywhere: Bound | Refusal) -> Bound | Refusal:
    """The smaller one of a bound in the region and one everywhere."""
    if isinstance(anywhere, Refusal) or isinstance(anywhere.value, Estimate):
        return found
    if math.isinf(anywhere.value.value):
        return found
    if isinstance(found, Refusal):
        return replace(anywhere, notes=(*anywhere.notes, f"with slopes everywhere: {found}"))
    if isinstance(found.value, Estimate) or found.value.value <= anywhere.value.value:
        return found
    value = Upper.least([found.value, anywhere.value])
    note = f"with slopes everywhere: the region's give {found.value.value:.6g}"
    return replace(anywhere, value=value, notes=(*anywhere.notes, note))


def only(norms: frozenset[Pair]) -> str:
    """Which constants a method bounds that does not answer for all norms."""
    if 2 * len(norms) > len(EVERY_PAIR):
        return f"every constant but {described(EVERY_PAIR - norms)}"
    return f"the {described(norms)} constant only"


METHODS: Registry[str, Callable[[], Method]] = Registry("method")


def method(name: str, **options: Any) -> Callable[[type[Method]], type[Method]]:
    """Register a method under a name, with these options; one class may have several names."""

    def register(cls: type[Method]) -> type[Method]:
        require_options("method", cls, options)
        if cls.accepts is not Method.accepts:
            raise AutolipError(
                f"the method {home_of(cls)} overrides `accepts`, which sees to its norms: "
                "write `_accepts`"
            )
        METHODS.enter(name, lambda: cls(**options), cls)
        return cls

    return register


def method_named(name: str) -> Method:
    """The method registered under a name; InputError lists the names otherwise."""
    return METHODS.named(name)()


def automatic_names() -> tuple[str, ...]:
    """The names of the methods that "auto" runs, cheapest first."""
    ranks = {name: make().automatic for name, make in METHODS.items() if make() == type(make())()}
    members = [(rank, name) for name, rank in ranks.items() if rank is not None]
    return tuple(name for _, name in sorted(members))
