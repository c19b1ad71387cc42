"""SeqLip's inner problem by LipSDP: between the exact maximum and the product of norms.

Covers autolip.methods.seqlip.inner.treatments too.
"""

import pytest

from autolip.budget import Budget
from autolip.methods.seqlip import enumerate_patterns, relax
from autolip.methods.seqlip.inner.relaxed import product_bound
from autolip.methods.seqlip.inner.treatments import INNER, Limits
from autolip.values import Certainty, Upper


def test_between_the_exact_maximum_and_the_product(inner):
    found = INNER["sdp"](*inner.parts(), Limits(budget=Budget.of(1)))
    reference, _ = enumerate_patterns(*inner.parts())
    assert isinstance(found.value, Upper) and found.value.certainty is Certainty.PROVED
    assert reference.value * (1 - 1e-12) <= found.value.value <= product_bound(*inner.parts()).value


def test_the_same_relaxation_as_by_newton(pair_of):
    """The multipliers of `relax` are those of the same semidefinite program, solved otherwise."""
    inner = pair_of(10, 12, 9, 3)
    assert INNER["sdp"](*inner.parts(), Limits()).value.value == pytest.approx(
        relax(*inner.parts()).value, rel=2e-3
    )
