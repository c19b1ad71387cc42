"""How much work a captured graph is, by counting."""

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from autolip.graph.graph import Graph, Node, Ref

aten = torch.ops.aten

A_MULTIPLY_ADD, A_NUMBER, AN_OPERATION = 4e-10, 5e-9, 1e-6
"""Tuned: about the seconds that a pass in a batch takes on two ordinary cores for each multiply-add
of the forward pass, each number that it computes, and each operation."""

CONVOLUTIONS = frozenset({aten.convolution, aten.conv1d, aten.conv2d, aten.conv3d})
TRANSPOSED = frozenset({aten.conv_transpose1d, aten.conv_transpose2d, aten.conv_transpose3d})
PRODUCTS = frozenset(
    {aten.linear, aten.mm, aten.bmm, aten.matmul, aten.mv, aten.dot, aten.vdot, aten.inner}
)
PRODUCTS_ADDED = frozenset({aten.addmm, aten.baddbmm, aten.addmv})
MULTIPLYING = CONVOLUTIONS | TRANSPOSED | PRODUCTS | PRODUCTS_ADDED
SUMMING = frozenset(
    {
        aten.sum,
        aten.mean,
        aten.cumsum,
        aten.avg_pool1d,
        aten.avg_pool2d,
        aten.avg_pool3d,
        aten.adaptive_avg_pool1d,
        aten.adaptive_avg_pool2d,
        aten.adaptive_avg_pool3d,
    }
)


def packet_of(node: Node) -> object:
    """The ATen operation without its overload."""
    return getattr(node.target, "overloadpacket", None)


def terms(node: Node, shapes: dict[str, torch.Size]) -> int:
    """At most this many numbers are added into one entry of the result; 1 for what is no sum of
    products."""
    packet = packet_of(node)
    operands = _operands(node, shapes)
    if packet in SUMMING:
        return max(1, operands[0].numel())
    if packet in PRODUCTS:
        return 1 + operands[0][-1]
    if packet in PRODUCTS_ADDED:
        return 1 + operands[1][-1]
    if packet in CONVOLUTIONS | TRANSPOSED:
        swapped = packet in TRANSPOSED or (packet is aten.convolution and node.args[6])
        return 1 + operands[1].numel() // max(1, operands[1][1 if swapped else 0])
    return 1


def multiply_adds(graph: Graph) -> float:
    """Multiply-adds of one forward pass."""
    shapes = graph.shapes
    return float(
        sum(
            node.shape.numel() * terms(node, shapes)
            for node in graph
            if packet_of(node) in MULTIPLYING
        )
    )


def numbers(graph: Graph) -> int:
    """How many numbers one forward pass computes."""
    return graph.input_shape.numel() + sum(node.shape.numel() for node in graph)


def seconds_per_pass(graph: Graph) -> float:
    """A forecast of the seconds of a pass in a batch: the same on every machine."""
    calls = AN_OPERATION * len(graph.nodes)
    return A_MULTIPLY_ADD * multiply_adds(graph) + A_NUMBER * numbers(graph) + calls


def _operands(node: Node, shapes: dict[str, torch.Size]) -> list[torch.Size]:
    leaves = pytree.tree_leaves(
        (node.args, node.kwargs), is_leaf=lambda leaf: isinstance(leaf, Ref)
    )
    tensors = (leaf for leaf in leaves if isinstance(leaf, (Ref, Tensor)))
    return [shapes[leaf.name] if isinstance(leaf, Ref) else leaf.shape for leaf in tensors]
