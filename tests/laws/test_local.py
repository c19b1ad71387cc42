"""What is said of a region is no more than what is said everywhere.

Covers autolip.methods.method.
"""

import functools
from dataclasses import replace

import pytest

from autolip import Ball, Norm, zoo
from autolip.capture.torch.export import Capture, capture_model
from autolip.estimate import bracket
from autolip.methods import METHODS, Bound, Problem, method_named
from autolip.norms import parse_norms
from autolip.operators.norms import NormOptions
from autolip.regions import Everywhere, Region
from autolip.testing import Tight, tight_networks
from autolip.values import Upper
from tests.laws.test_methods import NETWORKS

NEAR = 1.011
"""What searches leave: LipSDP ends within a hundredth of its optimum."""

LONG = "exact", "lipsdp-cvxpy", "seqlip-sdp"
"""Methods that take seconds for each network."""

QUICK = "autolip", "liplt", "rescaled"


def regions(capture: Capture) -> tuple[Region, ...]:
    x = capture.example.double()
    return Everywhere(), Ball(x, 0.05), Ball(x, 0.7, Norm.LINF)


@functools.cache
def posed(name: str, number: int) -> Problem:
    """The problem on one of the regions, for all methods and norms."""
    capture = NETWORKS[name]
    region = regions(capture)[number]
    return Problem.pose(capture.graph, region, Norm.L2, Norm.L2, NormOptions(seed=0))


def bound(method: str, name: str, number: int, norm: str) -> float | None:
    """A method's upper bound; None where it refuses or estimates."""
    p, q = parse_norms(norm)
    problem = replace(posed(name, number), p=p, q=q).with_own_norms()
    found = method_named(method).answer(problem)
    is_bound = isinstance(found, Bound) and isinstance(found.value, Upper)
    return found.value.value if is_bound else None  # type: ignore[union-attr]


def default(capture: Capture, region: Region, norm: str) -> float:
    """The default answer."""
    upper = bracket(capture, model="", norm=norm, region=region, lower=None).upper
    assert upper is not None
    return upper.value


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(
    "method",
    [
        pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow])
        for name in METHODS
        if name not in LONG
    ],
)
def test_no_method_says_more_of_a_region(method: str, name: str) -> None:
    for norm in ("l2", "linf"):
        anywhere = bound(method, name, 0, norm)
        for number in (1, 2):
            local = bound(method, name, number, norm)
            if anywhere is not None and local is not None:
                assert local <= anywhere * NEAR, (number, norm, local / anywhere)


SHIPPED = [
    pytest.param(
        name, marks=pytest.mark.long if name in ("digits-attention", "digits-resnet") else ()
    )
    for name in zoo.names()
]
"""Half a minute each for those two."""


@pytest.mark.slow
@pytest.mark.parametrize("name", SHIPPED)
def test_no_more_is_said_of_a_region_of_a_shipped_network(name: str) -> None:
    """On a ball wide enough that slopes in it help little."""
    model, (x,) = zoo.load(name)
    capture = capture_model(model, (x,))
    region = Ball(x.double(), 0.1, Norm.LINF)
    anywhere = default(capture, Everywhere(), "linf:l2")
    assert default(capture, region, "linf:l2") <= anywhere * NEAR


TIGHT = [network for network in tight_networks() if network.maps]


@pytest.mark.slow
@pytest.mark.parametrize("network", TIGHT[::4])
def test_no_more_is_said_of_a_region_of_a_network_of_known_constant(network: Tight) -> None:
    capture = network.capture
    x = capture.example.double()
    anywhere = default(capture, Everywhere(), "l2")
    for radius in (0.1, 2.0):
        assert default(capture, Ball(x, radius), "l2") <= anywhere * NEAR, radius
