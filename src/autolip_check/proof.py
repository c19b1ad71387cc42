"""Facts about stretches of the network, every one of them checked afresh.

A fact bounds how much a stretch, from `source` to `sink`, can grow a difference, from one norm to
another: `norm` an affine map (all paths through affine operations), `quadratic` anything, by H >=
0, `entries` too, one entry of the sink at a time, `cases`, with some slopes at one of their ends,
case by case, and `pieces` the whole network, by a tree of the pieces on which neurons lie.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from autolip_check.admission import fields_of, list_of, number, one_of, positive, quoted, text_of
from autolip_check.cells import Bounds
from autolip_check.container import Array, Document, require
from autolip_check.effort import A_LOOK, Effort
from autolip_check.forms import Form, prove
from autolip_check.forms import work_of as work_of_form
from autolip_check.graph import NORMS, Edge, Gain, Network, Slopes, Vertex
from autolip_check.lanczos import trust
from autolip_check.layers import read_layers
from autolip_check.maps import Diagonal, Tensors, Wiring, tensor
from autolip_check.norms import entry_norms
from autolip_check.norms import work_of as work_of_norms
from autolip_check.symbol import single_path, symbol
from autolip_check.tree import Tree, Walk

MOST_STEPS = 50_000
"""Tuned: a limit on the work."""


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

    def __str__(self) -> str:
        return f"the {self.step} of {quoted(self.sink)} over {quoted(self.source)}"


@dataclass(frozen=True)
class Given:
    """What a fact is about, and what its randomised check may use up of the failure probability."""

    network: Network
    tensors: Tensors
    delta: float
    prover: "Prover"


class Prover:
    """Proves what facts come down to."""

    def __init__(self, effort: Effort) -> None:
        self.effort = effort

    def look(self, network: Network) -> None:
        """A step is about to be read."""

    def entries(self, fact: Fact, network: Network) -> None:
        """A norm by absolute entries."""
        bounds = entry_norms(network, fact.source, fact.sink, fact.by == "majorant")
        require(bounds[fact.p, fact.q] <= fact.value, f"{fact} is not proved")

    def symbol(self, fact: Fact, network: Network, value: float) -> None:
        """An l2 norm of a convolution."""
        symbol(single_path(network, fact.source, fact.sink), value, self.effort)

    def cholesky(self, form: Form) -> None:
        """H >= 0."""
        prove(form)

    def lanczos(self, form: Form, delta: float) -> None:
        """H >= 0, but for a small probability."""
        trust(form, delta, self.effort)

    def tree(self, walk: Walk) -> None:
        """All cases of a tree."""
        walk.run(self.effort)


class Foreseen(Prover):
    """Adds up the work, as far as it is known before, and proves nothing."""

    def look(self, network: Network) -> None:
        self.effort.spend(A_LOOK * len(network.vertices))

    def entries(self, fact: Fact, network: Network) -> None:
        majorant = fact.by == "majorant"
        self.effort.spend(work_of_norms(network, fact.source, fact.sink, majorant))

    def symbol(self, fact: Fact, network: Network, value: float) -> None:
        pass

    def cholesky(self, form: Form) -> None:
        self.effort.spend(work_of_form(form))

    def lanczos(self, form: Form, delta: float) -> None:
        pass

    def tree(self, walk: Walk) -> None:
        self.effort.spend(A_LOOK * len(walk.tree.at))


def checked(
    steps: Any, network: Network, tensors: Tensors, delta: float, prover: Prover
) -> list[Fact]:
    """All facts of a proof; the randomised ones share delta."""
    steps = list_of(steps, "the proof")
    require(len(steps) <= MOST_STEPS, f"the proof has {len(steps)} steps")
    random = sum(_is_random(step) for step in steps)
    if random:
        require(0 < delta < 1, "a proof with random steps has a delta between 0 and 1")
    else:
        require(delta == 0, "delta is 0 for a proof without random steps")
    share = delta / max(random, 1) * (1 - 1e-12)  # so that rounded up they are at most delta
    given = Given(network, tensors, share, prover)
    return [_checked(step, given) for step in steps]


def _is_random(step: Any) -> bool:
    """Whether a step is proved but for a probability, by its own account."""
    return isinstance(step, dict) and step.get("by") == "lanczos"


def _checked(step: Any, given: Given) -> Fact:
    given.prover.look(given.network)
    kind = one_of(STEPS, step, "step", "a proof step")
    verify, more = STEPS[kind]
    fields_of(
        step, {"step", "source", "sink", "norms", "value", "by", *more}, f"a proof step {kind}"
    )
    source = given.network[step["source"]]
    sink = given.network[step["sink"]]
    require(source is not sink, f"the {kind} of {quoted(sink.name)} over itself says nothing")
    p, q = norms_of(step["norms"])
    by = text_of(step["by"], "how a fact is proved")
    value = number(step["value"])
    fact = Fact(kind, source.name, sink.name, p, q, value, by)
    require(fact.value >= 0, f"{fact} is negative")
    verify(fact, step, given)
    return fact


def norms_of(value: Any) -> tuple[str, str]:
    """Two of the known norms."""
    pair = list_of(value, "a pair of norms")
    require(len(pair) == 2, "norms are given as a pair")
    for norm in pair:
        require(isinstance(norm, str) and norm in NORMS, f"a norm {quoted(norm)} is not known")
    return pair[0], pair[1]


def _norm(fact: Fact, step: Document, given: Given) -> None:
    """An affine map's norm: by `entries` or `majorant`, or its l2 norm by `symbol`, `cholesky` or
    `lanczos`."""
    network = given.network
    require(network[fact.sink].is_affine, f"{quoted(fact.sink)} is not affine")
    if fact.by in ("entries", "majorant"):
        given.prover.entries(fact, network)
        return
    # ||A||_{p -> q} <= ||I||_{p -> 2} ||A||_2 ||I||_{2 -> q}
    n = network.size(fact.source)
    m = network.size(fact.sink)
    before = exchange(fact.p, "l2", n)
    after = exchange("l2", fact.q, m)
    both = before * after
    quotient = Fraction(fact.value) / both
    value = float(quotient) * (1 - 2.0**-50)
    require(value > 0, f"{fact} is not proved")
    if fact.by == "symbol":
        given.prover.symbol(fact, network, value)
    else:
        square = math.nextafter(value**2, 0.0)
        mu = np.array(square)
        nu = np.array(1.0)
        form = Form(network, fact.source, fact.sink, mu, nu, {})
        _positive(form, fact, given)


def _positive(form: Form, fact: Fact, given: Given) -> None:
    require(fact.by in ("cholesky", "lanczos"), f"{fact} by {quoted(fact.by)}: that is not known")
    if fact.by == "cholesky":
        given.prover.cholesky(form)
    else:
        require(given.delta > 0, f"{fact} is random, and no delta is claimed")
        given.prover.lanczos(form, given.delta)


def _quadratic(fact: Fact, step: Document, given: Given) -> None:
    """Anything between source and sink by H >= 0."""
    require(isinstance(step["multipliers"], dict), "multipliers are given by name")
    names = set(step["multipliers"])
    network = straightened(given.network, names)
    tensors = given.tensors
    multipliers = {
        f"{name}|": _multiplier(network, f"{name}|", value, tensors)
        for name, value in step["multipliers"].items()
    }
    free = (fact.source, *multipliers)
    require(f"{fact.source}|" not in multipliers, "the source carries a multiplier")
    ends = [fact.sink]
    for name in multipliers:
        (edge,) = network[name].edges
        ends.append(edge.source)
    for name in ends:
        reached = network.sources(name, free)
        require(
            reached <= set(free),
            "a nonlinear operation between source and sink carries no multiplier",
        )
    source = network[fact.source]
    sink = network[fact.sink]
    mu = _weights(step["inputs"], source, tensors)
    nu = _weights(step["outputs"], sink, tensors)
    # |y|^2 <= c_nu sum y_j^2 / nu_j <= c_nu sum mu_i x_i^2 <= c_nu c_mu |x|^2
    c_mu = _total(mu, fact.p == "linf")
    c_nu = _total(nu, fact.q == "l1")
    square = c_mu * c_nu
    require(square <= Fraction(fact.value) ** 2, f"{fact} is less than the multipliers show")
    form = Form(network, fact.source, fact.sink, mu, nu, multipliers)
    _positive(form, fact, given)


def _entries(fact: Fact, step: Document, given: Given) -> None:
    """The linf norm of the sink is the largest of its entries: H >= 0 for each of them."""
    network = given.network
    shape = network[fact.sink].shape
    size = network.size(fact.sink)
    forms = list_of(step["entries"], "the forms of entries")
    require(fact.q == "linf", f"{fact} by its entries is about linf only")
    require(len(forms) == size, f"{fact} needs a form for every entry")
    for place, form in enumerate(forms):
        given.prover.look(network)
        fields_of(form, {"multipliers", "inputs"}, "the form of an entry")
        first = np.zeros(1, dtype=np.int64)
        chosen = np.array([place])
        entry = Wiring(first, chosen, shape, (1,))
        edge = Edge(fact.sink, entry)
        reading = Vertex("||", (1,), (edge,))
        delta = given.delta / size
        longer = _with(network, reading)
        part = replace(given, network=longer, delta=delta)
        _quadratic(replace(fact, sink=reading.name), form | {"outputs": 1.0}, part)


def _with(network: Network, vertex: Vertex) -> Network:
    """The network with a vertex more, or another one in place of that of its name."""
    return replace(network, vertices={**network.vertices, vertex.name: vertex})


def _cases(fact: Fact, step: Document, given: Given) -> None:
    """Slope by slope at its two ends, where a norm that is convex in it is largest; H >= 0 in every
    case."""
    require((fact.p, fact.q, fact.by) == ("l2", "l2", "cholesky"), "cases are for l2, by cholesky")
    given.prover.look(given.network)
    tree = step["tree"]
    if isinstance(tree, dict) and set(tree) == {"multipliers"}:
        square = math.nextafter(fact.value**2, 0.0)
        weights = {"inputs": square, "outputs": 1.0}
        _quadratic(fact, tree | weights, given)
        return
    fields_of(tree, {"at", "entry", "low", "high"}, "a case")
    vertex = given.network[tree["at"]]
    entry = tree["entry"]
    edge = vertex.edges[0] if len(vertex.edges) == 1 else None
    slope = edge.slope if edge else None
    if edge is None or not isinstance(slope, Slopes):
        require(False, f"{quoted(vertex.name)} has no slopes to be taken apart")
        return
    require(
        type(entry) is int and 0 <= entry < slope.lo.size,
        "a case is about an entry that is not there",
    )
    for end, values in (("low", slope.lo), ("high", slope.hi)):
        lo = slope.lo.copy()
        hi = slope.hi.copy()
        slope_there = values.flat[entry]
        lo.flat[entry] = slope_there
        hi.flat[entry] = slope_there
        slopes = Slopes(lo, hi)
        fixed = Edge(edge.source, slopes)
        one_case = replace(vertex, edges=(fixed,))
        other = _with(given.network, one_case)
        _cases(fact, {"tree": tree[end]}, replace(given, network=other))


def _pieces(fact: Fact, step: Document, given: Given) -> None:
    """From the input to the output, by a tree of pieces."""
    network = given.network
    whole = (fact.source, fact.sink) == (network.input, network.output)
    require(whole and fact.by == "tree", "pieces are told of the whole network, by a tree")
    require(bool((network.units == 1).all()), "pieces are told in the units of the model")
    layers = read_layers(network, fact.sink)
    tree = Tree.read(step["tree"], layers, given.tensors)
    before = exchange(fact.p, "l2", network.moving)
    after = exchange("l2", fact.q, network.size(fact.sink))
    quotient = Fraction(fact.value) / (before * after)
    root = float(quotient) * (1 - 2.0**-50)
    tau = math.nextafter(root**2, 0.0)
    bounds = Bounds.of(network.region.entry)
    given.prover.tree(Walk(layers, bounds, tree, fact.p, fact.q, fact.value, tau))


Check = Callable[[Fact, Document, Given], None]

STEPS: dict[str, tuple[Check, set[str]]] = {
    "norm": (_norm, set()),
    "quadratic": (_quadratic, {"multipliers", "inputs", "outputs"}),
    "entries": (_entries, {"entries"}),
    "cases": (_cases, {"tree"}),
    "pieces": (_pieces, {"tree"}),
}


def straightened(network: Network, names: set[str]) -> Network:
    """The same network, each of these operations the sum of a scaling (known slopes) and the rest,
    called name|."""
    vertices = dict[str, Vertex]()
    for name, vertex in network.vertices.items():
        if name in names and len(vertex.edges) == 1 and not vertex.is_affine:
            bent, vertex = _taken_apart(vertex)
            vertices[bent.name] = bent
        vertices[name] = vertex
    return replace(network, vertices=vertices)


def _taken_apart(vertex: Vertex) -> tuple[Vertex, Vertex]:
    """The rest, with slopes 0 where they are known; and the sum of it and of the known slopes times
    the operand."""
    (edge,) = vertex.edges
    name = f"{vertex.name}|"
    scales = {name: np.ones(())}
    if isinstance(slope := edge.slope, Slopes):
        known = slope.lo == slope.hi
        lo = np.where(known, 0.0, slope.lo)
        hi = np.where(known, 0.0, slope.hi)
        slopes = Slopes(lo, hi)
        edge = Edge(edge.source, slopes)
        if known.any():
            scales[edge.source] = np.where(known, slope.lo, 0.0)
    terms = tuple(
        Edge(source, Diagonal(scale, vertex.shape, 0.0)) for source, scale in scales.items()
    )
    rest = replace(vertex, name=name, edges=(edge,))
    return rest, replace(vertex, edges=terms)


def _weights(value: Any, vertex: Vertex, tensors: Tensors) -> Array:
    given = tensor(value, tensors)
    weights = np.broadcast_to(given, vertex.shape)
    return positive(weights, "a weight of the input or of the output")


def _total(weights: Array, added: bool) -> Fraction:
    """c with sum w_i x_i^2 <= c |x|^2: their sum for linf, the largest for l2 and l1 (an l1 output:
    their sum)."""
    if added:
        return sum(map(Fraction, weights.reshape(-1).tolist()), Fraction(0))
    return Fraction(float(weights.max()))


def _multiplier(network: Network, name: str, value: Any, tensors: Tensors) -> Array:
    """One number > 0 for every entry, or for every block of a gain."""
    vertex = network[name]
    is_bent = len(vertex.edges) == 1 and not vertex.is_affine
    require(is_bent, f"{quoted(name)} carries no multiplier")
    (edge,) = vertex.edges
    slope = edge.slope
    multiplier = positive(tensor(value, tensors), "a multiplier")
    if not isinstance(slope, Gain):
        return np.broadcast_to(multiplier, vertex.shape)
    if multiplier.size == 1:
        return multiplier.reshape(())
    require(slope.dims is not None, f"{quoted(name)} is one block, with one multiplier")
    after = _blocks(vertex.shape, slope)
    operand = network[edge.source]
    before = _blocks(operand.shape, slope)
    require(multiplier.shape == before == after, f"blocks of {quoted(name)} do not match")
    return multiplier


def _blocks(shape: tuple[int, ...], gain: Gain) -> tuple[int, ...]:
    """The shape of one number for every block."""
    inside = gain.dims or ()
    return tuple(1 if axis in inside else n for axis, n in enumerate(shape))


def exchange(s: str, r: str, size: int) -> Fraction:
    """At least the least c with |x|_r <= c |x|_s in R^size: size^(1/r - 1/s), or 1."""
    of_r = 1 / NORMS[r]
    of_s = 1 / NORMS[s]
    exponent = of_r - of_s
    if exponent <= 0 or size <= 1:
        return Fraction(1)
    if exponent == 1:
        return Fraction(size)
    return Fraction(math.nextafter(math.sqrt(size), math.inf))
