"""From facts to the claim, as the check draws it: gains added over operands and multiplied along
paths."""

import math
from collections.abc import Iterable, Sequence
from typing import assert_never

from autolip.certificates.proof import Fact, NormFact, Proof
from autolip.graph.views import Edge, Vertex
from autolip.norms import Norm
from autolip.slopes import Between, Exact, Gain
from autolip.values import Upper

Gains = dict[Norm, Upper]
"""For each norm r an upper bound on ||v(x) - v(y)||_r / ||x - y||_p."""

UNKNOWN = Upper(math.inf)


def concluded(proof: Proof, p: Norm, q: Norm, moving: int) -> Upper:
    """What the facts of a proof show of the whole network, with the roundings of this sum:
    infinite, or a bound; at most `moving` entries of the input differ."""
    tracked = tuple(dict.fromkeys((p, q)))
    gains = dict[str, Gains]()
    reach = dict[str, frozenset[str]]()
    for vertex in proof.graph:
        about = [fact for fact in proof.facts if fact.sink == vertex.name]
        facts = [fact for fact in about if fact.source in gains]
        size = vertex.shape.numel() if vertex.edges else moving
        if vertex.edges:
            at = {r: _through(vertex, facts, gains, reach, r) for r in tracked}
        else:
            at = {r: p.equivalence(r, size) for r in tracked}
        gains[vertex.name] = {
            r: _least(at[s] * s.equivalence(r, size) for s in tracked) for r in tracked
        }
        read = [reach[edge.source] for edge in vertex.edges]
        affine = vertex.is_affine and vertex.edges
        reach[vertex.name] = frozenset[str]().union(*read) if affine else frozenset([vertex.name])
    return gains[proof.graph.output][q]


def _through(
    vertex: Vertex,
    facts: Sequence[Fact],
    gains: dict[str, Gains],
    reach: dict[str, frozenset[str]],
    r: Norm,
) -> Upper:
    """Operand by operand, for an affine vertex source by source; or by one fact about the whole
    stretch."""
    whole = [_by_facts([fact], gains, r) for fact in facts if not isinstance(fact, NormFact)]
    if vertex.is_affine:
        norms = [fact for fact in facts if isinstance(fact, NormFact)]
        read = [reach[edge.source] for edge in vertex.edges]
        sources = frozenset[str]().union(*read)
        of = {s: [fact for fact in norms if fact.source == s] for s in sorted(sources)}
        parts = [_by_facts(of[s], gains, r) for s in of]
    else:
        parts = [_along(edge, gains[edge.source], r) for edge in vertex.edges]
    total = Upper(0.0)
    for part in parts:
        total = total + part
    return _least([total, *whole])


def _by_facts(facts: Sequence[Fact], gains: dict[str, Gains], r: Norm) -> Upper:
    known = [fact for fact in facts if fact.q is r and fact.p in gains[fact.source]]
    return _least(_product(fact.value, gains[fact.source][fact.p]) for fact in known)


def _along(edge: Edge, before: Gains, r: Norm) -> Upper:
    """The gain of an operand whose slopes are not one linear map."""
    slope = edge.slope
    match slope:
        case Exact():
            return UNKNOWN
        case Between():
            return _product(slope.largest_modulus().value, before[r])
        case Gain():
            size = max(slope.out_shape.numel(), 1)
            known = [(s, gain) for s, gain in slope.norms.items() if s in before]
            return _least(
                _product(gain.value, before[s]) * s.equivalence(r, size) for s, gain in known
            )
        case _:
            assert_never(slope)


def _product(factor: float, gain: Upper) -> Upper:
    """0 times what is unknown is unknown."""
    return UNKNOWN if math.isinf(gain.value) else Upper(factor) * gain


def _least(bounds: Iterable[Upper]) -> Upper:
    """The smallest; their events are the check's own, and counted there."""
    return Upper(min((bound.value for bound in bounds), default=math.inf))
