"""Running a captured graph: the network's value, by the very ATen calls that were captured."""

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.graph.graph import Graph, Node
from autolip.operators.operator import DTYPE


def evaluate(graph: Graph, x: Float[Tensor, "*shape"]) -> Tensor:
    """f(x) for one input of the graph's shape; differentiable, and mappable by `torch.vmap`."""
    if graph.constant is not None:
        return graph.constant
    values: dict[str, Tensor] = {graph.input: x}
    last_use = _last_uses(graph)
    for node in graph.nodes:
        values[node.name] = node.call(values.__getitem__)
        for name in last_use.get(node.name, ()):
            if name != graph.output:
                del values[name]
    return values[graph.output]


def evaluate_batch(graph: Graph, x: Float[Tensor, "k *shape"]) -> Float[Tensor, "k *out"]:
    """f(x_i) for every member of a batch."""
    if graph.constant is not None:
        return graph.constant.expand(x.shape[0], *graph.constant.shape)
    return torch.vmap(lambda one: evaluate(graph, one))(x)


def trace_shapes(graph: Graph) -> dict[str, torch.Size]:
    """The shape of every node's value, by one evaluation at zero."""
    zeros = torch.zeros(graph.input_shape, dtype=DTYPE)
    values = {graph.input: zeros}
    for node in graph.nodes:
        values[node.name] = node.call(values.__getitem__)
    return {name: value.shape for name, value in values.items()}


def _last_uses(graph: Graph) -> dict[str, list[str]]:
    """For every node, the names whose values nobody needs after it."""
    last: dict[str, Node] = {}
    for node in graph.nodes:
        for name in node.operands():
            last[name] = node
    uses: dict[str, list[str]] = {}
    for name, node in last.items():
        uses.setdefault(node.name, []).append(name)
    return uses
