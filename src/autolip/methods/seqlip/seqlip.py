"""SeqLip and Theorem 3 as methods: bounds and estimates for the sequential stretches of a
network."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

from autolip.budget import Budget
from autolip.errors import InputError, Refusal
from autolip.graph.chains import Stretch, parted, pointwise, stretches
from autolip.graph.views import SlopeGraph, Vertex
from autolip.methods.method import Bound, Method, Problem, method
from autolip.methods.seqlip.blocks import frobenius_bound
from autolip.methods.seqlip.certificate import seqlip_proof
from autolip.methods.seqlip.chain import Chain
from autolip.methods.seqlip.inner.treatments import INNER, Limits
from autolip.methods.seqlip.truncation import Splitter
from autolip.methods.stretchwise import StretchBound, Stretchwise
from autolip.norms import L2_TO_L2, Pair
from autolip.values import Upper


@method("seqlip")
@method("seqlip-exact", inner="exact", seconds=600.0)
@method("seqlip-relaxed", inner="relaxed")
@method("seqlip-sdp", inner="sdp")
@method("seqlip-greedy", inner="greedy")
@method("seqlip-published", inner="greedy", rank=200, residual=False)
@dataclass(frozen=True)
class SeqLip(Method):
    """Bound on the l2 constant of chains: layers cut at their singular directions, one maximum per
    layer of slopes.

    L <= prod_k max_s || S_{k+1}^1/2 V_{k+1}^T diag(s) U_k S_k^1/2 ||, the first and the last layer
    whole; `inner` says how the maxima are treated (see `seqlip.inner`).  Elsewhere gains are
    multiplied and added as in AutoLip.  `rank` directions are kept of every layer (None: all where
    feasible, 100 of larger ones).  With `residual` what was left out is accounted for; without, as
    published, it is ignored, and the result is an Estimate.  Theorem 3 comes first: a proved bound
    is never above it.  After `seconds` the best proved values stand; `nodes` limits the boxes of
    branch and bound for each layer of slopes.
    """

    inner: str = "best"
    rank: int | None = None
    residual: bool = True
    nodes: int = 1_000_000
    restarts: int = 8
    seconds: float | None = 30.0

    name: ClassVar[str] = "seqlip"
    norms: ClassVar[frozenset[Pair]] = L2_TO_L2
    source: ClassVar[str] = (
        "Virmaux and Scaman, NeurIPS 2018, section 5; residuals and bounds for them: autolip"
    )

    def __post_init__(self) -> None:
        if self.inner not in INNER:
            raise InputError(
                f"SeqLip has no inner problem {self.inner!r}: choose from "
                f"{', '.join(sorted(INNER))}"
            )
        if self.rank is not None and self.rank < 1:
            raise InputError(f"SeqLip keeps at least one singular direction, not {self.rank}")

    def _accepts(self, problem: Problem) -> Refusal | None:
        """Refuses networks without two affine blocks in sequence."""
        return unchained(problem)

    def bound(self, problem: Problem) -> Bound | Refusal:
        budget = problem.budget.at_most(self.seconds)
        options = replace(problem.options, budget=budget)
        splitter = Splitter(self.rank, self.residual, options, problem.norm)
        limits = Limits(self.nodes, self.restarts, seed=problem.options.search_seed)

        def chained(stretch: Stretch) -> StretchBound | Refusal:
            known = (
                None
                if self.inner == "greedy" or not self.residual
                else closed_form(problem, stretch, budget)
            )
            bound = Chain(splitter, INNER[self.inner], limits, budget).bound(stretch)
            return bound if known is None else better(bound, known)

        bound = glued(problem, chained)
        if isinstance(bound, Refusal) or not isinstance(bound.value, Upper):
            return bound
        value = bound.value.value
        return replace(bound, proof=lambda: seqlip_proof(problem, value, self.nodes))


@method("theorem3")
@dataclass(frozen=True)
class Theorem3(Method):
    """Upper bound on the l2 constant of chains in closed form: leading singular vectors and the
    second singular values.

    L <= prod_k s_1(W_k) prod_k sqrt((1 - r)(1 - r') m^2 + r + r' - r r'), with m = max_s |<s
    v_{k+1}, u_k>|, r the second over the first singular value of an inner layer and the square of
    that ratio at the two ends: sharper than the published (1 - r - r') m^2 + r + r' + r r'.
    Elsewhere gains are multiplied and added as in AutoLip.  Layers that are not cut after `seconds`
    count with their norms.
    """

    seconds: float | None = None

    name: ClassVar[str] = "theorem3"
    norms: ClassVar[frozenset[Pair]] = L2_TO_L2
    source: ClassVar[str] = "Virmaux and Scaman, NeurIPS 2018, Theorem 3"

    def _accepts(self, problem: Problem) -> Refusal | None:
        """Refuses networks without two affine blocks in sequence."""
        return unchained(problem)

    def bound(self, problem: Problem) -> Bound | Refusal:
        budget = problem.budget.at_most(self.seconds)
        return glued(problem, lambda stretch: closed_form(problem, stretch, budget))


def closed_form(problem: Problem, stretch: Stretch, budget: Budget) -> StretchBound | Refusal:
    """Theorem 3 for one stretch; norms only of the layers that are left when the budget ends."""
    splitter = Splitter(1, True, replace(problem.options, budget=budget), problem.norm)
    return Chain(splitter, INNER["relaxed"], Limits(), budget, frobenius_bound).bound(stretch)


def better(bound: StretchBound | Refusal, known: StretchBound | Refusal) -> StretchBound | Refusal:
    """The first bound, lowered to the other where that is smaller."""
    if isinstance(bound, Refusal) or isinstance(known, Refusal):
        return known if isinstance(bound, Refusal) else bound
    values = [value for value in (bound.value, known.value) if isinstance(value, Upper)]
    return replace(bound, value=Upper.least(values))


def unchained(problem: Problem) -> Refusal | None:
    """Why methods for chains say nothing about a problem; of one affine block they say its norm."""
    breaks = _breaks(problem.fused)
    if stretches(parted(problem.fused)) or not breaks:
        return None
    return Refusal(
        f"the network has no two affine blocks with a pointwise layer between them: {breaks}"
    )


def glued(
    problem: Problem, chained: Callable[[Stretch], StretchBound | Refusal]
) -> Bound | Refusal:
    """The bounds of the stretches, AutoLip for the rest; refused where no stretch has one."""
    graph = parted(problem.fused)
    found = Stretchwise.of(problem, graph, stretches(graph), chained)
    breaks = _breaks(problem.fused)
    if found.says_nothing and (found.notes or breaks):
        return Refusal("; ".join(found.notes))
    return found.joined(found.notes + [f"chains joined by AutoLip: {breaks}"] * bool(breaks))


def _breaks(fused: SlopeGraph) -> str:
    """What is neither affine with one operand nor pointwise: the first three such operations and
    their number."""
    found = [
        f"{vertex.operation} at {vertex.place}" + (" joins branches" if vertex.is_affine else "")
        for vertex in fused
        if vertex.name != fused.input and not _sequential(vertex)
    ]
    return "; ".join(found[:3]) + (f"; and {len(found) - 3} more" if len(found) > 3 else "")


def _sequential(vertex: Vertex) -> bool:
    return pointwise(vertex) is not None or (vertex.is_affine and len(vertex.edges) == 1)
