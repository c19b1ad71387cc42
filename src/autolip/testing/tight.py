"""Networks and operators whose constants are known, and what every bound has to say about them.

A bound is refuted by an attained slope only where it is nearly tight.  These networks are small
enough for their constant to be known exactly, and made so that methods reach it: a bound that lost
a few per cent is then too small.
"""

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from autolip.budget import Budget
from autolip.capture.torch.export import Capture, capture_model
from autolip.errors import Refusal
from autolip.lower import LowerMethod, LowerProblem
from autolip.methods import Bound, Method, Problem
from autolip.norms import Norm, parse_norms
from autolip.operators.norms import NormOptions
from autolip.operators.norms.engine import Engine, normal_form
from autolip.operators.operator import Operator
from autolip.regions import Everywhere, Region
from autolip.testing.exact import Known, exact_norm
from autolip.testing.violation import LawViolation
from autolip.values import Lower, Upper

PAIRS = tuple((p, q) for p in Norm for q in Norm)


@dataclass(frozen=True, eq=False)
class Tight:
    """A network on a region, and the linear maps of which the largest norm is its Lipschitz
    constant.

    `maps`: matrices (out, in), limits of Jacobians in the region, such that every Jacobian there is
    a convex combination of them; then the constant is the largest of their norms, for every pair of
    norms.  A `number` instead is the constant for all `norms`.  `within` states by which factor a
    method, or the default search for a lower bound ("lower"), may miss the constant: "liplt" for l2
    -> l2, "liplt linf" for linf -> linf.
    """

    name: str
    model: Callable[[Tensor], Tensor]
    example: Tensor
    maps: tuple[Tensor, ...] = ()
    region: Region = field(default_factory=Everywhere)
    number: Known | None = None
    norms: tuple[str, ...] = (
        "l2",
        "linf",
        "l1",
        "linf:l2",
        "l2:linf",
        "l1:l2",
        "linf:l1",
        "l1:linf",
        "l2:l1",
    )
    within: Mapping[str, float] = field(default_factory=dict)

    @property
    def capture(self) -> Capture:
        """The network as a graph, captured once for all regions."""
        return _captured(self.model, self.example.shape)

    def constant(self, norm: str) -> Known:
        """The Lipschitz constant on the region, for "l2" or a pair such as "linf:l2"."""
        if self.number is not None:
            return self.number
        p, q = parse_norms(norm)
        return Known.largest(exact_norm(matrix, p, q) for matrix in self.maps)

    def stated(self, method: Method, norm: str) -> float:
        """By which factor a method may miss the constant, by what is stated here and by what it
        states itself; infinite where nothing is."""
        pair = "" if norm == "l2" else f" {norm}"
        here = self.within.get(f"{method.title}{pair}", math.inf)
        return min(here, method.tight.get(f"{self.name}{pair}", math.inf))


@functools.cache
def _captured(model: Callable[[Tensor], Tensor], shape: torch.Size) -> Capture:
    return capture_model(model, (torch.zeros(shape, dtype=torch.float64),))


def pieces(model: Callable[[Tensor], Tensor], points: Tensor) -> tuple[Tensor, ...]:
    """The Jacobians of a network at points (k, *shape), as matrices (out, in); each once.

    Exact where no product or sum on the way is rounded, as for weights that are small integers over
    powers of two.
    """
    found: dict[tuple[float, ...], Tensor] = {}
    for point in points.double():
        jacobian = torch.autograd.functional.jacobian(model, point)
        matrix = jacobian.reshape(-1, point.numel())
        found[tuple(matrix.flatten().tolist())] = matrix
    return tuple(found.values())


