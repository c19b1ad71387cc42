"""What a region holds still is left out: entries of the input that cannot move."""

from fractions import Fraction

import pytest
import torch
from torch import nn

from autolip import Box, lipschitz
from autolip.capture.torch.export import Capture, capture_model
from autolip.graph.moving_inputs import moved, moving_inputs
from autolip.methods import METHODS, Problem
from autolip.norms import Norm
from autolip.operators.norms import NormOptions
from autolip.values import Upper
from autolip_check.check import check

FREE = torch.tensor([False, True, False, True, True, False])
LO = torch.tensor([0.3, -1.0, 0.0, -1.0, -0.5, 2.0]).double()
BOX = Box(LO, torch.where(FREE, LO + 1.5, LO))


class Restricted(nn.Module):
    """The network with the entries that cannot move as constants."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("base", torch.where(FREE, 0.0, LO.float()))
        self.register_buffer("places", torch.eye(6)[FREE])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.model(x @ self.places + self.base)


def mlp(*act: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 9), *act, nn.Linear(9, 4)).eval()


def captured(model: nn.Module, x: torch.Tensor) -> Capture:
    return capture_model(model, (x,), 0)


def posed(model: nn.Module, box: Box, p: Norm, q: Norm) -> Problem:
    size = box.lo.numel()
    return Problem.pose(captured(model, torch.zeros(1, size)).graph, box, p, q, NormOptions())


@pytest.mark.parametrize("norms", [("l2", "l2"), ("linf", "l2"), ("l1", "l1"), ("linf", "linf")])
@pytest.mark.parametrize("name", [n for n in METHODS if "cvxpy" not in n and "sdp" not in n])
def test_bounds_are_those_of_the_network_on_what_moves(name, norms) -> None:
    """Also of a method that changes norms on the way: three entries count, not six."""
    p, q = map(Norm, norms)
    model = mlp(nn.Tanh())
    whole = posed(model, BOX, p, q)
    part = posed(Restricted(model), Box(BOX.lo[FREE], BOX.hi[FREE]), p, q)
    found, wanted = (METHODS[name]().answer(problem) for problem in (whole, part))
    assert type(found) is type(wanted)
    if hasattr(found, "value") and isinstance(found.value, Upper):
        assert found.value.value == pytest.approx(wanted.value.value, rel=1e-6)


def test_the_norm_of_a_matrix_is_that_of_the_columns_that_move() -> None:
    model = nn.Linear(6, 4).eval()
    model.weight.data = torch.randint(
        -4, 5, (4, 6), generator=torch.Generator().manual_seed(0)
    ).float()
    found = lipschitz(model, torch.zeros(1, 6), region=BOX, norm="linf", method="autolip")
    exact = model.weight.detach().double()[:, FREE].abs().sum(1).max().item()
    assert Fraction(found.upper.value) >= exact and found.upper.value == pytest.approx(exact)
    assert found.lower.value == pytest.approx(exact)


def test_a_network_that_is_the_identity() -> None:
    found = lipschitz(nn.Identity(), torch.zeros(1, 6), region=BOX, norm="linf:l1", seed=0)
    assert found.upper.value == pytest.approx(3) and found.lower.value == pytest.approx(3)


def test_convolutions_keep_their_chains() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2)).eval()
    capture = captured(model, torch.zeros(1, 1, 6))
    problem = Problem.pose(capture.graph, BOX, Norm.L2, Norm.L2, NormOptions())
    assert problem.slopes.input + ":moves" not in problem.slopes.by_name


def test_a_convolution_behind_another_layer_does_not_count() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(6, 6), nn.Unflatten(1, (1, 6)), nn.Conv1d(1, 2, 3), nn.Flatten(), nn.ReLU()
    ).eval()
    slopes = posed(model, BOX, Norm.L2, Norm.L2).slopes
    assert moved(slopes.input) in slopes.by_name


def test_a_region_of_one_point_and_one_that_moves_everywhere_stay() -> None:
    graph = posed(mlp(nn.ReLU()), Box(LO, LO + 1), Norm.L2, Norm.L2).slopes
    shape = graph.input_shape
    for settled in (torch.zeros(shape).bool(), torch.ones(shape).bool()):
        assert moving_inputs(graph, settled) is graph


@pytest.mark.parametrize("method", ["autolip", "lipsdp"])
@pytest.mark.parametrize("norm", ["l2", "linf:l2"])
def test_its_certificate_takes_nothing_for_granted(method, norm, tmp_path) -> None:
    """The checker sees for itself that what is left out cannot move."""
    file = tmp_path / "bound.cert"
    model = mlp(nn.ReLU())
    found = lipschitz(
        model, torch.zeros(1, 6), region=BOX, norm=norm, method=method, lower=None, seed=0
    )
    found.certificate().save(file)
    verdict = check(file)
    assert not any("moves" in said or "that move" in said for said in verdict.assumed)
