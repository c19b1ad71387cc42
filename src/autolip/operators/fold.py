"""One pass through a composite operator, with anything in place of the vectors."""

from collections.abc import Callable, Sequence

from autolip.operators.algebra import Composition, Sum
from autolip.operators.block import Block
from autolip.operators.operator import Operator, V

COMPOSITES = (Block, Composition, Sum)
"""Operators made of others."""


def fold(
    operator: Operator, x: V, leaf: Callable[[Operator, V], V], add: Callable[[Sequence[V]], V]
) -> V:
    """`operator.fold`."""
    return operator.fold(x, leaf, add)
