"""One pass through a composite operator, with anything in place of the vectors."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from autolip.operators.algebra import Composition, Sum
from autolip.operators.block import Block
from autolip.operators.operator import Adjoint, Operator

V = TypeVar("V")

COMPOSITES = (Block, Composition, Sum)
"""Operators made of others."""


def fold(
    operator: Operator, x: V, leaf: Callable[[Operator, V], V], add: Callable[[Sequence[V]], V]
) -> V:
    """What the operator makes of x, if its leaves act by `leaf` and sums of images are `add`.

    With products and sums of vectors this is A x; with norms it is the triangle inequality over all
    paths.
    """
    if isinstance(operator, Adjoint) and isinstance(operator.operator, COMPOSITES):
        return fold(operator.operator.T, x, leaf, add)
    if isinstance(operator, Composition):
        for factor in reversed(operator.factors):
            x = fold(factor, x, leaf, add)
        return x
    if isinstance(operator, Sum):
        return add([fold(part, x, leaf, add) for part in operator.parts])
    if isinstance(operator, Block):
        return _fold_block(operator, x, leaf, add)
    return leaf(operator, x)


def _fold_block(
    block: Block, x: V, leaf: Callable[[Operator, V], V], add: Callable[[Sequence[V]], V]
) -> V:
    values = {block.source: x}
    for link in block.links:
        term = fold(link.operator, values[link.source], leaf, add)
        values[link.target] = add([values[link.target], term]) if link.target in values else term
    return values[block.sink] if block.sink in values else leaf(block.zero, x)
