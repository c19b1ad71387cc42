"""From facts to the claim: every fact is checked afresh, then gains are added over operands and multiplied along paths.

A fact bounds how much a stretch of the network, from `source` to `sink`, can grow a difference, from one norm to
another: `norm` an affine map (all paths through affine operations), `quadratic` anything, by H >= 0, `entries` too, one
entry of the sink at a time, and `cases`, with some slopes at one of their ends, case by case.
"""

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from autolip_check.container import Array, Document, Rejected, number, require
from autolip_check.forms import Form, prove, trust
from autolip_check.graph import Edge, Gain, Network, Slopes, Vertex
from autolip_check.maps import Diagonal, Tensors, Wiring, tensor
from autolip_check.norms import entry_norms
from autolip_check.symbol import single_path, symbol

NORMS = {"l1": 1.0, "l2": 2.0, "linf": math.inf}
Gains = dict[str, Fraction | float]
"""By norm, and exactly: sums and products are of fractions; infinite where nothing is known."""


@dataclass(frozen=True)
class Fact:
    """||sink - sink'||_q <= value ||source - source'||_p."""

    step: str
    source: str
    sink: str
    p: str
    q: str
    value: float
    by: str


def checked(steps: list[Document], network: Network, tensors: Tensors, delta: float) -> list[Fact]:
    """All facts of a proof; the randomised ones share delta."""
    random = sum(step.get("by") == "lanczos" for step in steps)
    require(0 < delta < 1 if random else delta == 0, "delta is 0 for a proof without random steps, and only then")
    return [_checked(step, network, tensors, delta / max(random, 1) * (1 - 1e-12)) for step in steps]


def _checked(step: Document, network: Network, tensors: Tensors, delta: float) -> Fact:
    verify, more = STEPS[step["step"]]
    fields = {"step", "source", "sink", "norms", "value", "by"}
    require(set(step) == fields | more, f"a proof step {step['step']!r} of this form is not known")
    p, q = step["norms"]
    require(p in NORMS and q in NORMS, "a norm is not known")
    fact = Fact(step["step"], step["source"], step["sink"], p, q, number(step["value"]), step["by"])
    require(fact.value >= 0 and network[fact.source] is not network[fact.sink], f"{fact} says nothing")
    verify(fact, step, network, tensors, delta)
    return fact


def _norm(fact: Fact, step: Document, network: Network, tensors: Tensors, delta: float) -> None:
    """An affine map's norm: by `entries` or `majorant`, or its l2 norm by `symbol`, `cholesky` or `lanczos`."""
    require(network[fact.sink].is_affine, f"{fact.sink} is not affine")
    if fact.by in ("entries", "majorant"):
        bounds = entry_norms(network, fact.source, fact.sink, fact.by == "majorant")
        require(fact.value >= bounds[fact.p, fact.q], f"{fact} is not proved")
        return
    n, m = network.size(fact.source), network.size(fact.sink)
    value = float(Fraction(fact.value) / (_exchange(fact.p, "l2", n) * _exchange("l2", fact.q, m))) * (1 - 2.0**-50)
    require(value > 0, f"{fact} is not proved")
    if fact.by == "symbol":
        symbol(single_path(network, fact.source, fact.sink), value)
    else:
        square = np.array(math.nextafter(value**2, 0.0))
        _positive(Form(network, fact.source, fact.sink, square, np.array(1.0), {}), fact, delta)


def _positive(form: Form, fact: Fact, delta: float) -> None:
    require(fact.by in ("cholesky", "lanczos"), f"H >= 0 by {fact.by!r} is not known")
    prove(form) if fact.by == "cholesky" else trust(form, delta)