def check_tight(
    method: Method, network: Tight, norm: str = "l2", *, seconds: float | None = None
) -> float | None:
    """A method's bound is at least the known constant, without tolerance, and within the ratio
    stated for it.

    `seconds` is the time budget.  Returns the bound; None where the method refuses or only
    estimates.  Raises LawViolation.
    """
    said = said_of(method, network, norm, seconds)
    ratio = network.stated(method, norm)
    if isinstance(said, Bound) and isinstance(said.value, Upper):
        compare(method, said.value, network, norm, ratio)
        return said.value.value
    if math.isfinite(ratio):
        raise LawViolation(f"{method.title} says nothing about {network.name} ({norm}): {said}")
    return None


def said_of(
    method: Method, network: Tight, norm: str, seconds: float | None = None
) -> Bound | Refusal:
    """What a method says of a network's constant."""
    p, q = parse_norms(norm)
    options = NormOptions(budget=Budget.of(seconds))
    problem = Problem.pose(network.capture.graph, network.region, p, q, options)
    return method.accepts(problem) or method.bound(problem)


def compare(method: Method, bound: Upper, network: Tight, norm: str, ratio: float) -> None:
    """A bound is at least the constant, and at most `ratio` times as large."""
    where = f"{network.name} ({norm})"
    _compare(method.title, bound.value, network.constant(norm), ratio, where)


def check_tight_search(
    search: LowerMethod, network: Tight, norm: str = "l2", *, ratio: float = math.inf
) -> float:
    """A search finds at most the known constant, without tolerance, and at least the constant
    divided by `ratio`.

    Returns the lower bound, 0 where the search refuses.  Raises LawViolation.
    """
    problem = LowerProblem.of(network.capture, network.region, *parse_norms(norm))
    found = search.search(problem)
    value = found.value if isinstance(found, Lower) else 0.0
    constant = network.constant(norm)
    where = f"{network.name} ({norm})"
    if not constant.is_at_least(value):
        raise LawViolation(
            f"{search.name} claims {value}, but the constant of {where} is {float(constant)}"
        )
    if math.isfinite(ratio) and not constant.is_at_most(value * ratio):
        raise LawViolation(
            f"{search.name} finds {value} of {float(constant)} on {where}: below 1/{ratio} of it"
        )
    return value


@dataclass(frozen=True, eq=False)
class TightOperator:
    """A small operator; its matrix is read off from products with unit vectors, exact for the
    weights here."""

    name: str
    operator: Operator

    known: dict[tuple[Norm, Norm], Known] = field(default_factory=dict, repr=False)

    def norm(self, p: Norm, q: Norm) -> Known:
        """||A||_{p -> q}, computed once."""
        if (p, q) not in self.known:
            self.known[p, q] = exact_norm(self.operator.matrix(), p, q)
        return self.known[p, q]


def check_tight_engine(engine: Engine, tight: TightOperator) -> float | None:
    """A norm engine's bounds are at least the norm, without tolerance, for every pair of norms that
    lead to it.

    Returns by which factor the nearest of them is above; None where the engine does not take the
    operator or refuses.
    """
    takers = [
        (core, p, q)
        for p, q in PAIRS
        for core, *norms in [normal_form(tight.operator, p, q)]
        if engine.accepts(core, norms[0], norms[1])
    ]
    least = None
    for core, p, q in takers:
        bound = engine.function(core, NormOptions())
        if isinstance(bound, Refusal):
            continue
        known = tight.norm(p, q)
        label = f"{engine.name} {engine.p.value}:{engine.q.value}"
        _compare(label, bound.value, known, math.inf, f"{tight.name} ({p.value}:{q.value})")
        excess = bound.value / float(known) if float(known) else 1.0 + bound.value
        least = excess if least is None else min(least, excess)
    return least


def _compare(who: str, value: float, constant: Known, ratio: float, where: str) -> None:
    """constant <= value <= ratio * constant."""
    if not constant.is_at_most(value):
        raise LawViolation(
            f"{who} claims {value}, but the constant of {where} is {float(constant)}"
        )
    if math.isfinite(ratio) and not constant.is_within(value, ratio):
        raise LawViolation(
            f"{who} says {value} for {where}, more than {ratio} times the constant "
            f"{float(constant)}"
        )
