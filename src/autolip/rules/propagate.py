"""One forward pass of the rules: from a captured graph and a region to the graph of slope sets."""

import math
from collections.abc import Mapping
from typing import Any

from jaxtyping import Float
from torch import Tensor

from autolip.errors import AutolipError, UnsupportedOperation
from autolip.graph.graph import Graph, Node, Place
from autolip.graph.views import Edge, SlopeGraph, Vertex
from autolip.intervals import Interval
from autolip.regions import Region
from autolip.rules.derive import action_of
from autolip.rules.radial import with_radial
from autolip.rules.roots import with_roots
from autolip.rules.rule import RULES, Action, Operand, Outcome
from autolip.rules.scalars import with_scalars
from autolip.slopes import Exact


def slopes_on(
    graph: Graph,
    region: Region,
    known: Mapping[str, Interval] | None = None,
    centre: Float[Tensor, "*shape"] | None = None,
    *,
    lengths: bool = True,
) -> SlopeGraph:
    """The slope sets of the network, for inputs in the region: of every operation, but of roots of
    sums of squares, functions of one variable and vectors times functions of their lengths as a
    whole, where that is less.

    `known` holds intervals that are already known to contain the values of some nodes.  With a
    `centre`, a point of the region, slopes are those between it and any other point.  Without
    `lengths` vectors times functions of their lengths stay in parts.
    """
    parts = parts_on(graph, region, known, centre)
    if centre is not None and all(edge.slope.is_finite for v in parts for edge in v.edges):
        return parts  # which know the centre
    vectors = with_radial(graph, parts, action_on) if lengths else parts
    return with_scalars(graph, with_roots(graph, vectors, affine_image), action_on)


def parts_on(
    graph: Graph,
    region: Region,
    known: Mapping[str, Interval] | None = None,
    centre: Float[Tensor, "*shape"] | None = None,
) -> SlopeGraph:
    """The same, every operation by itself."""
    require_rules(graph)
    start = region.interval(graph.input_shape)
    there = {} if centre is None else values_at(graph, centre)
    operands = {graph.input: Operand(graph.input, graph.input_shape, start, there.get(graph.input))}
    vertices = [Vertex(graph.input, graph.input_shape, (), start, Place("input"), "input")]
    for node in graph.nodes:
        action = checked_action(node, outcome_of(node, operands))
        edges = tuple(
            Edge(operand.name, slope.where_moving(operand.range))
            for operand, slope in action.slopes
        )
        image = (
            action.image.meet(known[node.name]) if known and node.name in known else action.image
        )
        vertices.append(Vertex(node.name, node.shape, edges, image, node.place, str(node.target)))
        operands[node.name] = Operand(node.name, node.shape, image, there.get(node.name))
    return SlopeGraph(graph.input, tuple(vertices), graph.output)


def action_on(node: Node, operands: Mapping[str, Operand]) -> Action:
    """The slopes and the image of an operation, given its operands."""
    return checked_action(node, outcome_of(node, operands))


def image_of(node: Node, operands: Mapping[str, Operand]) -> Interval:
    """What contains an operation's values, given those of its operands."""
    return action_on(node, operands).image


def affine_image(node: Node, operands: Mapping[str, Operand]) -> Interval | None:
    """What contains the values of an affine operation, for operands in or out of the region; None
    where it is not one and the same affine map wherever they are.

    A region may choose one: the largest of x - 5 and 0 is x - 5 above 5, and at 0 it is not -5.
    """
    anywhere = {
        name: Operand(name, operand.shape, Interval.uniform(-math.inf, math.inf, operand.shape))
        for name, operand in operands.items()
        if name in node.operands()
    }
    slopes = action_on(node, anywhere).slopes
    is_affine = all(isinstance(slope, Exact) for _, slope in slopes)
    return image_of(node, operands) if is_affine else None


def values_at(graph: Graph, x: Float[Tensor, "*shape"]) -> dict[str, Interval]:
    """What contains the values of the input and of every operation at one input."""
    operands = {graph.input: Operand(graph.input, graph.input_shape, Interval(x, x))}
    for node in graph.nodes:
        image = image_of(node, operands)
        operands[node.name] = Operand(node.name, node.shape, image)
    return {name: operand.range for name, operand in operands.items()}


def require_rules(graph: Graph) -> None:
    """Raise UnsupportedOperation naming every operation that has no rule."""
    missing = [node for node in graph.nodes if node.target not in RULES]
    if missing:
        lines = "\n".join(f"  {node.target} at {node.place}" for node in missing)
        raise UnsupportedOperation(
            f"no rule for {len(missing)} operation{'s' * (len(missing) > 1)}:\n{lines}\n"
            "`autolip rules` lists what is supported; write a rule with `@rule`, or "
            "replace the operation"
        )


def outcome_of(node: Node, operands: Mapping[str, Operand]) -> Outcome:
    """What the node's rule says about these operands."""
    args, kwargs = node.bind(operands.__getitem__)
    try:
        outcomes = RULES[node.target](*args, **kwargs)
    except AutolipError as error:
        raise type(error)(f"{error} (in {node.target} at {node.place})") from error
    return outcomes[node.pick or 0]


def checked_action(node: Node, outcome: Outcome) -> Action:
    """The slopes and the image that it stands for, of the node's shapes."""
    action = action_of(outcome, node.shape)
    _check_shapes(node, action)
    return action


def _check_shapes(node: Node, action: Action) -> None:
    shapes: list[Any] = [(slope.in_shape, operand.shape) for operand, slope in action.slopes]
    shapes += [(slope.out_shape, node.shape) for _, slope in action.slopes] + [
        (action.image.shape, node.shape)
    ]
    if any(tuple(got) != tuple(wanted) for got, wanted in shapes):
        raise AutolipError(
            f"the rule for {node.target} disagrees with its operation's shapes at {node.place}: "
            f"{[(tuple(got), tuple(wanted)) for got, wanted in shapes]}; please report this"
        )


def range_of(graph: Graph, region: Region) -> Interval:
    """An interval that contains the network's outputs on the region."""
    slopes = slopes_on(graph, region)
    return slopes[slopes.output].range
