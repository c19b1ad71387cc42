"""The closed set of proof steps: facts about stretches of a network, each of which can be checked
afresh.

From them the claim follows by adding gains over operands and multiplying them along paths.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from autolip.errors import Refusal
from autolip.graph.views import SlopeGraph
from autolip.norms import Norm
from autolip.operators.algebra import factors, without_isometries
from autolip.operators.convolution import Convolution
from autolip.operators.norms import NormOptions, operator_norm
from autolip.operators.norms.symbol.bound import symbol_norm
from autolip.operators.norms.symbol.torus import not_wrapped
from autolip.operators.operator import DTYPE, Operator
from autolip.rounded import Rounded
from autolip.values import Upper

FACTORISED = 4096
"""Chosen: the largest smaller side of an affine map whose norm is certified by factorisation,
whatever engine gave it (seconds in the checker)."""

NOTHING = 2.0**-200
"""Chosen: what stands for a norm of 0, which no sum in floating point shows; far below the rounding
of any other."""

ABOVE = {(Norm.LINF, Norm.L1), (Norm.L2, Norm.L1), (Norm.LINF, Norm.L2)}
"""Pairs in which sums of absolute entries are not the norm of a matrix, but may be above it."""

CANCELLING = 2.0**12
"""Chosen: how much larger than a map's norm that of its absolute paths is where its paths cancel
but for rounding."""


@dataclass(frozen=True)
class NormFact:
    """||A||_{p -> q} <= value for the affine map A from source to sink, all paths through affine
    operations."""

    source: str
    sink: str
    p: Norm
    q: Norm
    value: float
    """Raised a little above the bound that a method used, to leave the check some margin."""
    by: str
    """entries, majorant, symbol, cholesky or lanczos: how it is to be checked; the last three
    through l2 norms."""

    @staticmethod
    def of(
        operator: Operator,
        source: str,
        sink: str,
        p: Norm,
        q: Norm,
        bound: Upper,
        l2: Upper | Refusal,
    ) -> "NormFact":
        """The fact behind a bound on an operator's norm; `l2` is what is known of its l2 norm."""
        if bound.value == 0:
            return NormFact(source, sink, p, q, NOTHING, "majorant")
        by = _check_for(operator, p, q, bound, l2)
        if by == "symbol":
            value = bound.value * (1 + _above_wrapped(operator, bound, l2))
            return NormFact(source, sink, p, q, value, by)
        margin = _margin(operator, by)
        value = bound.value * (1 + margin)
        around = _around(operator, p, q)
        if by == "cholesky":
            # what the factorisation loses is added to the square
            lost = 2.0**-24 * math.sqrt(operator.terms + 16) * around
            value = math.hypot(value, lost)
        if around > CANCELLING * bound.value:
            entries = _by_entries(operator, p, q, value, around)
            if by != "cholesky" or entries < value:
                return NormFact(source, sink, p, q, entries, "entries")
        return NormFact(source, sink, p, q, value, by)


@dataclass(frozen=True)
class QuadraticFact:
    """||sink - sink'||_q <= value ||source - source'||_p because a quadratic form is not negative.

    With z the results of the nonlinear vertices (the keys of `multipliers`) and v their operands,
    the form is sum inputs x^2 - sum y^2 / outputs - sum multipliers (z - a v)(b v - z), of a gain g
    multipliers (g^2 v^2 - z^2).
    """

    source: str
    sink: str
    p: Norm
    q: Norm
    value: float
    by: str
    """cholesky or lanczos."""
    multipliers: dict[str, Tensor] = field(repr=False)
    inputs: Tensor = field(repr=False)
    outputs: Tensor = field(repr=False)


@dataclass(frozen=True)
class EntriesFact:
    """||sink - sink'||_inf <= value ||source - source'||_p, by a quadratic form for every entry of
    sink, in order.

    A form is that of its entry alone, its sink the result of reading it; what counts are its
    multipliers and inputs.
    """

    source: str
    sink: str
    p: Norm
    value: float
    by: str
    entries: tuple[QuadraticFact, ...] = field(repr=False)
    q: Norm = Norm.LINF


