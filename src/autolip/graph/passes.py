"""Rewrites of a captured graph that leave its function as it is."""

from dataclasses import replace

import torch
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
