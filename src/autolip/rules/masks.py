"""Scores of a softmax before its mask.

A mask puts minus infinity where an entry may not count, by a sum, `masked_fill` or `where`.  What
differences of scores need is what was there before, all of it finite, and which entries count.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from autolip.graph.graph import Node, Ref

aten = torch.ops.aten

LEVEL = 100.0
"""Chosen: how far finite masks may be apart, so that powers of differences stay in range."""


@dataclass(frozen=True)
class Scores:
    """x + shift where `kept`, minus infinity elsewhere; None for all kept and for no shift."""

    x: Ref
    kept: Bool[Tensor, "*shape"] | None = None
    shift: Float[Tensor, "*shape"] | None = None


def scores_of(x: Ref, node: Node | None) -> Scores | None:
    """What `node` masks to give x, or x itself where it masks nothing; None where powers of
    differences might leave the range."""
    read = None if node is None else MASKS.get(node.target)
    if node is None or read is None:
        return Scores(x)
    found = read(x, *node.args, **node.kwargs)
    if found is None or found.kept is None:
        return found
    return Scores(found.x, found.kept.broadcast_to(node.shape), found.shift)


def _summed(x: Ref, a: Any, b: Any, *, alpha: float = 1) -> Scores | None:
    """Scores and a mask: of minus infinity, and of numbers that are near each other."""
    masked, mask = (a, b) if isinstance(a, Ref) else (b, a)
    if not isinstance(mask, Tensor):
        return Scores(x)
    if alpha != 1:
        return None
    kept = mask != -torch.inf
    shift = mask.where(kept, 0.0)
    level = shift.isfinite().all() and shift.amax() - shift.amin() <= LEVEL
    if not level:
        return None
    return Scores(masked, None if kept.all() else kept, shift if shift.any() else None)


def _filled(x: Ref, a: Any, mask: Any, value: Any) -> Scores | None:
    return _chosen(x, mask, value, a)


def _chosen(x: Ref, mask: Any, a: Any, b: Any) -> Scores | None:
    """a where the mask is true, else b: of which one is minus infinity."""
    if not isinstance(mask, Tensor):
        return None
    for scores, other, kept in ((a, b, mask), (b, a, ~mask)):
        if isinstance(scores, Ref) and not isinstance(other, Ref):
            off = torch.as_tensor(other, dtype=torch.float64) == -torch.inf
            return Scores(scores, kept) if bool(off.all()) else None
    return None


MASKS: dict[Callable[..., Any], Callable[..., Scores | None]] = {
    aten.add.Tensor: _summed,
    aten.masked_fill.Scalar: _filled,
    aten.masked_fill.Tensor: _filled,
    aten.where.self: _chosen,
    aten.where.ScalarOther: _chosen,
    aten.where.ScalarSelf: _chosen,
}
"""Operations that may mask, and how they are read: given the result's name and their arguments."""
