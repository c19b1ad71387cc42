"""Every operator of the tight zoo, and every example that a class of operators gives, is one
matrix."""

import pytest

from autolip.operators.operator import Operator
from autolip.testing import TightOperator, check_operator, tight_operators
from autolip.testing.operators import operator_kinds

OPERATORS = tight_operators()
EXTREME = "huge", "tiny", "subnormal", "graded"
"""Operators whose products leave the range in which rounding is relative."""


@pytest.mark.parametrize("tight", OPERATORS, ids=lambda tight: tight.name)
def test_every_example_is_one_matrix(tight: TightOperator) -> None:
    if tight.name not in EXTREME:
        check_operator(tight.operator)


@pytest.mark.parametrize("kind", operator_kinds(), ids=lambda kind: kind.__name__)
def test_every_class_of_operators_has_an_example(kind: type[Operator]) -> None:
    assert any(isinstance(tight.operator, kind) for tight in OPERATORS), (
        f"{kind.__name__} has no example: give the class `examples`, its laws run on them"
    )


@pytest.mark.parametrize("kind", operator_kinds(), ids=lambda kind: kind.__name__)
def test_every_class_of_operators_says_what_it_is(kind: type[Operator]) -> None:
    assert kind.__doc__, f"{kind.__name__} has no docstring: write the map"