def _quadratic(fact: Fact, step: Document, network: Network, tensors: Tensors, delta: float) -> None:
    """Anything between source and sink by H >= 0."""
    network = _straightened(network, set(step["multipliers"]))
    multipliers = {f"{n}|": _multiplier(network, f"{n}|", value, tensors) for n, value in step["multipliers"].items()}
    free = (fact.source, *multipliers)
    require(f"{fact.source}|" not in multipliers, "the source carries a multiplier")
    operands = [network[name].edges[0].source for name in multipliers]
    known = all(network.sources(name, free) <= set(free) for name in (fact.sink, *operands))
    require(known, "a nonlinear operation between source and sink carries no multiplier")
    mu, nu = (_weights(step[k], network[at], tensors) for k, at in (("inputs", fact.source), ("outputs", fact.sink)))
    square = _total(mu, fact.p == "linf") * _total(nu, fact.q == "l1")
    require(Fraction(fact.value) ** 2 >= square, f"{fact} is less than the multipliers show")
    _positive(Form(network, fact.source, fact.sink, mu, nu, multipliers), fact, delta)


def _entries(fact: Fact, step: Document, network: Network, tensors: Tensors, delta: float) -> None:
    """The linf norm of the sink is the largest of its entries: H >= 0 for each of them."""
    shape, size, forms = network[fact.sink].shape, network.size(fact.sink), step["entries"]
    require(fact.q == "linf" and len(forms) == size, f"{fact} needs a form for every entry, and shows linf only")
    for place, form in enumerate(forms):
        require(set(form) == {"multipliers", "inputs"}, "an entry is odd")
        edge = Edge(fact.sink, Wiring(np.zeros(1), np.array([place]), shape, (1,)))
        read = Vertex("||", (1,), (edge,), {})
        one = replace(network, vertices={**network.vertices, read.name: read})
        _quadratic(replace(fact, sink=read.name), form | {"outputs": 1.0}, one, tensors, delta / size)


def _cases(fact: Fact, step: Document, network: Network, tensors: Tensors, delta: float) -> None:
    """Slope by slope at its two ends, where a norm that is convex in it is largest; H >= 0 in every case."""
    require((fact.p, fact.q, fact.by) == ("l2", "l2", "cholesky"), "cases are for l2, by cholesky")
    if set(tree := step["tree"]) == {"multipliers"}:
        weights = {"inputs": math.nextafter(fact.value**2, 0.0), "outputs": 1.0}
        _quadratic(fact, tree | weights, network, tensors, delta)
        return
    require(set(tree) == {"at", "entry", "low", "high"}, "a case is odd")
    vertex, entry = network[tree["at"]], tree["entry"]
    slope = vertex.edges[0].slope if len(vertex.edges) == 1 else None
    require(isinstance(slope, Slopes) and type(entry) is int and entry >= 0, "a case is about a slope")
    assert isinstance(slope, Slopes)
    for end, values in (("low", slope.lo), ("high", slope.hi)):
        lo, hi = slope.lo.copy(), slope.hi.copy()
        lo.flat[entry] = hi.flat[entry] = values.flat[entry]
        fixed = replace(vertex, edges=(Edge(vertex.edges[0].source, Slopes(lo, hi)),))
        other = replace(network, vertices={**network.vertices, vertex.name: fixed})
        _cases(fact, {"tree": tree[end]}, other, tensors, delta)


STEPS = {
    "norm": (_norm, set[str]()),
    "quadratic": (_quadratic, {"multipliers", "inputs", "outputs"}),
    "entries": (_entries, {"entries"}),
    "cases": (_cases, {"tree"}),
}


def _straightened(network: Network, names: set[str]) -> Network:
    """The same network, each of these operations the sum of a scaling (known slopes) and the rest, called name|."""
    vertices = dict[str, Vertex]()
    for name, vertex in network.vertices.items():
        if name in names and len(vertex.edges) == 1 and not vertex.is_affine:
            (edge,), parts = vertex.edges, {f"{name}|": np.ones(())}
            if isinstance(slope := edge.slope, Slopes):
                known = slope.lo == slope.hi
                edge = Edge(edge.source, Slopes(np.where(known, 0.0, slope.lo), np.where(known, 0.0, slope.hi)))
                parts |= {edge.source: np.where(known, slope.lo, 0.0)} if known.any() else {}
            vertices[f"{name}|"] = replace(vertex, name=f"{name}|", edges=(edge,))
            edges = tuple(Edge(part, Diagonal(scale, vertex.shape, 0.0)) for part, scale in parts.items())
            vertex = replace(vertex, edges=edges)
        vertices[name] = vertex
    return replace(network, vertices=vertices)


