"""Roots of sums of squares: norms of parts, which do not grow faster than what they measure.

Let y_i = sqrt(sum_j P_ij x_j^2 + c_i), P >= 0 and c >= 0: the length of (sqrt(P_ij) x_j)_j and
sqrt(c_i).  By the triangle inequality |y_i - y_i'| <= sqrt(sum_j P_ij d_j^2), d = x - x'.  So

    |y - y'|_2 <= sqrt(|P|_1) |d|_2,          |y - y'|_inf <= sqrt(|P|_inf) |d|_inf,

|P|_1 and |P|_inf the largest sums of a column and of a row.  Taken apart, the root alone is steep
at 0 and the square everywhere.  Where squares of several values are added the same holds towards
each of them: a derivative in one of them is that of the root with the others in c.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch

from autolip.errors import Refusal
from autolip.graph.graph import Graph, Node, Ref
from autolip.graph.views import Edge, SlopeGraph, Vertex, affine_map
from autolip.intervals import Interval
from autolip.norms import Norm
from autolip.operators.norms import operator_norm
from autolip.operators.operator import Operator
from autolip.rules.rule import Operand
from autolip.slopes import Between, Gain, Slope
from autolip.values import INFINITE, ONE, Upper

aten = torch.ops.aten


ImageOf = Callable[[Node, Mapping[str, Operand]], Interval | None]
"""An interval that contains the values of an operation that is affine everywhere, given those of
its operands; None of any other."""

STEEP = 4.0
"""Chosen: how many times steeper than the whole root its parts may be: they know the region."""


def with_roots(graph: Graph, slopes: SlopeGraph, image_of: ImageOf) -> SlopeGraph:
    """The same slope sets, but those of roots of sums of squares towards what is squared where the
    parts are steep; the same graph where there are none."""
    if not any(_is_root(node) for node in graph):
        return slopes
    nodes = {node.name: node for node in graph}
    vertices = tuple(
        (v.name in nodes and _whole(nodes[v.name], nodes, slopes, image_of)) or v for v in slopes
    )
    found = replace(slopes, vertices=vertices)
    return found.pruned() if vertices != slopes.vertices else slopes


def _is_root(node: Node) -> bool:
    return _is_power(node, 0.5, aten.sqrt.default)


def _whole(
    node: Node, nodes: dict[str, Node], slopes: SlopeGraph, image_of: ImageOf
) -> Vertex | None:
    """The vertex of a root of a sum of squares; None of anything else, and where its parts are not
    steep."""
    if not _is_root(node):
        return None
    under = node.args[0].name
    found = _summed(under, nodes, slopes)
    if found is None:
        return None
    between, squares = found
    rest = _at_zero(under, between, squares, nodes, image_of)
    if rest is None or not bool((rest.lo >= 0).all()):
        return None
    vertex = slopes[node.name]
    edges = []
    steep = False
    for square in squares:
        matrix = affine_map(slopes, square, under, squares)
        slope = _slope(matrix) if _is_nonnegative(matrix) else None
        if slope is None:
            return None
        edges.append(Edge(nodes[square].operands()[0], slope))
        steep = steep or _steepness(vertex) * _steepness(slopes[square]) > STEEP
    alone = len({edge.source for edge in edges}) == len(edges)
    return replace(vertex, edges=tuple(edges)) if steep and alone else None


def _steepness(vertex: Vertex) -> float:
    """The largest slope of a pointwise operation; 1 where it is known."""
    gain = vertex.edges[0].slope.gain(Norm.L2, Norm.L2, lambda operator, p, q: ONE)
    return gain.value if isinstance(gain, Upper) else INFINITE.value


def _is_power(node: Node, exponent: float, own: Any) -> bool:
    """Whether it is x^exponent, of a varying x."""
    if not node.args or not isinstance(node.args[0], Ref) or node.kwargs:
        return False
    if node.target is own:
        return True
    return node.target is aten.pow.Tensor_Scalar and float(node.args[1]) == exponent


def is_square(node: Node) -> bool:
    if node.target is aten.mul.Tensor:
        return node.args[0] == node.args[1] and isinstance(node.args[0], Ref)
    return _is_power(node, 2.0, aten.square.default)


def _summed(
    under: str, nodes: dict[str, Node], slopes: SlopeGraph
) -> tuple[list[str], list[str]] | None:
    """The affine operations that a value is made by, of squares alone, in order, and those squares;
    None where it is made of anything else."""
    wanted = {under}
    between, squares = [], []
    for vertex in reversed(slopes.vertices):
        if vertex.name not in wanted:
            continue
        node = nodes.get(vertex.name)
        if node is None:
            return None
        if is_square(node):
            squares.append(node.name)
        elif vertex.is_affine:
            between.append(node.name)
            wanted.update(node.operands())
        else:
            return None
    return between[::-1], squares[::-1]


def _at_zero(
    under: str,
    between: list[str],
    squares: list[str],
    nodes: dict[str, Node],
    image_of: ImageOf,
) -> Interval | None:
    """What contains c: the value where all squares are 0; None where the region decides how they
    are added."""
    values = dict[str, Operand]()
    for name in squares:
        shape = nodes[name].shape
        values[name] = Operand(name, shape, Interval.uniform(0.0, 0.0, shape))
    for name in between:
        node = nodes[name]
        image = image_of(node, values)
        if image is None:
            return None
        values[name] = Operand(name, node.shape, image)
    return values[under].range


def _leaves(operator: Operator) -> Iterator[Operator]:
    """What a map is composed of."""
    found: list[Operator] = []

    def note(leaf: Operator, x: None) -> None:
        found.append(leaf)

    operator.fold(None, note, lambda parts: None)
    return iter(found)


def _is_nonnegative(operator: Operator) -> bool:
    """Whether no entry of what it is made of is negative."""
    for leaf in _leaves(operator):
        if leaf.is_wiring or leaf.is_nonnegative:
            continue
        below = leaf.entrywise(lambda a: (-a).clamp(min=0))
        if below is None or below.magnitude != 0:
            return False
    return True


def _slope(matrix: Operator) -> Slope | None:
    """Towards one of the values that are squared."""
    scale = matrix.diagonal
    if scale is not None and matrix.relative_error == 0:
        steep = scale.sqrt().nextafter(torch.full_like(scale, INFINITE.value))
        steep = steep.expand(matrix.in_shape)
        return Between(-steep, steep)
    gains = dict[Norm, Upper]()
    for norm in (Norm.L1, Norm.LINF):
        bound = operator_norm(matrix, norm, norm)
        if isinstance(bound, Refusal):
            return None
        gains[norm] = bound.sqrt()
    rows = Upper(float(matrix.out_size)).sqrt()
    towards = {Norm.L1: rows * gains[Norm.L1], Norm.L2: gains[Norm.L1], Norm.LINF: gains[Norm.LINF]}
    return Gain(matrix.in_shape, matrix.out_shape, towards)
