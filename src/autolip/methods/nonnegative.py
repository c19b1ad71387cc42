"""Networks of one sign: all slopes at their largest dominate every other pattern."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, assert_never

import torch
from torch import Tensor

from autolip.budget import IN_DOUBLE
from autolip.errors import Refusal
from autolip.graph.signs import consistent_signs
from autolip.graph.views import SlopeGraph
from autolip.methods.method import Bound, Method, Problem, method
from autolip.operators.algebra import compose
from autolip.operators.block import Block, Link, between
from autolip.operators.dense import Dense
from autolip.operators.diagonal import Diagonal
from autolip.operators.incidence import Incidence
from autolip.operators.norms.nonnegative import nonnegative_norm, products_of_norm
from autolip.operators.norms.rounding import rounded_matrix
from autolip.operators.operator import Operator
from autolip.regions import Box
from autolip.rules import slopes_on
from autolip.slopes import Between, Exact, Gain, Slope
from autolip.values import Upper

FORMED = 2**20
"""Chosen: most entries of an affine block whose matrix is formed before the absolute value is
taken."""

NEARLY = 1e-9
"""Chosen: how far below their largest values the slopes around a point may be for the bound to be
called exact."""


@method("nonnegative")
@dataclass(frozen=True)
class Nonnegative(Method):
    """Upper bound: the norm of the network with |W| for every block W and the largest modulus for
    every slope.

    |sum over paths of products of W and slopes| <= the same with moduli, entrywise, and all norms
    here are monotone on non-negative matrices: one norm, whatever the depth.  Where signs of the
    neurons exist that make every block non-negative, the pattern with all slopes at their largest
    has exactly this norm; where that pattern is found at some input of the region the bound is the
    constant, and the notes say so.
    """

    name: ClassVar[str] = "nonnegative"
    automatic: ClassVar[float] = 20
    source: ClassVar[str] = (
        "Perron 1907, Frobenius 1912, Collatz 1942; for networks of one sign elementary"
    )

    def _accepts(self, problem: Problem) -> Refusal | None:
        """Refuses maps of which only a gain is known (max-pool, softmax), and infinite slopes."""
        for vertex in problem.fused:
            for edge in vertex.edges:
                if isinstance(edge.slope, Gain) or not edge.slope.is_finite:
                    return Refusal(
                        f"{vertex.operation} at {vertex.place} has no bounded slopes entry by entry"
                    )
        return None

    def price(self, problem: Problem) -> float:
        """By the products of the norm, and of the matrices that are formed."""
        formed = filter(_is_formed, (link.operator for link in problem.fused.links))
        inputs = problem.fused.input_shape.numel()
        outputs = problem.fused.output_shape.numel()
        ends = (inputs, outputs)
        products = products_of_norm(*ends, problem.p, problem.q)
        work = products * problem.fused.work + sum(
            operator.in_size * operator.work for operator in formed
        )
        return 2 * IN_DOUBLE * work

    def bound(self, problem: Problem) -> Bound | Refusal:
        operator = majorant(problem.fused)
        if isinstance(operator, Refusal):
            return operator
        value = nonnegative_norm(operator, problem.p, problem.q)
        if isinstance(value, Refusal):
            return value
        return Bound(value, notes=exactness(problem, value))


def majorant(fused: SlopeGraph) -> Operator | Refusal:
    """The network with every block and slope replaced by its modulus, as one operator."""
    links = []
    for vertex in fused:
        for edge in vertex.edges:
            operator = _modulus(edge.slope)
            if operator is None:
                return Refusal(
                    f"no bound on the entries of {vertex.operation} at {vertex.place} is known"
                )
            links.append(Link(edge.source, vertex.name, operator))
    paths = between(links, fused.input, fused.output)
    return Block.of(paths, fused.input, fused.output, fused.input_shape, fused.output_shape)


def _is_formed(operator: Operator) -> bool:
    """Whether its matrix is formed."""
    return operator.is_composite and operator.in_size * operator.out_size <= FORMED


def _modulus(slope: Slope) -> Operator | None:
    """At least |M|, entrywise, for every M of the set; None where that is not known."""
    match slope:
        case Exact():
            return _modulus_of(slope.operator)
        case Between():
            return Diagonal.compact(slope.steepest.abs(), slope.out_shape)
        case Gain():
            return None
        case _:
            assert_never(slope)


def _modulus_of(operator: Operator) -> Operator | None:
    """At least |A|, entrywise: |A B|, not |A| |B|, where the matrix is small."""
    if not _is_formed(operator):
        return operator.majorant()
    matrix = rounded_matrix(operator)
    if isinstance(matrix, Refusal):
        return operator.majorant()
    into = Incidence(lambda x: x.flatten(), operator.in_shape)
    out = Incidence(lambda x: x.reshape(operator.out_shape), (operator.out_size,))
    return compose(out, Dense(matrix.size), into)


def exactness(problem: Problem, value: Upper) -> tuple[str, ...]:
    """What is known of the distance to the constant itself; from a centre, where the slopes of one
    point decide nothing, nothing."""
    if value.value == 0 or problem.centre is not None:
        return ()
    signs = consistent_signs(problem.fused)
    if signs is None:
        return ()
    start = signs[problem.fused.input]
    if any(_all_largest(problem, box) for box in _boxes(problem, start)):
        return (
            "exact: all slopes reach their largest values at once, and no sign works "
            "against another",
        )
    return (
        "no sign works against another, but no input was found where all slopes are "
        "largest at once",
    )


def _all_largest(problem: Problem, box: Box) -> bool:
    """Whether every slope is at its largest on a small box of inputs; not where steps that are one
    function of a number everywhere are several on the box."""
    inside = slopes_on(problem.graph, box)
    if inside.by_name.keys() != problem.slopes.by_name.keys():
        return False
    for vertex in inside:
        for here, whole in zip(vertex.edges, problem.slopes[vertex.name].edges, strict=True):
            match whole.slope, here.slope:
                case Between() as slopes, Between() as inside_box:
                    if not _at_largest(inside_box, slopes.steepest):
                        return False
                case Between(), _:
                    return False
    return True


def _at_largest(slopes: Between, goal: Tensor) -> bool:
    """Whether all slopes of the set are nearly these."""
    sign = goal.sign()
    ends = torch.minimum(slopes.lo * sign, slopes.hi * sign)
    return bool((ends >= goal.abs() * (1 - NEARLY)).all())


def _boxes(problem: Problem, signs: Tensor) -> Iterator[Box]:
    """Small boxes of the region along the direction in which all differences have their signs."""
    around = problem.region.interval(signs.shape)
    if around.is_bounded:
        total = around.lo + around.hi
        middle = total / 2
        reach = (around.hi - around.lo) / 2
        steps = [0.0, 0.5, -0.5, 0.99, -0.99]
    else:
        middle = torch.zeros_like(signs)
        reach = torch.ones_like(signs)
        steps = [*(size * sign for size in (1.0, 1e3, 1e6) for sign in (1.0, -1.0)), 0.0]
    for step in steps:
        there = middle + step * reach * signs
        point = problem.region.project(there.unsqueeze(0))[0]
        width = 1e-12 * (point.abs() + reach)
        yield Box(point - width, point + width)
