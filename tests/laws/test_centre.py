"""Slopes from the centre: never below what is attained from there, at most those of any two points,
the derivative's norm in the limit, no larger on a smaller region.

Covers autolip.testing.methods and autolip.rules.secants.
"""

import functools
import itertools
from dataclasses import replace

import pytest
import torch
from _pytest.mark import ParameterSet
from torch import Tensor, nn

from autolip import Ball, Box, Norm
from autolip.capture.torch.export import Capture, capture_model
from autolip.errors import Refusal
from autolip.graph.evaluate import evaluate
from autolip.lower import LOWER_METHODS, LowerProblem, lower_named
from autolip.methods import METHODS, Bound, Problem, method_named
from autolip.norms import parse_norms
from autolip.operators.norms import NormOptions
from autolip.regions import Region
from autolip.rules import slopes_on
from autolip.slopes import Between
from autolip.testing import LawViolation, Tight, attained_slope, check_method, tight_networks
from autolip.values import Lower, Upper
from tests.laws.test_methods import NETWORKS

SOLVED = "lipsdp-cvxpy", "seqlip-sdp"
"""Methods that take seconds for each network."""

PLAIN = [name for name in METHODS if name not in SOLVED]

SEARCHED = "lipsdp", "layerwise", "seqlip", "rescaled", "eclipse-fast"
"""Methods whose weights are searched or chosen: smaller slopes may end in a higher bound."""

QUICK = "autolip", "liplt"

OPEN = "exact", "conv"
"""Ends by its time, from the centre with cases open that any two points need not have."""

FEW = "chain-ReLU", "chain-SiLU"


def slow_if(condition: bool, *values: object) -> ParameterSet:
    return pytest.param(*values, marks=[pytest.mark.slow] if condition else [])


def cases(methods: list[str]) -> list[ParameterSet]:
    """Every method on every network, the quick ones on a few at once."""
    return [
        slow_if(method not in QUICK or name not in FEW, method, name)
        for method in methods
        for name in NETWORKS
    ]


def regions(x: Tensor) -> list[Region]:
    x = x.double()
    return [Ball(x, 0.3), Box(x - 0.1, x + 0.5)]


def bound(
    name: str, capture: Capture, region: Region, norm: str, centre: Tensor | None
) -> float | None:
    """A method's upper bound; None where it refuses or estimates."""
    options = NormOptions(seed=0)
    return answer(name, Problem.pose(capture.graph, region, *parse_norms(norm), options, centre))


def answer(method: str, problem: Problem) -> float | None:
    found = method_named(method).answer(problem)
    is_bound = isinstance(found, Bound) and isinstance(found.value, Upper)
    return found.value.value if is_bound else None  # type: ignore[union-attr]


def points_of(region: Region, capture: Capture) -> list[Tensor]:
    """The centre, and some other point."""
    middle = region.centre(capture.graph.input_shape)
    other = region.sample(1, capture.example, torch.Generator().manual_seed(3))[0]
    return [point for point in (middle, other) if point is not None]


def places(name: str) -> list[tuple[int, int]]:
    """Which region, and which of its points."""
    capture = NETWORKS[name]
    many = enumerate(regions(capture.example))
    return [(k, point) for k, one in many for point in range(len(points_of(one, capture)))]


def about(name: str, place: tuple[int, int]) -> tuple[Region, Tensor]:
    capture = NETWORKS[name]
    region = regions(capture.example)[place[0]]
    return region, points_of(region, capture)[place[1]]


@functools.cache
def posed(name: str, place: tuple[int, int], fixed: bool) -> Problem:
    """The problem on a region, from one of its points or of any two, for all methods and norms."""
    region, point = about(name, place)
    centre = point if fixed else None
    options = NormOptions(seed=0)
    return Problem.pose(NETWORKS[name].graph, region, Norm.L2, Norm.L2, options, centre)


def in_norm(problem: Problem, norm: Norm) -> Problem:
    return replace(problem, p=norm, q=norm).with_own_norms()


@functools.cache
def attained(name: str, place: tuple[int, int], norm: str) -> float:
    """What every method has to respect from there."""
    region, centre = about(name, place)
    return attained_slope(NETWORKS[name], region, norm=norm, centre=centre)


def turn(method: str, place: tuple[int, int]) -> Norm:
    """Norms in turn, over methods and places."""
    return (Norm.L2, Norm.LINF)[(list(METHODS).index(method) + sum(place)) % 2]


@pytest.mark.parametrize(("method", "name"), cases([m for m in METHODS if m != "lipsdp-cvxpy"]))
def test_never_below_what_is_attained_from_the_centre(method: str, name: str) -> None:
    for place in places(name):
        region, centre = about(name, place)
        norm = turn(method, place).value
        check_method(
            method_named(method),
            NETWORKS[name],
            region,
            norm=norm,
            centre=centre,
            seconds=1.0,
            attained=attained(name, place, norm),
            posed=posed(name, place, True),
        )


@pytest.mark.parametrize(("method", "name"), [case for case in cases(PLAIN) if case.values != OPEN])
def test_the_centre_is_at_most_any_two_points(method: str, name: str) -> None:
    """Slopes are parts of those of any two points; what is searched may end a little higher."""
    room = 1.03 if method in SEARCHED else 1 + 1e-9
    for place in [place for place in places(name) if place[1] == 0]:
        norm = turn(method, place)
        from_there = answer(method, in_norm(posed(name, place, True), norm))
        if from_there is not None:
            of_any = answer(method, in_norm(posed(name, place, False), norm))
            assert of_any is None or from_there <= of_any * room, (place, norm)


