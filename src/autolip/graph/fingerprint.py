"""What a captured network is, in a few characters."""

import hashlib
from collections.abc import Iterator

import numpy as np
from torch import Tensor
from torch.utils import _pytree as pytree

from autolip.graph.graph import Graph


def constants(graph: Graph) -> Iterator[Tensor]:
    """The tensors that the network computes with, in order."""
    for node in graph:
        leaves = pytree.tree_leaves((node.args, node.kwargs))
        yield from (leaf for leaf in leaves if isinstance(leaf, Tensor))


def size_of(graph: Graph) -> int:
    """How many numbers those are."""
    return sum(tensor.numel() for tensor in constants(graph))


def fingerprint(graph: Graph) -> str:
    """SHA-256 of the operations with their arguments and constants, as hexadecimal digits.

    Two captures of one model agree; another weight, shape or operation gives another one.
    """
    total = hashlib.sha256(repr((graph.input, tuple(graph.input_shape), graph.output)).encode())
    for node in graph:
        arguments = pytree.tree_map_only(Tensor, _described, (node.args, node.kwargs))
        total.update(repr((node.name, str(node.target), arguments, node.pick)).encode())
    held = list(constants(graph)) if graph.constant is None else [graph.constant]
    for tensor in held:
        total.update(np.ascontiguousarray(tensor.detach().cpu().numpy()).tobytes())
    return total.hexdigest()


def _described(tensor: Tensor) -> str:
    return f"{tensor.dtype} {tuple(tensor.shape)}"
