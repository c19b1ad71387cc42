"""What is known of a network, operation by operation, on a region: ranges, and linear bounds."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.graph.graph import Graph, Node
from autolip.intervals import Interval
from autolip.operators.image import image
from autolip.operators.operator import flat
from autolip.ranges.linear_bounds import (
    LinearBounds,
    Slanted,
    Straight,
    Surroundings,
    linear_bounds,
)
from autolip.regions import Region
from autolip.roundoff import dot_error, raised
from autolip.rules.propagate import checked_action, outcome_of
from autolip.rules.rule import Action, Operand, Outcome
from autolip.slopes import Between

if TYPE_CHECKING:
    from autolip.certificates.proof import RowFact

INF = math.inf

Reason = Callable[[], Sequence["RowFact"] | None]
"""Facts that are put down where they are asked for; None: they cannot be checked."""


@dataclass
class Prefix:
    """The operations of a network up to some place, in topological order, on a bounded region.

    `values` are those at the region's origin, as floating point gives them; `deviations` of a value
    contain v(x) - values[v] for every x of the region.
    """

    region: Region
    input: str
    shape: torch.Size
    ranges: dict[str, Interval] = field(default_factory=dict)
    values: dict[str, Tensor] = field(default_factory=dict)
    deviations: dict[str, Interval] = field(default_factory=dict)
    bounds: dict[str, LinearBounds] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)
    """Why ranges hold that a check does not find itself."""

    def __post_init__(self) -> None:
        self.values[self.input] = self.region.origin(self.shape)
        self.narrow(self.input, self.region.interval(self.shape))

    def narrow(self, name: str, interval: Interval) -> None:
        """A range that is known of a value, beside what is known already."""
        known = self.ranges.get(name)
        met = interval if known is None else known.meet(interval)
        self.ranges[name] = met
        self.deviations[name] = met - Interval(self.values[name], self.values[name])

    def graph(self, name: str) -> Graph:
        """The network up to the value of that name."""
        return Graph(self.input, self.shape, tuple(self.nodes), name).pruned()

    def copied(self, name: str) -> Straight | None:
        """How a value copies entries of another one, each but for a shift; None where it does
        not."""
        edges = self.bounds[name].edges if name in self.bounds else ()
        if len(edges) != 1 or not isinstance(edges[0], Straight):
            return None
        operator = edges[0].operator
        return edges[0] if operator.is_wiring and operator.is_selection else None

    def follow(self, name: str) -> None:
        """The range of a copy, after that of what it copies was narrowed."""
        edge, bounds = self.copied(name), self.bounds[name]
        assert edge is not None
        moved = image(edge.operator, self.deviations[edge.source])
        value = self.values[name]
        deviation = moved + Interval(bounds.lo, bounds.hi)
        self.narrow(name, deviation + Interval(value, value))

    def operand(self, name: str) -> Operand:
        """The value as the argument of a rule."""
        return Operand(name, self.values[name].shape, self.ranges[name])

    def outcome(self, node: Node) -> Outcome:
        """What the node's rule says on the ranges."""
        return outcome_of(node, {name: self.operand(name) for name in node.operands()})

    def add(self, node: Node, outcome: Outcome, action: Action) -> None:
        """The next operation, with what its rule says on the ranges."""
        self.nodes.append(node)
        points = {name: self._point(name) for name in node.operands()}
        there = checked_action(node, outcome_of(node, points)).image
        value = _middle(there)
        around = Surroundings(self.values, self.deviations, there)
        self.values[node.name] = value
        if isinstance(outcome, Action):
            action = self._from_there(node, action, around)
        self.bounds[node.name] = linear_bounds(outcome, action, action.image, value, around)
        self.narrow(node.name, action.image)

    def _from_there(self, node: Node, action: Action, around: Surroundings) -> Action:
        """The slopes between the point of reference and any other: of a product half as wide as
        those between any two.

        Where the ranges do not hold it, those on ranges that do: what a range settles, a selection
        perhaps, need not be so there.
        """
        names = node.operands()
        if not around.holds_reference(names):
            wide = {name: self._with_reference(name) for name in names}
            return replace(checked_action(node, outcome_of(node, wide)), image=action.image)
        if not any(isinstance(slope, Between) for _, slope in action.slopes):
            return action
        points = {name: self._point(name).range for name in names}
        operands = {name: replace(self.operand(name), centre=points[name]) for name in names}
        return checked_action(node, outcome_of(node, operands))

    def _with_reference(self, name: str) -> Operand:
        """The value as the argument of a rule, its range widened to the value of reference."""
        value, known = self.values[name], self.ranges[name]
        lo = torch.minimum(known.lo, value)
        hi = torch.maximum(known.hi, value)
        return Operand(name, value.shape, Interval(lo, hi))

    def _point(self, name: str) -> Operand:
        value = self.values[name]
        return Operand(name, value.shape, Interval(value, value))

    def upper(self, name: str, forms: Float[Tensor, "k *shape"]) -> Float[Tensor, " k"]:
        """At least max over the region of <forms_i, v - values[v]> for the value v of that name.

        From the last operation to the first, a form c on an operation becomes forms on its
        operands: c+ times its upper bound, c- times its lower one.
        """
        pending, terms = {name: forms}, list[Tensor]()
        for step in self.backwards_from(name):
            c = pending.pop(step, None)
            if c is None:
                continue
            bounds, positive, negative = self.bounds[step], c.clamp(min=0.0), c.clamp(max=0.0)
            terms.append(flat(positive) @ bounds.hi.reshape(-1))
            terms.append(flat(negative) @ bounds.lo.reshape(-1))
            terms.append(worth(c, bounds.weight) + bounds.lost)
            for edge in bounds.edges:
                if isinstance(edge, Straight):
                    part = edge.operator.rmv(c)
                else:
                    part = positive * edge.hi + negative * edge.lo
                if edge.source in pending:
                    part = pending[edge.source] + part
                    terms.append(dot_error(1, worth(part, self.reach(edge.source))))
                pending[edge.source] = part
        for c in pending.values():
            terms.append(self.region.support(c))
        parts = torch.stack(terms)
        total = parts.sum(0) + dot_error(len(terms), parts.abs().sum(0))
        return total.nan_to_num(INF, INF, -INF)

    def backwards_from(self, name: str) -> Iterator[str]:
        """The operations added so far, from this one to the first; none from the input."""
        steps = list(self.bounds)
        return reversed(steps[: steps.index(name) + 1 if name in self.bounds else 0])

    def reach(self, name: str) -> Tensor:
        """At least |v - values[v]| on the region, entry by entry."""
        return self.deviations[name].magnitude()

    def work(self, name: str) -> float:
        """Multiply-adds that one form costs in `upper`."""
        wanted, total = {name}, 0.0
        for step in self.backwards_from(name):
            if step in wanted:
                edges = self.bounds[step].edges
                wanted.update(edge.source for edge in edges)
                total += 8 * self.values[step].numel()
                total += sum(edge.operator.work for edge in edges if isinstance(edge, Straight))
        return total

    def bends(self, name: str) -> int:
        """How many entries before the value have another line above than below; 0 where it is an
        affine function of the input."""
        wanted, count = {name}, 0
        for step in self.backwards_from(name):
            edges = self.bounds[step].edges if step in wanted else ()
            wanted.update(edge.source for edge in edges)
            for edge in edges:
                if isinstance(edge, Slanted):
                    count += int((edge.lo != edge.hi).sum())
        return count


def worth(c: Float[Tensor, "k *shape"], weight: Float[Tensor, "*shape"]) -> Float[Tensor, " k"]:
    """At least |c_i| weight."""
    return raised(flat(c).abs() @ weight.reshape(-1), weight.numel() + 1)


def _middle(x: Interval) -> Tensor:
    """The middle, where there is one; 0 elsewhere."""
    middle = x.lo / 2 + x.hi / 2
    return middle.where(middle.isfinite(), 0.0).contiguous()
