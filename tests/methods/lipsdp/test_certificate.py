"""Statements as facts: what is raised so that the check can see it, and several outputs as one."""

import pytest
import torch

from autolip.certificates import EntriesFact, QuadraticFact
from autolip.methods.lipsdp.certificate import (
    LARGEST_FACTORISED,
    SEEN,
    certified,
    fact_of,
    order_of,
)
from autolip.methods.lipsdp.proof.prove import by_factorisation
from autolip.methods.lipsdp.statement import Proved
from autolip.norms import Norm
from tests.methods.lipsdp.conftest import mlp, pose, relaxed
from tests.methods.lipsdp.proof.test_lifted_map import statement
from tests.methods.lipsdp.relaxation.test_elimination import network


@pytest.mark.parametrize(("largest", "by"), [(LARGEST_FACTORISED, "cholesky"), (0, "lanczos")])
def test_the_value_is_raised_by_what_its_check_needs(largest: int, by: str) -> None:
    made = statement()
    fact = fact_of(made, Norm.L2, largest)
    assert fact.by == by and made.value < fact.value <= made.value * (1 + 1.01 * SEEN)
    ratio = fact.value / made.value
    for name, lam in made.multipliers.items():
        torch.testing.assert_close(fact.multipliers[name], lam * ratio)


@pytest.mark.parametrize("norm", ["l2", "linf:l2", "linf:l1"])
def test_the_inputs_weights_add_up_to_no_more_than_the_square(norm: str) -> None:
    proved = by_factorisation(statement(norm))
    assert isinstance(proved, Proved)
    fact = fact_of(proved.statement, Norm.L2, LARGEST_FACTORISED)
    assert 0 < float(fact.inputs.sum()) * float(fact.outputs.sum()) <= fact.value**2


def test_a_neuron_without_a_multiplier_gets_a_small_one() -> None:
    made = statement()
    name = next(iter(made.multipliers))
    made.multipliers[name] = made.multipliers[name].clone()
    made.multipliers[name][..., 0] = 0.0
    lam = fact_of(made, Norm.L2, LARGEST_FACTORISED).multipliers[name]
    assert 0 < float(lam[..., 0]) < float(lam[..., 1:].min())


def test_several_outputs_are_one_fact_with_the_largest_value() -> None:
    made = [network("dense", seed) for seed in range(2)]
    (fact,) = certified(made[0].relaxation.graph, made, Norm.LINF).facts
    assert isinstance(fact, EntriesFact) and len(fact.entries) == 2
    assert fact.value == max(one.value for one in fact.entries)
    (single,) = certified(made[0].relaxation.graph, made[:1], Norm.L2).facts
    assert isinstance(single, QuadraticFact)


def test_the_order_leaves_out_what_is_eliminated() -> None:
    """Of a chain every second layer, the wider ones first: the first one, and t."""
    assert order_of(relaxed(pose(mlp(4, 9, 8, 3), (1, 4)))) == 4 + 8
