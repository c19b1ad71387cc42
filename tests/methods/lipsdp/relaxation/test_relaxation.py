"""The relaxation: what it says of a network, once."""

import pytest
import torch
from torch import Tensor, nn

from autolip.errors import Refusal
from autolip.methods.lipsdp.relaxation import relaxation as module
from autolip.methods.lipsdp.relaxation.elimination import Blocks
from autolip.methods.lipsdp.relaxation.operands import Operands
from autolip.methods.lipsdp.relaxation.relaxation import Relaxation
from autolip.norms import Norm
from tests.methods.lipsdp.conftest import mlp, pose, relaxed, stated


class Twice(nn.Module):
    """Two activations in a row, beside one."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = mlp(3, 4), mlp(4, 4, seed=1), mlp(3, 4, seed=2)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.b(torch.relu(self.a(x)))) + torch.tanh(self.c(x))


def test_what_is_asked_for_is_made_once() -> None:
    made = relaxed(pose(mlp(5, 9, 8, 3), (1, 5)))
    for name in ("fused", "chain", "operands", "blocks", "depths", "reduced"):
        assert getattr(made, name) is getattr(made, name)
    assert isinstance(made.operands, Operands) and isinstance(made.blocks, Blocks)
    assert made.operands.graph is made.fused


def test_variables_are_those_of_h_and_the_order_what_remains() -> None:
    """The input, 5, and t, 3: both layers are coupled in one small group."""
    made = relaxed(pose(mlp(5, 9, 8, 3), (1, 5)))
    assert made.variables == 5 + 9 + 8
    assert made.order == 5 + 3
    assert isinstance(made.operands, Operands) and made.operands.size == made.variables + 3


def test_what_costs_too_much_to_look_at_is_as_large_as_h(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST_WORK", 0.0)
    made = relaxed(pose(mlp(5, 9, 8, 3), (1, 5)))
    assert made.order == made.variables and isinstance(made.operands, Operands)
    monkeypatch.setattr(module, "LARGEST_WHOLE", 0)
    refused = relaxed(pose(mlp(5, 9, 8, 3), (1, 5)))
    assert isinstance(refused.operands, Refusal) and isinstance(refused.blocks, Refusal)


def test_depths_count_along_the_longest_path() -> None:
    made = relaxed(pose(Twice(), (1, 3)))
    assert sorted(made.depths.values()) == [1, 1, 2]


def test_the_smaller_network_has_the_same_constraints() -> None:
    made = relaxed(pose(mlp(60, 9, 8, 3), (1, 60)))
    assert made.reduced.graph.input_shape.numel() == 9
    assert made.reduced.constraints is made.constraints
    assert (made.reduced.p, made.reduced.q) == (made.p, made.q)


def test_an_infinite_slope_is_refused() -> None:
    class Squared(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * x

    refused = Relaxation.of(stated(pose(Squared(), (1, 3))), Norm.L2, Norm.L2)
    assert isinstance(refused, Refusal) and "infinite" in str(refused)