@dataclass(frozen=True)
class RowFact:
    """One entry of the value `at` goes no further from what it is at the region's origin o than the
    root of sum inputs (x - o)^2 can be on the region, because a quadratic form is not negative.

    The form is that of a QuadraticFact whose sink is the entry, on slopes between o and any other
    point; of multipliers, by the operations whose results z are, those of known slopes count for
    nothing.
    """

    at: str
    entry: int
    multipliers: dict[str, Tensor] = field(repr=False)
    inputs: Tensor = field(repr=False)


@dataclass(frozen=True)
class Leaf:
    """Multipliers that prove a case."""

    multipliers: dict[str, Tensor]


@dataclass(frozen=True)
class Fork:
    """One slope, that of an entry of a vertex, at its lower and at its upper end."""

    at: str
    entry: int
    low: "Fork | Leaf"
    high: "Fork | Leaf"


@dataclass(frozen=True)
class CasesFact:
    """||sink - sink'||_2 <= value ||source - source'||_2, by a quadratic form in every case of the
    tree.

    The norm is convex in every single slope, and so largest with each slope at one of its ends.
    """

    source: str
    sink: str
    value: float
    tree: Fork | Leaf = field(repr=False)
    p: Norm = Norm.L2
    q: Norm = Norm.L2
    by: str = "cholesky"


@dataclass(frozen=True)
class CaseTree:
    """A tree of cases in preorder: `at` a neuron that is split behind a `piece`, the lower half
    first, or a fact.

    In the same order the multipliers of quadratic bounds, a row for each; the counts of the
    half-spaces that show a case to be empty, and of those of each end of a box; these half-spaces
    (twice the neuron, one more for an upper end) and their weights.
    """

    at: Tensor
    piece: Tensor
    multipliers: Tensor
    counts: Tensor
    sides: Tensor
    weights: Tensor

    QUADRATIC: ClassVar[int] = -1
    ENTRIES: ClassVar[int] = -2
    EMPTY: ClassVar[int] = -3
    BOX: ClassVar[int] = -4


@dataclass(frozen=True)
class PiecesFact:
    """||sink - sink'||_q <= value ||source - source'||_p for a piecewise linear network, by cases
    of the pieces on which its neurons lie."""

    source: str
    sink: str
    p: Norm
    q: Norm
    value: float
    tree: CaseTree = field(repr=False)
    by: str = "tree"


@dataclass(frozen=True)
class MarginFact:
    """The single output is at least `least` on the region, as a quadratic form is not negative.

    Its variables are the input, counted from the region's centre, and the results z = max(v, 0) of
    relus; z (v - z) = 0, z - v >= 0 and z >= 0 have the `multipliers` of their relu, in that order,
    and squares of the input's entries `inputs`.
    """

    least: float
    multipliers: dict[str, tuple[Tensor, ...]] = field(repr=False)
    inputs: Tensor = field(repr=False)


Fact = NormFact | QuadraticFact | EntriesFact | CasesFact | PiecesFact


@dataclass(frozen=True)
class Proof:
    """Facts about a graph of slope sets, from which a bound on the whole follows."""

    graph: SlopeGraph = field(repr=False)
    facts: tuple[Fact, ...] = field(repr=False)
    constants: Mapping[str, Rounded] = field(default_factory=dict, repr=False)
    """What the operands of operations that are not affine are where the input and the results of
    all such operations are 0: for facts on pieces."""
    rows: tuple[RowFact, ...] = field(default=(), repr=False)
    """Why ranges on which slopes of the graph rest are closer than linear relaxation's."""

    @property
    def is_random(self) -> bool:
        """Whether some fact holds with high probability only."""
        return any(fact.by == "lanczos" for fact in self.facts)


