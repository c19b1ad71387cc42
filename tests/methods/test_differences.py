"""One walk bounds every difference of two outputs."""

import math

import pytest
import torch
from torch import nn

from autolip.capture.torch.export import capture_model
from autolip.methods import AutoLip
from autolip.methods.differences import Bounds, differences
from autolip.methods.method import Bound, Problem
from autolip.norms import Norm, parse_norms
from autolip.operators.norms import NormOptions
from autolip.outputs import Difference
from autolip.regions import Everywhere

NORMS = ["l2", "l1", "linf", "linf:l2", "l2:linf"]


def posed(model: nn.Module, size: int, norm: str) -> Problem:
    capture = capture_model(model.eval(), (torch.zeros(1, size),))
    return Problem.pose(capture.graph, Everywhere(), *parse_norms(norm), NormOptions())


def bounds_of(problem: Problem) -> Bounds:
    found = differences(problem)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("scale", [1.0, 1e-170, 1e170])
def test_of_a_linear_map_the_distance_of_its_rows(norm: str, scale: float) -> None:
    """In the dual of the input norm, from above; squares that would underflow or overflow
    included."""
    torch.manual_seed(0)
    model = nn.Linear(5, 4).double()
    model.weight.data *= scale
    found = bounds_of(posed(model, 5, norm))
    weight, p = model.weight.detach(), parse_norms(norm)[0]
    assert len(found) == 6
    for (i, j), bound in found.items():
        row = ((weight[i] - weight[j]) / scale).tolist()
        exact = {
            Norm.L2: math.hypot(*row),
            Norm.LINF: math.fsum(map(abs, row)),
            Norm.L1: max(map(abs, row)),
        }[p] * scale
        assert exact * (1 - 1e-15) <= bound.value <= exact * (1 + 1e-12)


@pytest.mark.parametrize("norm", NORMS)
def test_as_good_as_a_walk_for_each_pair(norm: str) -> None:
    torch.manual_seed(1)
    problem = posed(nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 4)), 3, norm)
    for (i, j), bound in bounds_of(problem).items():
        alone = AutoLip().bound(problem.reading(Difference(i, j).readout(torch.Size([1, 4]))))
        assert isinstance(alone, Bound) and bound.value <= alone.value.value * (1 + 1e-3)


def test_where_the_last_operation_is_not_affine_the_whole_output_bounds_each_pair() -> None:
    """|y_i - y_j| <= sqrt(2) |y|; here attained but for the slope of the sigmoid."""
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Sigmoid())
    model[0].weight.data = torch.eye(2)
    found = bounds_of(posed(model, 2, "l2"))
    assert found[0, 1].value == pytest.approx(math.sqrt(2) / 4)


class Both(nn.Module):
    """x -> (relu(x) + x, 0): the last operation has two operands."""

    def __init__(self) -> None:
        super().__init__()
        self.bent, self.straight = (nn.Linear(1, 2, bias=False) for _ in range(2))
        for layer in (self.bent, self.straight):
            layer.weight.data = torch.tensor([[1.0], [0.0]])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.bent(torch.relu(x)) + self.straight(x)


@pytest.mark.parametrize("norm", ["l2", "l1", "linf"])
def test_what_every_operand_of_the_last_operation_adds(norm: str) -> None:
    found = bounds_of(posed(Both(), 1, norm))
    assert 2 <= found[0, 1].value <= 2 * (1 + 1e-9)
