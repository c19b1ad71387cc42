"""Rewrites of a captured graph that leave its function as it is."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from autolip.graph.composites import silu_backward
from autolip.graph.graph import Graph, Node, Ref

aten = torch.ops.aten

BROADCASTING = frozenset(
    {
        aten.mul.Tensor,
        aten.div.Tensor,
        aten.maximum.default,
        aten.minimum.default,
        aten.pow.Tensor_Tensor,
        aten.hypot.default,
        aten.atan2.default,
        aten.arctan2.default,
        aten.copysign.Tensor,
        silu_backward,
        aten.gelu_backward.default,
    }
)
"""Operations on two varying tensors whose rules want them in one shape."""


def with_mixtures(graph: Graph) -> Graph:
    """Mixtures (1 - z) b + z a as b + z (a - b), which read z once: their ranges lie between those
    of a and b, whatever z is (`ranges.mixtures`)."""
    known = {node.name: node for node in graph.nodes}
    shapes = graph.shapes
    nodes: list[Node] = []
    for node in graph.nodes:
        found = _mixture(node, known)
        if found is None or any(shapes[part.name] != node.shape for part in found):
            nodes.append(node)
            continue
        z, a, b = found
        apart = Ref(f"{node.name}.apart")
        moved = Ref(f"{node.name}.moved")
        for name, target, args in (
            (apart.name, aten.sub.Tensor, (a, b)),
            (moved.name, aten.mul.Tensor, (z, apart)),
            (node.name, aten.add.Tensor, (b, moved)),
        ):
            nodes.append(Node(name, target, args, node.shape, place=node.place))
    return replace(graph, nodes=tuple(nodes)).pruned()


def _mixture(node: Node, known: dict[str, Node]) -> tuple[Ref, Ref, Ref] | None:
    """z, a and b of a mixture (1 - z) b + z a, in any order."""
    for left, right in _orders(node, aten.add.Tensor):
        for share, b in _orders(known.get(left.name), aten.mul.Tensor):
            z = _complement(known.get(share.name))
            for same, a in _orders(known.get(right.name), aten.mul.Tensor):
                if z is not None and same == z:
                    return z, a, b
    return None


def _orders(node: Node | None, target: Any) -> list[tuple[Ref, Ref]]:
    """Both operands of such an operation on two values, in either order."""
    if node is None or node.target is not target or node.kwargs:
        return []
    match node.args:
        case (Ref() as one, Ref() as two):
            return [(one, two), (two, one)]
    return []


def _complement(node: Node | None) -> Ref | None:
    """z, where the operation is 1 - z."""
    if node is None or node.kwargs:
        return None
    match node.target, node.args:
        case (aten.rsub.Scalar, (Ref() as z, one)) | (aten.sub.Tensor, (one, Ref() as z)):
            return z if _is_one(one) else None
    return None


def _is_one(value: Any) -> bool:
    if isinstance(value, Tensor):
        return bool((value == 1).all())
    return isinstance(value, int | float) and value == 1


def explicit_broadcasts(graph: Graph) -> Graph:
    """Every implicit broadcast of a varying operand of these operations as a node of its own."""
    shapes = graph.shapes
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.target in BROADCASTING and len(node.operands()) > 1:
            grown = {
                name: f"{node.name}_{name}_expanded"
                for name in node.operands()
                if shapes[name] != node.shape
            }
            for name, new in grown.items():
                nodes.append(
                    Node(
                        new,
                        aten.expand.default,
                        (Ref(name), list(node.shape)),
                        node.shape,
                        place=node.place,
                    )
                )
            node = _renamed(node, grown)
        nodes.append(node)
    return replace(graph, nodes=tuple(nodes))


def _renamed(node: Node, names: dict[str, str]) -> Node:
    def rename(leaf: object) -> object:
        return Ref(names.get(leaf.name, leaf.name)) if isinstance(leaf, Ref) else leaf

    args, kwargs = pytree.tree_map(
        rename, (node.args, node.kwargs), is_leaf=lambda leaf: isinstance(leaf, Ref)
    )
    return replace(node, args=args, kwargs=kwargs)