TIGHT = [network for network in tight_networks() if network.maps]


@pytest.mark.parametrize(
    "network", [slow_if(number % 8 > 0, network) for number, network in enumerate(TIGHT)]
)
def test_the_tight_zoo_from_a_point(network: Tight) -> None:
    """Never above the constant of any two points by more than stated, never below a chord."""
    capture = network.capture
    shape = capture.graph.input_shape
    generator = torch.Generator().manual_seed(0)
    centre = torch.randn(shape, generator=generator, dtype=torch.float64)
    for radius in (0.1, 2.0):
        for method in ("autolip", "liplt"):
            check_method(method_named(method), capture, Ball(centre, radius), centre=centre)


def derivative(capture: Capture, x: Tensor, norm: str) -> float:
    """The norm of the Jacobian, for l2 and linf."""
    jacobian = torch.func.jacrev(lambda y: evaluate(capture.graph, y).reshape(-1))(x).flatten(1)
    if norm == "linf":
        return jacobian.abs().sum(1).max().item()
    return torch.linalg.matrix_norm(jacobian, 2).item()


@pytest.mark.parametrize(("method", "name"), cases(["liplt", "lipsdp"]))
def test_the_limit_is_the_norm_of_the_derivative(method: str, name: str) -> None:
    capture = NETWORKS[name]
    x = capture.example.double()
    for norm in ("l2", "linf"):
        exact = derivative(capture, x, norm)
        value = bound(method, capture, Ball(x, 1e-7), norm, x)
        assert value is None or -1e-9 <= value / exact - 1 <= 1e-3, (norm, value, exact)


@pytest.mark.parametrize(("method", "name"), cases(["autolip", "lipsdp"]))
def test_a_smaller_region_has_no_larger_bound(method: str, name: str) -> None:
    capture = NETWORKS[name]
    x = capture.example.double()
    values = [bound(method, capture, Ball(x, r), "l2", x) for r in (0.01, 0.2, 5.0)]
    known = [value for value in values if value is not None]
    assert all(a <= b * 1.01 for a, b in itertools.pairwise(known)), known


def test_walks_over_regions_refuse_a_centre() -> None:
    capture = NETWORKS["chain-ReLU"]
    x = capture.example.double()
    problem = LowerProblem.of(capture, Ball(x, 0.5), Norm.L2, Norm.L2, centre=x)
    assert isinstance(lower_named("pattern").search(problem), Refusal)


@pytest.mark.slow
@pytest.mark.parametrize(
    "search", [name for name in LOWER_METHODS if name not in ("dataset", "pattern")]
)
def test_searches_find_a_point_against_the_centre(search: str) -> None:
    """The witness is the centre and another point of the region, its slope below every bound."""
    capture = NETWORKS["chain-ReLU"]
    x = capture.example.double()
    for number, region in enumerate((Ball(x, 0.5), Box(x - 0.3, x + 0.2))):
        centre = points_of(region, capture)[number]
        problem = LowerProblem.of(capture, region, Norm.L2, Norm.L2, centre=centre)
        found = lower_named(search).search(problem)
        assert isinstance(found, Lower) and found.witness is not None
        assert torch.equal(found.witness.y, centre)
        assert region.contains(found.witness.x)
        upper = bound("lipsdp", capture, region, "l2", centre)
        assert upper is not None and found.value <= upper
        assert found.value >= derivative(capture, centre, "l2") * (1 - 1e-3)


@pytest.mark.parametrize("name", FEW)
def test_slopes_of_a_smaller_region_are_part_of_those_of_a_larger(name: str) -> None:
    capture = NETWORKS[name]
    x = capture.example.double()
    before = slopes_on(capture.graph, Ball(x, 0.01), centre=x)
    for radius in (0.1, 1.0, 10.0):
        after = slopes_on(capture.graph, Ball(x, radius), centre=x)
        for small, large in zip(before, after, strict=True):
            for one, other in zip(small.edges, large.edges, strict=True):
                if isinstance(one.slope, Between) and isinstance(other.slope, Between):
                    assert (one.slope.lo >= other.slope.lo - 1e-12).all()
                    assert (one.slope.hi <= other.slope.hi + 1e-12).all()
        before = after


def test_a_network_that_is_nearly_linear_from_one_point_alone() -> None:
    """relu(v) - relu(v - 1) from v = 2: constant beyond 1, so that short chords have no slope."""
    first, last = nn.Linear(1, 2), nn.Linear(2, 1)
    layers = nn.Sequential(first, nn.ReLU(), last)
    with torch.no_grad():
        first.weight.copy_(torch.ones(2, 1))
        first.bias.copy_(torch.tensor([0.0, -1.0]))
        last.weight.copy_(torch.tensor([[1.0, -1.0]]))
        last.bias.zero_()
    capture = capture_model(layers.eval(), (torch.zeros(1, 1),))
    centre = torch.full((1, 1), 2.0, dtype=torch.float64)
    from_there = bound("lipsdp", capture, Ball(centre, 1.5), "l2", centre)
    anywhere = bound("lipsdp", capture, Ball(centre, 1.5), "l2", None)
    assert anywhere is not None and anywhere >= 1.0
    assert from_there is not None and 0.5 / 1.5 <= from_there < 0.7


def test_the_law_sees_a_bound_that_is_too_small() -> None:
    capture = NETWORKS["chain-ReLU"]
    x = capture.example.double()
    with pytest.raises(LawViolation, match="but the network attains"):
        check_method(method_named("autolip"), capture, Ball(x, 0.3), centre=x, attained=1e9)
