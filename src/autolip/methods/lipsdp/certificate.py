"""Statements as facts that can be checked without this program."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from autolip.certificates import EntriesFact, Proof, QuadraticFact
from autolip.graph.views import SlopeGraph
from autolip.methods.lipsdp.relaxation.constraint import Constraint
from autolip.methods.lipsdp.relaxation.operands import READ
from autolip.methods.lipsdp.relaxation.relaxation import Relaxation
from autolip.methods.lipsdp.statement import Statement
from autolip.norms import Norm
from autolip.operators.operator import Operator

LARGEST_FACTORISED = 20_000
"""Chosen: order of what the check factorises, at most (3 GiB, three times; minutes at the top)."""

CHEAPLY_FACTORISED = 12_000
"""Chosen: the same where Lanczos showed the bound, and may show it again (about a minute at the
top)."""

SEEN, SEEN_AMONG_MANY = 2e-3, 5e-3
"""Chosen: by how much a value is raised so that the check sees it by Lanczos; its steps go like the
inverse root."""

ROOM = 16
"""Tuned: by how many times what rounding does to H a value is raised, on networks with x + v - v of
1 to 1e-18 of v."""

MANY = 2**22
"""Chosen: variables from which a step of the check takes seconds."""


def certified(
    graph: SlopeGraph, statements: Sequence[Statement], q: Norm, largest: int = LARGEST_FACTORISED
) -> Proof:
    """The proof of what one statement says of a graph, or of what several say of its output's
    entries, one by one.

    By factorisations up to the order `largest`, by Lanczos beyond.
    """
    facts = [fact_of(statement, q, largest) for statement in statements]
    if len(facts) == 1:
        return Proof(graph, tuple(facts))
    top = max(facts, key=lambda fact: fact.value)
    whole = EntriesFact(graph.input, graph.output, top.p, top.value, top.by, tuple(facts))
    return Proof(graph, (whole,))


def fact_of(statement: Statement, q: Norm, largest: int) -> QuadraticFact:
    """The fact behind a statement; of a scalar output in any norm q.

    The value is raised a little, half of it at the input and half at the output, so that H is
    positive by more than what the check needs: rounding for a factorisation, a margin that Lanczos
    can see for a confident bound.  Where terms cancel, by what is lost of them.
    """
    relaxation = statement.relaxation
    graph = relaxation.graph
    order = order_of(relaxation)
    confident = order > largest
    seen = SEEN if relaxation.variables < MANY else SEEN_AMONG_MANY
    lost = ROOM * rounding(statement)
    raised = 1 + (seen if confident else excess(order)) + lost
    return QuadraticFact(
        graph.input,
        graph.output,
        relaxation.p,
        q if graph.output_shape.numel() == 1 else relaxation.q,
        statement.value * raised,
        "lanczos" if confident else "cholesky",
        {name: positive(lam) * raised for name, lam in statement.multipliers.items()},
        _inputs(statement, raised),
        torch.ones(()) if statement.outputs is None else statement.outputs,
    )


def rounding(statement: Statement) -> float:
    """About what rounding does to H with its diagonal scaled to 1: unit roundoff times the norm of
    the rest, paths added without regard to signs.

    Where they cancel, that is more than any excess: of x + v - v the roundings of v remain.
    """
    relaxation = statement.relaxation
    graph = relaxation.fused
    diagonals = _diagonals(statement)
    total = terms = 0.0
    for name, item in (*relaxation.constraints.items(), (READ, None)):
        at = graph[name].edges[0].source if item else graph.output
        steepest = torch.maximum(item.lo.abs(), item.hi.abs()) if item else torch.ones(())
        square = steepest**2
        weights = diagonals[name] * square
        for link in graph[at].links if at not in diagonals else ():
            size = _scaled(link.operator, diagonals[link.source], weights)
            total += size if item is None or _is_bent(item) else size + size**2
            terms += link.operator.terms
    return 2.0**-53 * (4 * terms + 64) * total


def _diagonals(statement: Statement) -> dict[str, Tensor]:
    """About the diagonal of H, that of t once it is eliminated; none of it 0."""
    relaxation = statement.relaxation
    outputs = torch.ones(()) if statement.outputs is None else statement.outputs
    given = _inputs(statement, 1.0)
    inputs = given.clamp(min=2.0**-900)
    multipliers = {name: positive(lam) for name, lam in statement.multipliers.items()}
    return {relaxation.graph.input: inputs, **multipliers, READ: 1 / outputs}


def _scaled(operator: Operator, before: Tensor, after: Tensor) -> float:
    """At least ||diag(after)^(1/2)  |A|  diag(before)^(-1/2)||_2 by Schur's test, but for rounding;
    0 where |A| is not known."""
    majorant = operator.majorant()
    if majorant is None:
        return 0.0
    inputs = before.rsqrt().double()
    outputs = after.sqrt().double()
    wide = inputs.expand(operator.in_shape)[None]
    tall = outputs.expand(operator.out_shape)[None]
    rows = majorant.mv(wide) * tall
    columns = majorant.rmv(tall) * wide
    return math.sqrt(rows.amax().item()) * math.sqrt(columns.amax().item())


def excess(order: int) -> float:
    """How far a value is raised, so that a factorisation of that order has room for rounding."""
    return 1e-7 + 2.0**-46 * order**2


def order_of(relaxation: Relaxation) -> int:
    """The order of what the check factorises of H, t included.

    It eliminates whole operations, the larger first, that are not coupled and in which H is
    diagonal.
    """
    small = relaxation.fused
    constraints = relaxation.constraints
    ends = {name: small[name].edges[0].source for name in constraints} | {READ: small.output}
    free = {small.input, *ends}
    reads = {
        name: {at} if at in free else {edge.source for edge in small[at].edges}
        for name, at in ends.items()
    }
    tied = set[str]().union(
        *(reads[name] for name, item in constraints.items() if not _is_bent(item))
    )
    sizes = {name: small[name or small.output].shape.numel() for name in (small.input, *ends)}
    gone = set[str]()
    for name in sorted(sizes, key=lambda name: -sizes[name]):
        near = reads.get(name, set()) | {
            other for other, sources in reads.items() if name in sources
        }
        if name not in tied and not near & gone:
            gone.add(name)
    return sum(size for name, size in sizes.items() if name not in gone)


def _is_bent(item: Constraint) -> bool:
    """Whether one end of every slope is 0, so that no square of the operand is part of H."""
    return item.gain is None and not bool(((item.lo != 0) & (item.hi != 0)).any())


def _inputs(statement: Statement, raised: float) -> Tensor:
    """mu, its total at most the square of the raised value over that of the outputs."""
    if statement.inputs is not None:
        return statement.inputs * raised**2 * (1 - 2.0**-50)
    outputs = 1.0 if statement.outputs is None else math.fsum(statement.outputs.flatten().tolist())
    return torch.tensor(
        (statement.value * raised) ** 2 / outputs * (1 - 2.0**-50), dtype=torch.float64
    )


def positive(multipliers: Tensor) -> Tensor:
    """Multipliers with zeros replaced by small numbers: in a certificate every neuron carries
    one."""
    used = multipliers[multipliers > 0]
    return torch.where(multipliers > 0, multipliers, used.min() * 1e-3 if used.numel() else 1.0)
