"""Operands: the matrices give what a pass through the network gives."""

import pytest
import torch
from torch import Tensor, nn

from autolip.errors import Refusal
from autolip.graph.views import fused
from autolip.methods.lipsdp.relaxation.operands import LARGEST_ENTRY, READ, Operands
from autolip.slopes import Exact
from tests.methods.lipsdp.conftest import mlp, pose, stated


class Branching(nn.Module):
    """A convolution whose result is read twice, beside the input in the output."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv1d(1, 2, 3, padding=1), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        z = torch.relu(self.a(x)).flatten(1)
        return z + torch.tanh(self.b(z)) + torch.cat([x, x], 1).flatten(1)


@pytest.mark.parametrize(("model", "shape"), [(Branching(), (1, 1, 4)), (mlp(3, 5, 4, 2), (1, 3))])
def test_operands_are_those_of_a_pass(model: nn.Module, shape: tuple[int, ...]) -> None:
    """For any input and any results of the nonlinear vertices."""
    torch.manual_seed(0)
    found = Operands.of(fused(stated(pose(model.double().eval(), shape))))
    assert isinstance(found, Operands)
    graph = found.graph
    free = {
        name: torch.randn(graph[name].shape, dtype=torch.float64) for name in found.places if name
    }
    values = dict(free)
    for vertex in graph:
        if vertex.name not in free:
            slopes = [(edge.source, edge.slope) for edge in vertex.edges]
            terms = [s.operator.mv(values[at][None])[0] for at, s in slopes if isinstance(s, Exact)]
            values[vertex.name] = torch.stack(terms).sum(0)
    for name, rows in found.rows.items():
        expected = values[graph.output if name == READ else graph[name].edges[0].source]
        total = sum(matrix.value @ free[s].flatten().numpy() for s, matrix in rows.items())
        torch.testing.assert_close(torch.from_numpy(total), expected.flatten())


def test_variables_follow_each_other_and_the_input_is_last() -> None:
    found = Operands.of(fused(stated(pose(mlp(3, 5, 4, 2), (1, 3)))))
    assert isinstance(found, Operands)
    assert [(place.start, place.stop) for place in found.places.values()] == [
        (0, 5),
        (5, 9),
        (9, 11),
        (11, 14),
    ]
    assert list(found.places)[-2:] == [READ, found.graph.input]


def test_enormous_entries_are_refused() -> None:
    model = mlp(3, 5, 2)
    model[0].weight.data[0, 0] = 2 * LARGEST_ENTRY  # type: ignore[union-attr, operator]
    refused = Operands.of(fused(stated(pose(model, (1, 3)))))
    assert isinstance(refused, Refusal) and "entries beyond" in str(refused)