def _weights(value: Any, vertex: Vertex, tensors: Tensors) -> Array:
    weights = np.broadcast_to(tensor(value, tensors), vertex.shape)
    require(bool((weights > 0).all()), "weights of the input and the output are positive")
    return weights


def _total(weights: Array, added: bool) -> Fraction:
    """c with sum w_i x_i^2 <= c |x|^2: their sum for linf, the largest for l2 and l1 (an l1 output: their sum)."""
    return sum(map(Fraction, weights.reshape(-1).tolist()), Fraction(0)) if added else Fraction(float(weights.max()))


def _multiplier(network: Network, name: str, value: Any, tensors: Tensors) -> Array:
    """One number > 0 for every entry, or for every block of a gain."""
    vertex = network[name]
    require(len(vertex.edges) == 1 and not vertex.is_affine, f"{name} carries no multiplier")
    multiplier, slope = tensor(value, tensors), vertex.edges[0].slope
    require(bool((multiplier > 0).all()), "a multiplier is not positive")
    if not isinstance(slope, Gain):
        return np.broadcast_to(multiplier, vertex.shape)
    if multiplier.size == 1:
        return multiplier.reshape(())
    shapes = (vertex.shape, network[vertex.edges[0].source].shape)
    before, after = (tuple(1 if i in (slope.dims or ()) else n for i, n in enumerate(shape)) for shape in shapes)
    require(slope.dims is not None and multiplier.shape == before == after, f"blocks of {name} do not match")
    return multiplier


def concluded(facts: list[Fact], network: Network, p: str, q: str) -> Fraction | float:
    """The gain from input to output: sums over operands, products along paths, facts where they are smaller."""
    norms, gains = tuple(dict.fromkeys((p, q))), dict[str, Gains]()
    for vertex in network:
        here = [fact for fact in facts if fact.sink == vertex.name and fact.source in gains]
        size = network.size(vertex.name)
        at = {s: _through(vertex, network, here, gains, s) if vertex.edges else _exchange(p, s, size) for s in norms}
        gains[vertex.name] = {r: min(at[s] * _exchange(s, r, size) for s in norms) for r in norms}
    return gains[network.output][q]


def _through(vertex: Vertex, network: Network, facts: list[Fact], gains: dict[str, Gains], r: str) -> Fraction | float:
    """Edge by edge, or for an affine operation source by source; or by one fact about the whole stretch."""
    whole = [_by_facts([fact], gains, r) for fact in facts if fact.step != "norm"]
    if vertex.is_affine:
        norms = [fact for fact in facts if fact.step == "norm"]
        parts = [_by_facts([f for f in norms if f.source == s], gains, r) for s in network.sources(vertex.name)]
    else:
        parts = [_along(edge, vertex, gains[edge.source], r) for edge in vertex.edges]
    return min([sum(parts), *whole])


def _by_facts(facts: list[Fact], gains: dict[str, Gains], r: str) -> Fraction | float:
    known = [fact for fact in facts if fact.q == r and fact.p in gains[fact.source]]
    return min([Fraction(fact.value) * gains[fact.source][fact.p] for fact in known], default=math.inf)


def _along(edge: Edge, vertex: Vertex, before: Gains, r: str) -> Fraction | float:
    slope = edge.slope
    if isinstance(slope, Slopes):
        return Fraction(float(np.maximum(np.abs(slope.lo), np.abs(slope.hi)).max(initial=0.0))) * before[r]
    if not isinstance(slope, Gain):
        raise Rejected(f"{vertex.name} mixes affine and nonlinear operands")
    size = math.prod(vertex.shape)
    known = [Fraction(gain) * before[s] * _exchange(s, r, size) for s, gain in slope.norms.items() if s in before]
    return min(known, default=math.inf)


def _exchange(s: str, r: str, size: int) -> Fraction:
    """At least the least c with |x|_r <= c |x|_s in R^size."""
    exponent = 1 / NORMS[r] - 1 / NORMS[s]
    if exponent <= 0 or size <= 1:
        return Fraction(1)
    return Fraction(size) if exponent == 1 else Fraction(math.nextafter(math.sqrt(size), math.inf))
