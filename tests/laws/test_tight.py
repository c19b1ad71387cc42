"""Every method, norm engine and lower search on the networks and operators whose constants are
known.

Covers autolip.testing.tight, autolip.testing.tight_methods, autolip.testing.tight_ratios and the
constants of autolip.testing.tight_networks, autolip.testing.tight_functions and
autolip.testing.tight_operators; and, as engines that are tried on all operators,
autolip.operators.norms.composite.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest

from autolip.errors import Refusal
from autolip.lower import LOWER_METHODS, Ascent, lower_named
from autolip.methods import METHODS, AutoLip, Bound, Problem, method_named
from autolip.operators.norms.engine import ENGINES, Engine
from autolip.testing import (
    LawViolation,
    Tight,
    check_tight,
    check_tight_engine,
    check_tight_search,
    check_tight_somewhere,
    tight_operators,
)
from autolip.testing.tight_functions import tight_functions
from autolip.testing.tight_networks import tight_compositions
from autolip.values import Upper

NETWORKS = {network.name: network for network in tight_compositions()}
FUNCTIONS = {network.name: network for network in tight_functions()}
EVERYTHING = (*NETWORKS.values(), *FUNCTIONS.values())
NAMES = [network.name for network in EVERYTHING]
OPERATORS = tight_operators()

LONGER = "exact", "lipsdp", "lipsdp-cvxpy", "seqlip-sdp", "through-l2"
"""Methods that solve semidefinite programs, themselves or by their members."""

ESTIMATES = "seqlip-published", "seqlip-greedy"
"""Methods that give no bound."""

DEFAULT_SEARCH = "ascent"
"""Tried longer, in every norm."""

slow = pytest.mark.slow


def other_norms(network: Tight) -> list[str]:
    """Two pairs of norms besides l2, others for every network."""
    rest = [norm for norm in network.norms if norm != "l2"]
    turn = NAMES.index(network.name)
    return [rest[(turn + step) % len(rest)] for step in (0, 3)] if rest else []


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_methods_on_known_constants(network: Tight) -> None:
    for title in METHODS:
        if title not in LONGER + ESTIMATES:
            for norm in (
                "l2",
                *(other_norms(network) if title in ("autolip", "liplt", "nonnegative") else ()),
            ):
                check_tight(method_named(title), network, norm)


@pytest.mark.parametrize("network", FUNCTIONS.values(), ids=FUNCTIONS)
def test_activations_on_both_sides_of_their_constants(network: Tight) -> None:
    check_tight(method_named("autolip"), network)


@slow
@pytest.mark.parametrize("title", METHODS)
def test_every_method_on_everything(title: str) -> None:
    for network in EVERYTHING:
        others = ["linf:l2"] if title in LONGER else other_norms(network)
        for norm in ["l2", *others]:
            if norm in network.norms:
                check_tight(method_named(title), network, norm)


@pytest.mark.parametrize("title", METHODS)
def test_every_method_is_tight_somewhere(title: str) -> None:
    """Otherwise a bound of this method that is a few per cent too small could pass unseen."""
    check_tight_somewhere(method_named(title), EVERYTHING)


@pytest.mark.parametrize(
    "engine", ENGINES.values(), ids=lambda e: f"{e.name} {e.p.value}:{e.q.value}"
)
def test_every_engine_is_an_upper_bound_and_somewhere_tight(engine: Engine) -> None:
    excesses = [check_tight_engine(engine, operator) for operator in OPERATORS]
    assert min(excess for excess in excesses if excess is not None) <= 1 + 1e-3


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_the_default_search_finds_the_constant(network: Tight) -> None:
    ratio = network.within.get("lower", 1.01)
    check_tight_search(Ascent(passes=6000, starts=16), network, ratio=ratio)


@slow
@pytest.mark.parametrize("network", EVERYTHING, ids=lambda network: network.name)
def test_the_default_search_on_everything(network: Tight) -> None:
    ratio = network.within.get("lower", 1.01)
    for norm in ("l2", *other_norms(network)):
        if norm in network.norms:
            check_tight_search(Ascent(passes=10_000), network, norm, ratio=ratio)


@slow
@pytest.mark.parametrize("name", [name for name in LOWER_METHODS if name != DEFAULT_SEARCH])
def test_every_search_stays_below(name: str) -> None:
    search = lower_named(name)
    quick = replace(search, seconds=0.05) if hasattr(search, "seconds") else search  # type: ignore[type-var]
    for network in EVERYTHING[list(LOWER_METHODS).index(name) % 3 :: 3]:
        check_tight_search(quick, network)


@dataclass(frozen=True)
class Scaled(AutoLip):
    """A method whose bound is off by a factor."""

    factor: float = 1.0

    def bound(self, problem: Problem) -> Bound | Refusal:
        found = super().bound(problem)
        assert isinstance(found, Bound) and isinstance(found.value, Upper)
        return Bound(Upper(found.value.value * self.factor))

    @property
    def title(self) -> str:
        return "autolip"


@dataclass(frozen=True)
class Unknown(Scaled):
    """One for which the zoo states nothing."""

    @property
    def title(self) -> str:
        return "unknown"


@dataclass(frozen=True)
class Stating(Unknown):
    """One that states itself where it is tight."""

    tight: ClassVar[Mapping[str, float]] = {"one sign": 2.0, "five neurons in a row": 1.001}


@dataclass(frozen=True)
class Silent(Unknown):
    """One that knows nothing of one neuron."""

    def bound(self, problem: Problem) -> Bound | Refusal:
        return Refusal("too small")


def test_a_method_of_which_nothing_is_stated_is_tried_on_one_neuron() -> None:
    check_tight_somewhere(Unknown(), EVERYTHING)
    with pytest.raises(LawViolation, match=r"unknown claims .*the constant of one neuron"):
        check_tight_somewhere(Unknown(factor=0.999), EVERYTHING)
    with pytest.raises(LawViolation, match=r"unknown says .* more than 1.02 times"):
        check_tight_somewhere(Unknown(factor=1.03), EVERYTHING)
    with pytest.raises(LawViolation, match=r"nothing about one neuron .*: too small; state in"):
        check_tight_somewhere(Silent(), EVERYTHING)


def test_what_a_method_states_itself_is_held_against_it() -> None:
    network = NETWORKS["five neurons in a row"]
    assert network.stated(Stating(), "l2") == 1.001
    check_tight_somewhere(Stating(), [network])
    with pytest.raises(LawViolation, match=r"more than 1.001 times"):
        check_tight(Stating(factor=1.01), network)


def test_a_bound_that_is_too_small_or_too_large_is_seen() -> None:
    network = NETWORKS["one neuron"]
    with pytest.raises(
        LawViolation, match=r"autolip claims 5.9.*the constant of one neuron \(l2\) is 6.0"
    ):
        check_tight(Scaled(factor=1 - 1e-9), network)
    with pytest.raises(LawViolation, match="more than"):
        check_tight(Scaled(factor=1.01), network)


def test_an_engine_that_loses_a_unit_in_the_last_place_is_seen() -> None:
    short = replace(
        ENGINES["columns", "l1", "l1"], function=lambda operator, options: Upper(4.999999999999999)
    )
    with pytest.raises(LawViolation, match="columns"):
        check_tight_engine(
            short, next(operator for operator in OPERATORS if operator.name == "a turn")
        )


def test_a_search_that_claims_too_much_is_seen() -> None:
    wrong = replace(
        NETWORKS["one neuron"], maps=tuple(m * 0.999 for m in NETWORKS["one neuron"].maps)
    )
    with pytest.raises(LawViolation, match="but the constant"):
        check_tight_search(Ascent(passes=2000), wrong)
