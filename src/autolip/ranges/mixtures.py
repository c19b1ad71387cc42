"""A mixture (1 - z) b + z a, z between 0 and 1, lies between a and b.

Gates of recurrent networks write it b + z (a - b), of which interval arithmetic sees b twice: the
state of a GRU, never beyond 1, would grow from step to step.
"""

from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

import torch
from torch import Tensor

from autolip.graph.graph import Node, Ref
from autolip.intervals import Interval
from autolip.ranges.prefix import Prefix

aten = torch.ops.aten

SUM, DIFFERENCE, PRODUCT = aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor


def mixed(node: Node, known: Mapping[str, Node], prefix: Prefix) -> Interval | None:
    """Where a mixture of two values, of which a may be a constant, lies; None where the operation
    is none.

    `known` are the operations before it, by name.
    """
    for b, product in _either_order(node, SUM):
        for difference, z in _either_order(known.get(product.name), PRODUCT):
            a = _less(known.get(difference.name), b, prefix)
            if a is not None and _is_share(prefix.ranges[z.name]):
                return _hull(a, prefix.ranges[b.name], node)
    return None


def _either_order(node: Node | None, target: Any) -> Iterator[tuple[Ref, Ref]]:
    """Both operands of such an operation, in either order."""
    if not _is_plain(node, target):
        return
    match node.args:
        case (Ref() as x, Ref() as y):
            yield x, y
            yield y, x


def _less(node: Node | None, b: Ref, prefix: Prefix) -> Interval | None:
    """Where a lies, where the operation is a - b."""
    if not _is_plain(node, DIFFERENCE):
        return None
    match node.args:
        case (Ref() as a, Ref() as subtracted) if subtracted == b:
            return prefix.ranges[a.name]
        case (Tensor() as a, Ref() as subtracted) if subtracted == b:
            return Interval(a, a)
    return None


def _is_plain(node: Node | None, target: Any) -> TypeGuard[Node]:
    """Whether it is that operation, without a factor or a choice of results."""
    return node is not None and node.target is target and not node.kwargs and not node.pick


def _is_share(z: Interval) -> bool:
    return bool((z.lo >= 0).all() and (z.hi <= 1).all())


def _hull(a: Interval, b: Interval, node: Node) -> Interval | None:
    """What contains both; None where one is of another shape."""
    if a.shape != node.shape or b.shape != node.shape:
        return None
    lo = torch.minimum(a.lo, b.lo)
    hi = torch.maximum(a.hi, b.hi)
    return Interval(lo, hi)
