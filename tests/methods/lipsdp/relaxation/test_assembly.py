"""The assembled matrix is H, up to its slack."""

import numpy as np
import pytest
import torch

from autolip.errors import Refusal
from autolip.methods.lipsdp.relaxation.assembly import HEAVIEST, Assembled, are_weights, assembled
from autolip.methods.lipsdp.relaxation.operands import READ, Operands
from autolip.methods.lipsdp.relaxation.relaxation import Relaxation
from autolip.methods.lipsdp.statement import Statement
from tests.methods.lipsdp.relaxation.test_elimination import network, relaxation


def weights(made: Statement) -> dict[str, torch.Tensor]:
    one, graph = torch.ones((), dtype=torch.float64), made.relaxation.graph
    return {graph.input: one * made.value**2, READ: one, **made.multipliers}


def written(made: Statement) -> tuple[Operands, Assembled]:
    operands = made.relaxation.operands
    assert isinstance(operands, Operands)
    form = assembled(operands, made.relaxation.constraints, weights(made))
    assert isinstance(form, Assembled)
    return operands, form


@pytest.mark.parametrize("name", ["dense", "relu", "leaky", "skipping"])
def test_h_without_t_is_the_form_by_hand(name: str) -> None:
    """The least over t, at random x and z, is value^2 |x|^2 + ... - |y|^2 of `statement`, here by
    passes."""
    made = network(name, 5)
    operands, form = written(made)
    graph, generator = operands.graph, torch.Generator().manual_seed(0)
    free = {
        k: torch.randn(graph[k or graph.output].shape, generator=generator).double()
        for k in operands.places
    }
    values = {k: v for k, v in free.items() if k}
    by_hand = torch.zeros((), dtype=torch.float64)
    for vertex in graph:
        if vertex.name not in values:
            terms = [e.slope.operator.mv(values[e.source][None])[0] for e in vertex.edges]  # type: ignore[union-attr]
            values[vertex.name] = sum(terms)  # type: ignore[assignment]
        elif vertex.edges:
            v, z, item = values[vertex.edges[0].source], values[vertex.name], vertex.edges[0].slope
            lam = made.multipliers[vertex.name]
            by_hand -= (lam * (z - item.lo * v) * (item.hi * v - z)).sum()  # type: ignore[union-attr]
    y = free[READ] = values[graph.output]
    scale = np.concatenate([form.scale[k] for k in operands.places])
    point = torch.cat([free[k].flatten() for k in operands.places]).numpy() / scale
    found = point @ form.matrix.toarray() @ point
    assert found == pytest.approx((by_hand - (y * y).sum()).item(), rel=1e-9)


@pytest.mark.parametrize("name", ["dense", "relu", "leaky", "gelu", "skipping"])
def test_rounding_is_within_the_slack(name: str) -> None:
    """By the same sums in 64 bits of mantissa; and the slack is of the size of rounding."""
    made = network(name, 3)
    operands, form = written(made)
    exact = np.zeros(form.matrix.shape, dtype=np.longdouble)
    places, sizes = operands.places, weights(made)

    def add(row: str, column: str, block: np.ndarray) -> None:
        exact[places[row], places[column]] += block
        if row != column:
            exact[places[column], places[row]] += block.T

    def rows(of: str) -> dict[str, np.ndarray]:
        return {
            s: m.value.toarray().astype(np.longdouble) * form.scale[s]
            for s, m in operands.rows[of].items()
        }

    for name_of in (*made.multipliers, READ):
        full = np.broadcast_to(sizes[name_of].flatten().numpy(), form.scale[name_of].shape)
        add(name_of, name_of, np.diag(full * form.scale[name_of] ** 2).astype(np.longdouble))
    for source, m in rows(READ).items():
        add(READ, source, -form.scale[READ][:, None] * m)
    for vertex, item in made.relaxation.constraints.items():
        lam = made.multipliers[vertex].flatten().numpy().astype(np.longdouble)
        lo, hi = (end.flatten().numpy().astype(np.longdouble) for end in (item.lo, item.hi))
        parts = rows(vertex)
        for s, m in parts.items():
            add(vertex, s, -(lam * (lo + hi) / 2 * form.scale[vertex])[:, None] * m)
            for t, other in parts.items():
                if places[s].start >= places[t].start:
                    add(s, t, m.T @ ((lam * lo * hi)[:, None] * other))
    off = np.linalg.norm((form.matrix.toarray() - exact).astype(float), 2)
    assert off <= form.slack <= 1e-12 * np.linalg.norm(exact.astype(float), 2)


def test_weights_are_positive_and_moderate() -> None:
    ones = torch.ones(3, dtype=torch.float64)
    assert are_weights(ones) and are_weights(ones * HEAVIEST) and are_weights(ones / HEAVIEST)
    for bad in (0.0, -1.0, 2 * HEAVIEST, 0.5 / HEAVIEST, float("nan"), float("inf")):
        assert not are_weights(torch.cat([ones, torch.tensor([bad], dtype=torch.float64)]))


@pytest.mark.parametrize("which", ["input", "output", "neuron"])
def test_other_weights_are_refused_by_name(which: str) -> None:
    made: Relaxation = relaxation("dense")
    operands, sizes = made.operands, weights(network("dense", 0))
    assert isinstance(operands, Operands)
    name = {"input": made.graph.input, "output": READ, "neuron": next(iter(made.constraints))}[
        which
    ]
    refused = assembled(operands, made.constraints, sizes | {name: sizes[name] * 0})
    assert isinstance(refused, Refusal)
    assert ("the output" in str(refused)) == (which == "output")
