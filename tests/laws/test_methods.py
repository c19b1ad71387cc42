"""Every method, on every shipped network and on random ones, never below an attained slope.

Covers autolip.testing.methods.
"""

import functools
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor, nn

from autolip import Ball, Box, Everywhere, Norm, zoo
from autolip.budget import Budget
from autolip.capture.torch.export import capture_model
from autolip.methods import METHODS, AutoLip, Bound, Method, Problem, method_named
from autolip.operators.norms import NormOptions
from autolip.regions import Region
from autolip.testing import LawViolation, attained_slope, check_method
from autolip.values import Upper

NORMS = ("l2", "linf", "l1", "linf:l2", "l2:linf", "l1:l2", "linf:l1", "l1:linf", "l2:l1")


class Mixed(nn.Module):
    """A skip, a concatenation, a product and a shared affine path."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.a(x)
        z = torch.tanh(self.b(torch.sigmoid(y))) + y
        return self.c(
            torch.cat(
                [torch.sigmoid(z) * torch.tanh(y), torch.nn.functional.leaky_relu(z, -0.3)], 1
            )
        )


def networks() -> dict[str, tuple[nn.Module, Tensor]]:
    torch.manual_seed(1)
    activations = (nn.ReLU(), nn.SiLU(), nn.ELU(2.0), nn.Hardtanh(), nn.LeakyReLU(0.2))
    chains = {
        f"chain-{type(a).__name__}": nn.Sequential(
            nn.Linear(3, 8), a, nn.Linear(8, 8), a, nn.Linear(8, 2)
        )
        for a in activations
    }
    conv = nn.Sequential(
        nn.Conv2d(2, 4, 3, 2, 1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
        nn.Flatten(),
        nn.Linear(16, 3),
    )
    return {name: (chain.eval(), torch.randn(1, 3)) for name, chain in chains.items()} | {
        "mixed": (Mixed().eval(), torch.randn(1, 4)),
        "conv": (conv.eval(), torch.randn(1, 2, 7, 7)),
    }


NETWORKS = {name: capture_model(model, (x,)) for name, (model, x) in networks().items()}


def regions(x: Tensor) -> list[Region]:
    return [Everywhere(), Ball(x, 0.3), Box(x - 0.1, x + 0.5), Ball(x, 0.01, Norm.LINF)]


@functools.cache
def attained(name: str, number: int, norm: str) -> float:
    """What every method has to respect, on one of the regions."""
    return attained_slope(NETWORKS[name], regions(NETWORKS[name].example)[number], norm=norm)


@functools.cache
def posed(name: str, number: int) -> Problem:
    """The problem on one of the regions, for all methods and norms."""
    capture = NETWORKS[name]
    region = regions(capture.example)[number]
    return Problem.pose(capture.graph, region, Norm.L2, Norm.L2, NormOptions())


LONGER = "exact", "lipsdp", "lipsdp-cvxpy", "seqlip-sdp"
"""Methods that solve semidefinite programs."""


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(
    "method", [pytest.param(m, marks=[pytest.mark.slow] if m in LONGER else []) for m in METHODS]
)
def test_never_below_what_is_attained(method: str, name: str) -> None:
    """In l2 and linf in turn, region by region and network by network."""
    capture = NETWORKS[name]
    seconds = 1.0 if method in LONGER else None
    many = regions(capture.example)
    for number, region in enumerate(many[:2] if method == "lipsdp-cvxpy" else many):
        turn = (number + len(name)) % 2
        for norm in NORMS if method == "autolip" and number == 1 else (NORMS[turn],):
            check_method(
                method_named(method),
                capture,
                region,
                norm=norm,
                seconds=seconds,
                attained=attained(name, number, norm),
                posed=posed(name, number),
            )


@pytest.mark.slow
@pytest.mark.parametrize("name", zoo.names())
def test_shipped_networks(name: str) -> None:
    model, (x,) = zoo.load(name)
    capture = capture_model(model, (x,))
    region = Ball(x, 0.05, Norm.LINF) if name == "digits-attention" else Everywhere()
    known = attained_slope(capture, region)
    posed = Problem.pose(capture.graph, region, Norm.L2, Norm.L2, NormOptions())
    for method in METHODS:
        check_method(method_named(method), capture, region, seconds=1, attained=known, posed=posed)


SHIPPED = [pytest.param(name, marks=pytest.mark.slow) for name in zoo.names()]


@pytest.mark.parametrize("name", [*NETWORKS, *SHIPPED])
def test_never_above_autolip(name: str) -> None:
    """What starts from the product of norms does not end above it, however short the time."""
    if name in NETWORKS:
        capture = NETWORKS[name]
    else:
        model, inputs = zoo.load(name)
        capture = capture_model(model, inputs)
    region = (
        Ball(capture.example.double(), 0.05, Norm.LINF)
        if name == "digits-attention"
        else Everywhere()
    )
    posed = Problem.pose(capture.graph, region, Norm.L2, Norm.L2, NormOptions())
    for norm in (Norm.L2, Norm.LINF) if name in NETWORKS else (Norm.L2,):
        for seconds in (0.0, 1.0):
            asked = replace(posed, p=norm, q=norm).with_own_norms()
            problem = asked.with_budget(Budget.of(seconds))
            product = value(method_named("autolip"), problem)
            for method in (
                "layerwise",
                "rescaled",
                "liplt",
                *(() if name in NETWORKS else ("lipsdp",)),
            ):
                found = value(method_named(method), problem)
                assert found is None or (product is not None and found <= product * (1 + 1e-12))


def value(method: Method, problem: Problem) -> float | None:
    """None where it refuses."""
    found = method.accepts(problem) or method.bound(problem)
    return (
        found.value.value if isinstance(found, Bound) and isinstance(found.value, Upper) else None
    )


@dataclass(frozen=True)
class TooSmall(AutoLip):
    """A method with a mistake in it."""

    def bound(self, problem: Problem) -> Bound:
        found = super().bound(problem)
        assert isinstance(found, Bound) and isinstance(found.value, Upper)
        return Bound(Upper(found.value.value * 0.05))


def test_the_law_sees_a_bound_that_is_too_small() -> None:
    with pytest.raises(LawViolation, match="but the network attains"):
        check_method(TooSmall(), NETWORKS["chain-ReLU"], Everywhere())