def _check_for(operator: Operator, p: Norm, q: Norm, bound: Upper, l2: Upper | Refusal) -> str:
    """A check that can succeed on the bound that an engine gave."""
    side = min(operator.in_size, operator.out_size)
    sums = p is q and all(
        factor.diagonal is not None or _moves(factor) for factor in factors(operator)
    )
    # of several wirings Schur's test may be above the l2 norm
    if sums and (p is not Norm.L2 or _around(operator, p, q) <= bound.value * (1 + 2.0**-40)):
        return "majorant"
    if (p, q) != (Norm.L2, Norm.L2) and not _through_l2(operator, p, q, bound, l2):
        if (p, q) in ABOVE:
            l2 = operator_norm(operator, Norm.L2, Norm.L2, NormOptions())
        if not _through_l2(operator, p, q, bound, l2):
            return "entries"
    if bound.events:
        return "lanczos"
    if side > FACTORISED and without_isometries(operator).kernel is not None:
        return "symbol"
    return "cholesky"


def _through_l2(operator: Operator, p: Norm, q: Norm, bound: Upper, l2: Upper | Refusal) -> bool:
    """Whether the bound is what the l2 norm shows of it; where the time had ended, that may have
    been a stand-in."""
    if isinstance(l2, Refusal):
        return False
    around = (
        p.equivalence(Norm.L2, operator.in_size) * l2 * Norm.L2.equivalence(q, operator.out_size)
    )
    return around.value <= bound.value * (1 + 2.0**-30)


def _above_wrapped(operator: Operator, bound: Upper, l2: Upper | Refusal) -> float:
    """How far the supremum of the symbol lies above a bound that made use of a small image, and the
    usual margin."""
    margin = _margin(operator, "symbol")
    core = Convolution.of(without_isometries(operator))
    if core is None or not_wrapped(core) is not None:
        return margin
    known = bound if isinstance(l2, Refusal) else l2
    supremum = symbol_norm(core, NormOptions())
    if isinstance(supremum, Refusal) or supremum.value <= known.value:
        return margin
    return (supremum.value / known.value) * (1 + margin) * (1 + 2.0**-48) - 1


def _around(operator: Operator, p: Norm, q: Norm) -> float:
    """About ||  |A|  ||_{p -> q}, paths added without regard to signs: what rounding errors are
    relative to."""
    majorant = operator.majorant()
    if majorant is None:
        return 0.0
    shape_in = (1, *operator.in_shape)
    inputs = torch.ones(shape_in, dtype=DTYPE)
    shape_out = (1, *operator.out_shape)
    outputs = torch.ones(shape_out, dtype=DTYPE)
    rows = majorant.mv(inputs).amax().item()
    columns = majorant.rmv(outputs).amax().item()
    before = p.equivalence(Norm.L2, operator.in_size)
    after = Norm.L2.equivalence(q, operator.out_size)
    return math.sqrt(rows) * math.sqrt(columns) * (before * after).value


def _by_entries(operator: Operator, p: Norm, q: Norm, value: float, around: float) -> float:
    """What sums of entries show, at most: of an l2 norm that of squares; and rounding."""
    side = min(operator.in_size, operator.out_size)
    terms = operator.terms + operator.in_size + operator.out_size
    room = 2.0**-44 * terms * around
    is_l2 = (p, q) == (Norm.L2, Norm.L2)
    above = math.sqrt(side) if is_l2 else 1.0
    return value * above + room


def _moves(operator: Operator) -> bool:
    """Whether Schur's test gives the norm of this wiring exactly."""
    return operator.is_wiring and (operator.is_selection or operator.in_counts.max().item() <= 1)


def _margin(operator: Operator, by: str) -> float:
    """Rounding errors that a check must be able to absorb, with room to spare."""
    side = min(operator.in_size, operator.out_size)
    kernel = without_isometries(operator).kernel
    if by == "symbol" and kernel is not None:
        return 2.0**-30 + 2.0**-44 * min(kernel.weight.shape[:2]) ** 2
    if by == "cholesky":
        return 2.0**-50 * (4 * side**2 + 64 * (operator.terms + 16))
    return 2.0**-38 + 2.0**-50 * (operator.terms + operator.in_size + operator.out_size)
