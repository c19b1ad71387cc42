"""From facts to the claim: gains are added over operands and multiplied along paths, exactly, in
fractions.

With g_r(v) the largest |v - v'|_r over |x - x'|_p: for v = sum_i M_i u_i it is at most sum_i
|M_i|_{s -> r} g_s(u_i), and a fact about a stretch from u to v gives g_r(v) <= value g_s(u).
"""

import math
from fractions import Fraction

import numpy as np

from autolip_check.admission import quoted
from autolip_check.container import Rejected
from autolip_check.graph import Edge, Network, Slopes, Vertex
from autolip_check.maps import Map
from autolip_check.proof import Fact, exchange

LONGEST = 5000
"""Tuned: bits of a fraction; of many more, sums and products take time without end."""

Number = Fraction | float
"""A fraction, or infinity where nothing is known."""

Gains = dict[str, Number]
"""By norm."""


def concluded(facts: list[Fact], network: Network, p: str, q: str) -> Number:
    """The gain from input to output: sums over operands, products along paths, facts where they are
    smaller."""
    norms = (p,) if p == q else (p, q)
    gains = dict[str, Gains]()
    about = dict[str, list[Fact]]()
    for fact in facts:
        about.setdefault(fact.sink, []).append(fact)
    constant = set[str]()
    for vertex in network:
        all_here = about.get(vertex.name, [])
        here = [fact for fact in all_here if fact.source in gains]
        reach = _reach(vertex, network, here, constant)
        if vertex.is_affine and not reach:
            constant.add(vertex.name)
        size = network.size(vertex.name) if vertex.edges else network.moving
        at: Gains = {}
        for s in norms:
            at[s] = (
                _through(vertex, here, gains, reach, s) if vertex.edges else exchange(p, s, size)
            )
        gains[vertex.name] = {}
        for r in norms:
            gain = _least(at, r, size)
            gains[vertex.name][r] = shortened(gain)
    return gains[network.output][q]


def _least(gains: Gains, r: str, size: int) -> Number:
    """The gain in the norm r: its own, or by exchange for another norm."""
    return min(_product(exchange(s, r, size), gain) for s, gain in gains.items())


def _reach(vertex: Vertex, network: Network, facts: list[Fact], constant: set[str]) -> set[str]:
    """What an affine operation depends on through affine ones: where no norms are given, only
    whether on anything."""
    if any(fact.step == "norm" for fact in facts):
        return network.sources(vertex.name)
    return {
        edge.source for edge in vertex.edges if not edge.is_zero and edge.source not in constant
    }


def shortened(gain: Number) -> Number:
    """The same number, or where it has very many digits one of a thousand bits that is not
    smaller."""
    if not isinstance(gain, Fraction):
        return gain
    top = gain.numerator.bit_length()
    bottom = gain.denominator.bit_length()
    if top <= LONGEST and bottom <= LONGEST:
        return gain
    if top - bottom > LONGEST:
        return math.inf
    # as many binary places as leave the numerator half of the bits
    half = LONGEST // 2
    shift = min(LONGEST, half + bottom - top)
    scaled = gain * Fraction(2) ** shift
    return Fraction(math.ceil(scaled)) * Fraction(2) ** -shift


def _through(
    vertex: Vertex, facts: list[Fact], gains: dict[str, Gains], reach: set[str], r: str
) -> Number:
    """Edge by edge, or for an affine operation source by source; or by one fact about the whole
    stretch."""
    whole = [_by_facts([fact], gains, r) for fact in facts if fact.step != "norm"]
    if vertex.is_affine:
        of: dict[str, list[Fact]] = {source: [] for source in reach}
        for fact in facts:
            if fact.step == "norm" and fact.source in of:
                of[fact.source].append(fact)
        parts = [_by_facts(about, gains, r) for about in of.values()]
    else:
        parts = []
        for edge in vertex.edges:
            before = gains[edge.source]
            parts.append(_along(edge, vertex, before, r))
    return min([_total(parts), *whole])


def _total(parts: list[Number]) -> Number:
    """Their sum: unknown where one of them is."""
    known = [part for part in parts if isinstance(part, Fraction)]
    return sum(known, Fraction(0)) if len(known) == len(parts) else math.inf


def _by_facts(facts: list[Fact], gains: dict[str, Gains], r: str) -> Number:
    """The least of what these facts, of one source, say about the norm r."""
    products = []
    for fact in facts:
        before = gains[fact.source]
        if fact.q == r and fact.p in before:
            value = Fraction(fact.value)
            products.append(_product(value, before[fact.p]))
    return min(products, default=math.inf)


def _along(edge: Edge, vertex: Vertex, before: Gains, r: str) -> Number:
    """The gain of one operand of an operation that is not affine."""
    slope = edge.slope
    if isinstance(slope, Map):
        raise Rejected(f"{quoted(vertex.name)} mixes affine and nonlinear operands")
    if isinstance(slope, Slopes):
        below = np.abs(slope.lo)
        above = np.abs(slope.hi)
        steepest = np.maximum(below, above)
        largest = float(steepest.max(initial=0.0))
        return _product(Fraction(largest), before[r])
    size = math.prod(vertex.shape)
    known = [
        _product(Fraction(gain) * exchange(s, r, size), before[s])
        for s, gain in slope.norms.items()
        if s in before
    ]
    return min(known, default=math.inf)


def _product(factor: Fraction, gain: Number) -> Number:
    """0 times what is unknown is unknown."""
    return factor * gain if isinstance(gain, Fraction) else math.inf
