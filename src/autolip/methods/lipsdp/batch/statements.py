"""What was proved of one question, as a statement about the network with its slopes and read-out:
for a certificate, or for a proof of its own."""

import math
from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from autolip.errors import Refusal
from autolip.graph.fixed import without_fixed
from autolip.graph.views import SlopeGraph, Vertex
from autolip.methods.lipsdp.batch.questions import Questions
from autolip.methods.lipsdp.relaxation.relaxation import Relaxation
from autolip.methods.lipsdp.statement import Statement
from autolip.norms import Norm
from autolip.operators.algebra import compose
from autolip.operators.dense import Dense
from autolip.operators.incidence import Incidence
from autolip.slopes import Between


def posed(graph: SlopeGraph, questions: Questions, number: int) -> SlopeGraph:
    """The network of one question: with the slopes of its sample, followed by its read-out."""
    sample = questions.samples[number]

    def own(vertex: Vertex) -> Vertex:
        slope = questions.slopes.get(vertex.name)
        if slope is None:
            return vertex
        one = Between(slope.lo[sample], slope.hi[sample])
        return replace(vertex, edges=(replace(vertex.edges[0], slope=one),))

    flat = Incidence(lambda y: y.reshape(-1), graph.output_shape)
    read = compose(Dense(questions.readouts[number]), flat)
    return replace(graph, vertices=tuple(map(own, graph))).then(read)


def statement(
    graph: SlopeGraph,
    p: Norm,
    questions: Questions,
    number: int,
    value: float,
    multipliers: Mapping[str, Tensor],
    inputs: Tensor | None,
) -> Statement | Refusal:
    """That multipliers prove a value of one question, on its network without what is settled; mu
    up to a factor."""
    stated = without_fixed(posed(graph, questions, number))
    relaxation = Relaxation.of(stated, p, Norm.L2)
    if isinstance(relaxation, Refusal):
        return relaxation
    own = {
        name: _multipliers(stated, name, multipliers).reshape(item.blocks)
        for name, item in relaxation.constraints.items()
    }
    mu = None if inputs is None else inputs * (value**2 / math.fsum(inputs.flatten().tolist()))
    return Statement(relaxation, own, mu, value)


def _multipliers(stated: SlopeGraph, name: str, known: Mapping[str, Tensor]) -> Tensor:
    """Those of a vertex, or of the entries of one that bend (see fixed)."""
    if name in known:
        return known[name]
    whole = name.removesuffix(":bent")
    picked = stated[f"{whole}:read"].edges[0].operator
    assert picked is not None
    return picked.mv(known[whole].reshape(1, *picked.in_shape))[0]
