"""The captured graph, rewritten so that automatic differentiation and `torch.vmap` see all of
it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from autolip.graph.graph import Graph, Node, Ref

aten = torch.ops.aten

RENAMED = {
    aten.detach.default: aten.alias.default,
    aten.view.default: aten.reshape.default,
    aten._unsafe_view.default: aten.reshape.default,
}

STEEP = frozenset(
    {
        aten.acos,
        aten.acosh,
        aten.asin,
        aten.atan2,
        aten.atanh,
        aten.cosh,
        aten.div,
        aten.exp,
        aten.exp2,
        aten.expm1,
        aten.log,
        aten.log10,
        aten.log1p,
        aten.log2,
        aten.pow,
        aten.reciprocal,
        aten.rsqrt,
        aten.sinh,
        aten.sqrt,
    }
)
"""Operations whose derivative can be infinite, where they are finite or in a branch that is not
taken."""


STEPS = frozenset({aten.floor_divide, aten.heaviside})
"""Operations that are constant between jumps, of which PyTorch has no derivative."""

SCATTERED = frozenset({aten.scatter, aten.scatter_add, aten.scatter_reduce})
"""Operations whose derivative PyTorch has only where all of what is put in place is used."""


class Tame(torch.autograd.Function):
    """x, whose gradient is 0 where it is not finite: one such entry spoils no other."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient.nan_to_num(0.0, 0.0, 0.0)


def differentiable(graph: Graph) -> Graph:
    """The same function without operations that hide a derivative or lack a batching rule.

    `x.detach()` is x: it changes what backpropagation reports, not the function.  Batch norm in
    evaluation mode is written as a product and a sum, and attention as matrix products, since
    `torch.vmap` runs the fused operations one sample at a time; these lay out their results in
    memory differently, hence no views.
    """
    shapes = graph.shapes
    rewritten = (new for node in graph for new in _rewritten(node, shapes))
    return replace(graph, nodes=tuple(rewritten))


def tamed(graph: Graph) -> Graph:
    """The same function; where an operation has no finite derivative its operands have the gradient
    0, as at the root of 0 and in branches that are not taken, and the others have theirs."""
    return replace(graph, nodes=tuple(new for node in graph for new in _tame(node)))


def _tame(node: Node) -> list[Node]:
    if getattr(node.target, "overloadpacket", None) not in STEEP:
        return [node]
    names = list(dict.fromkeys(node.operands()))
    before = [
        replace(node, name=f"{name}_of_{node.name}", target=Tame.apply, args=(Ref(name),))
        for name in names
    ]
    args, kwargs = node.bind(lambda name: Ref(f"{name}_of_{node.name}"))
    before = [replace(one, kwargs={}, pick=None) for one in before]
    return [*before, replace(node, args=args, kwargs=kwargs)]


def _rewritten(node: Node, shapes: Mapping[str, torch.Size]) -> list[Node]:
    packet = getattr(node.target, "overloadpacket", None)
    if node.target in RENAMED:
        return [replace(node, target=RENAMED[node.target])]
    if packet in STEPS or (packet is aten.linalg_vector_norm and node.args[1:2] == (0,)):
        return _without_derivative(node, shapes)
    if packet in SCATTERED and len(node.args) > 3 and isinstance(node.args[3], Ref):
        return _all_used(node, shapes)
    if node.target is aten._scaled_dot_product_flash_attention_for_cpu.default and node.pick == 0:
        return [_attention(node)]
    if node.target is aten._native_batch_norm_legit_no_training.default and node.pick == 0:
        return _batch_norm(node)
    return [node]


def _without_derivative(node: Node, shapes: Mapping[str, torch.Size]) -> list[Node]:
    """The same operation of operands that are no function of the input, as far as derivatives are
    concerned."""
    before = [
        Node(f"{name}_at_{node.name}", aten.detach.default, (Ref(name),), shapes[name])
        for name in dict.fromkeys(node.operands())
    ]
    args, kwargs = node.bind(lambda name: Ref(f"{name}_at_{node.name}"))
    return [*before, replace(node, args=args, kwargs=kwargs)]


def _all_used(node: Node, shapes: Mapping[str, torch.Size]) -> list[Node]:
    """The same operation of the corner of what is put in place that has the size of the index."""
    x, axis, index, source, *rest = node.args
    corners: list[Node] = []
    shape = list(shapes[source.name])
    for number, size in enumerate(index.shape):
        if shape[number] > size:
            shape[number] = size
            name = f"{node.name}_corner{number}"
            cut = (source, number, 0, size)
            corners.append(Node(name, aten.slice.Tensor, cut, torch.Size(shape), place=node.place))
            source = Ref(name)
    return [*corners, replace(node, args=(x, axis, index, source, *rest))]


def _batch_norm(node: Node) -> list[Node]:
    """x * scale + shift, with scale = weight / sqrt(var + eps) and shift = bias - mean * scale, per
    channel."""
    x, weight, bias, mean, var, _, eps = node.args
    if any(isinstance(constant, Ref) for constant in (weight, bias, mean, var)):
        return [node]
    factor = 1.0 if weight is None else weight
    scale = (var + eps).rsqrt() * factor
    start = 0.0 if bias is None else bias
    shift = start - mean * scale
    ones = [1] * (len(node.shape) - 2)
    shape = (-1, *ones)
    scaled = f"{node.name}_scaled"
    return [
        Node(scaled, aten.mul.Tensor, (x, scale.view(shape)), node.shape, place=node.place),
        Node(
            node.name,
            aten.add.Tensor,
            (Ref(scaled), shift.view(shape)),
            node.shape,
            place=node.place,
        ),
    ]


def _attention(node: Node) -> Node:
    """softmax(Q K^T * scale + mask) V, as the library itself writes it for want of a fused
    kernel."""
    query, key, value, *rest = node.args
    kwargs = dict(node.kwargs)
    mask = kwargs.pop("attn_mask", None)
    return replace(
        node,
        target=aten._scaled_dot_product_attention_math.default,
        args=(query, key, value, mask, *rest),
        kwargs=kwargs,
    )
