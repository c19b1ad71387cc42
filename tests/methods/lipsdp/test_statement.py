"""Statements: the same claim at another value."""

import pytest
import torch

from autolip.methods.lipsdp.proof.prove import by_factorisation
from autolip.methods.lipsdp.statement import Proved
from tests.methods.lipsdp.proof.test_lifted_map import statement


@pytest.mark.parametrize("norm", ["l2", "linf:l2"])
def test_multipliers_as_the_square_of_the_value_prove_as_much_more(norm: str) -> None:
    """H and |y|^2 alone do not scale alike: the bound of four times the multipliers is at most
    twice the bound, and the weights of the input follow."""
    made = statement(norm)
    twice = made.regraded(2 * made.value, lambda name: 4.0)
    assert twice.value == 2 * made.value and twice.relaxation is made.relaxation
    for name, lam in made.multipliers.items():
        assert torch.equal(twice.multipliers[name], 4 * lam)
    if made.inputs is not None:
        assert twice.inputs is not None and torch.equal(twice.inputs, 4 * made.inputs)
    plain, more = by_factorisation(made), by_factorisation(twice)
    assert isinstance(plain, Proved) and isinstance(more, Proved)
    assert plain.bound.value <= more.bound.value <= 2 * plain.bound.value * (1 + 1e-9)


def test_factors_are_by_name() -> None:
    made = statement()
    first, second = made.multipliers
    changed = made.regraded(made.value, {first: 3.0, second: 1.0}.__getitem__)
    assert torch.equal(changed.multipliers[first], 3 * made.multipliers[first])
    assert torch.equal(changed.multipliers[second], made.multipliers[second])
