"""One pass forward through a network: before an operation that is not affine, every engine is asked
for its operands."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import assert_never

import torch
from torch import Tensor

from autolip.graph.graph import Graph, Node
from autolip.intervals import Interval
from autolip.ranges.engine import ENGINES, Allowance, Asked, Engine
from autolip.ranges.mixtures import mixed
from autolip.ranges.prefix import Prefix, Reason
from autolip.regions import Region
from autolip.rules.entries import entrywise
from autolip.rules.lowering import lowered
from autolip.rules.propagate import checked_action, require_rules
from autolip.rules.rule import Action
from autolip.slopes import Between, Exact, Gain

KNOWN = 2.0**-20
"""Tuned: relative width of a slope's interval below which a closer range would hardly help."""


class Ranges(dict[str, Interval]):
    """For operations, by name, intervals that contain their values on the region; and the `reasons`
    for what a check does not find itself."""

    def __init__(
        self, known: Mapping[str, Interval] = MappingProxyType({}), reasons: Sequence[Reason] = ()
    ) -> None:
        super().__init__(known)
        self.reasons = tuple(reasons)


def ranges(
    graph: Graph,
    region: Region,
    allowance: Allowance | None = None,
    engines: Iterable[Engine] | None = None,
) -> Ranges:
    """Where the values of a network lie on a region, those of its maxima in pieces and of what is
    written entry by entry too; by some `engines` beside interval arithmetic, None: by all.

    Nothing is returned for an unbounded region, for which interval arithmetic is all there is.
    """
    require_rules(graph)
    if not region.interval(graph.input_shape).is_bounded:
        return Ranges()
    pieces = lowered(graph)
    whole = {node.name: node for node in pieces}
    prefix = known_of(entrywise(pieces), region, allowance, whole, engines)
    return Ranges(prefix.ranges, prefix.reasons)


def known_of(
    graph: Graph,
    region: Region,
    allowance: Allowance | None = None,
    whole: Mapping[str, Node] | None = None,
    engines: Iterable[Engine] | None = None,
) -> Prefix:
    """All operations of a network on a bounded region, with their ranges and linear bounds.

    What is written entry by entry is also where the rule of the `whole` operation says.
    """
    allowance = allowance or Allowance()
    whole = whole or {}
    prefix = Prefix(region, graph.input, graph.input_shape)
    asked = ENGINES.values() if engines is None else engines
    refining = [_Refining(prefix, engine, allowance) for engine in asked]
    known = dict[str, Node]()
    for node in graph:
        outcome = prefix.outcome(node)
        action = checked_action(node, outcome)
        for one in refining:
            if one.refined(action):
                outcome = prefix.outcome(node)
                action = checked_action(node, outcome)
        prefix.add(node, outcome, action)
        mixture = mixed(node, known, prefix)
        if mixture is not None:
            prefix.narrow(node.name, mixture)
        known[node.name] = node
        written = whole.get(node.name, node)
        if written is not node:
            prefix.narrow(node.name, checked_action(written, prefix.outcome(written)).image)
    return prefix


@dataclass
class _Refining:
    """One engine, and the entries that it was asked for."""

    prefix: Prefix
    engine: Engine
    allowance: Allowance
    asked: dict[str, Tensor] = field(default_factory=dict)

    def refined(self, action: Action) -> bool:
        """Ask for the operands' entries that are not settled and were not asked for; whether there
        were any."""
        changed = False
        for operand, wanted in _unsettled(action).items():
            copies, name, entries = _copied(self.prefix, operand, wanted)
            before = self.asked.get(name, torch.zeros_like(entries))
            new = entries & ~before
            if name == self.prefix.input or not bool(new.any()):
                continue
            found = self.engine(Asked(self.prefix, name, new), self.allowance)
            if found is not None:
                self.prefix.narrow(name, found)
            for copy in reversed(copies):
                self.prefix.follow(copy)
            self.asked[name] = before | entries
            changed = True
        return changed


def _copied(prefix: Prefix, name: str, entries: Tensor) -> tuple[list[str], str, Tensor]:
    """Values that copy entries of another one, shifted perhaps, up to that one: an entry is asked
    for once, however often it is copied."""
    copies = list[str]()
    while (edge := prefix.copied(name)) is not None:
        copies.append(name)
        entries = edge.operator.rmv(entries.double().unsqueeze(0))[0] > 0
        name = edge.source
    return copies, name, entries


def _unsettled(action: Action) -> dict[str, Tensor]:
    """For every operand the entries whose slope is not known but for a range."""
    found: dict[str, Tensor] = {}
    for operand, slope in action.slopes:
        match slope:
            case Exact():
                continue
            case Between():
                entries = ~(slope.hi - slope.lo <= KNOWN * slope.steepest.abs())
            case Gain():
                entries = torch.ones(operand.shape, dtype=torch.bool)
            case _:
                assert_never(slope)
        found[operand.name] = found.get(operand.name, torch.zeros_like(entries)) | entries
    return found
