"""Which way a statement goes through its proof, and what is refused on it."""

import math
from dataclasses import replace

import pytest

from autolip.budget import SPENT
from autolip.errors import Refusal
from autolip.methods.lipsdp.proof import prove as proof
from autolip.methods.lipsdp.proof.prove import by_factorisation, by_norm, by_recursion, prove
from autolip.methods.lipsdp.relaxation.constraint import STEEPEST
from autolip.methods.lipsdp.statement import Proved, Statement
from autolip.operators.norms import NormOptions
from autolip.values import Certainty, Upper
from tests.methods.lipsdp.proof.test_lifted_map import MARGIN, statement
from tests.methods.lipsdp.relaxation.test_elimination import network

ASKED = NormOptions()


def bound(made: Proved | Refusal) -> Upper:
    assert isinstance(made, Proved), made
    assert made.statement.value == made.bound.value
    return made.bound


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ways that are gone, by name."""
    names = list[str]()
    for name in ("by_recursion", "by_factorisation", "by_norm"):
        way = getattr(proof, name)

        def gone(*given: object, way: object = way, name: str = name) -> object:
            names.append(name)
            return way(*given)  # type: ignore[operator]

        monkeypatch.setattr(proof, name, gone)
    return names


def test_all_ways_prove_the_same_statement() -> None:
    """The recursion the least, as it takes every ellipsoid as small as it finds it; the norm most,
    as it cannot use the margin up."""
    made = statement()
    least, middle = bound(by_recursion(made)).value, bound(by_factorisation(made)).value
    assert least <= middle * (1 + 1e-9)
    assert middle <= bound(by_norm(made, MARGIN, ASKED)).value * (1 + 1e-9) <= least * 1.03


def test_a_chain_that_proves_what_was_foreseen_is_enough(taken: list[str]) -> None:
    assert bound(prove(statement(), MARGIN, ASKED)).certainty is Certainty.PROVED
    assert taken == ["by_recursion"]


def test_where_it_proves_less_h_is_factorised_too(taken: list[str]) -> None:
    """And the smaller of the two is what is proved."""
    made = statement()
    ambitious = replace(made, value=made.value / 1.1)
    found = bound(prove(ambitious, MARGIN, ASKED)).value
    assert taken == ["by_recursion", "by_factorisation"]
    assert found == min(
        bound(by_recursion(ambitious)).value, bound(by_factorisation(ambitious)).value
    )


def test_a_network_that_is_no_chain_is_factorised(taken: list[str]) -> None:
    bound(prove(network("leaky", 0), MARGIN, ASKED))
    assert taken == ["by_factorisation"]
    refused = by_recursion(network("leaky", 0))
    assert isinstance(refused, Refusal) and "chain" in str(refused)


def test_without_time_for_either_it_is_a_norm(taken: list[str]) -> None:
    bound(prove(statement(), MARGIN, replace(ASKED, budget=SPENT)))
    assert taken == ["by_norm"]


def test_only_proofs_count_where_that_is_asked(taken: list[str]) -> None:
    asked = replace(ASKED, proved_only=True, budget=SPENT)
    refused = prove(statement(), MARGIN, asked)
    assert isinstance(refused, Refusal) and "more than was left" in str(refused) and not taken


def test_what_is_too_large_to_be_factorised_says_how_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(proof, "LARGEST_FORM", 3)
    refused = prove(network("leaky", 0), MARGIN, replace(ASKED, proved_only=True))
    assert isinstance(refused, Refusal) and "only up to 3" in str(refused)


@pytest.mark.parametrize("value", [2 * STEEPEST, 0.5 / STEEPEST, math.nan])
def test_values_at_the_ends_of_floating_point_are_refused(value: float) -> None:
    made: Statement = replace(statement(), value=value)
    assert isinstance(prove(made, MARGIN, ASKED), Refusal)


def test_multipliers_that_prove_nothing_are_refused_with_the_reason(taken: list[str]) -> None:
    made = statement()
    first = next(iter(made.multipliers))
    wrong = made.multipliers | {first: made.multipliers[first] * 0}
    refused = prove(replace(made, multipliers=wrong), MARGIN, ASKED)
    assert isinstance(refused, Refusal) and "not positive" in str(refused)
    assert taken == ["by_recursion", "by_factorisation"]
