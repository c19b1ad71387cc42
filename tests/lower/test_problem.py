"""What a search works on."""

import re

import pytest
import torch
from torch import nn

from autolip import lipschitz
from autolip.budget import SPENT, Budget
from autolip.capture.torch.export import Capture, capture_model
from autolip.graph.graph import Graph, Node, Ref
from autolip.lower import LowerProblem
from autolip.lower.pairs import ends
from autolip.norms import Norm
from autolip.outputs import Difference
from autolip.regions import Ball, Box, Everywhere


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).eval()


def test_function_and_reference_agree_with_the_model(pose) -> None:
    model = network()
    problem = pose(model, torch.ones(2, 4))
    x = torch.randn(6, 2, 4, dtype=torch.float64)
    exact = model.double()(x)
    torch.testing.assert_close(problem.function(x), exact)
    torch.testing.assert_close(problem.values(x), exact)
    torch.testing.assert_close(problem.reference(x[0]), exact[0])
    assert problem.exact and problem.function(x.requires_grad_()).requires_grad


def test_passes_are_counted(pose) -> None:
    problem = pose(network(), torch.ones(4))
    assert problem.batched and problem.passes == 0
    problem.function(torch.ones(6, 4, dtype=torch.float64))
    problem.reference(torch.ones(4, dtype=torch.float64))
    assert problem.passes == 3.5


def test_a_readout_is_applied_to_both(pose) -> None:
    model = network()
    problem = pose(model, torch.ones(4)).reading(Difference(2, 0).readout(torch.Size([3])))
    x = torch.randn(5, 4, dtype=torch.float64)
    exact = model.double()(x)[:, 2:] - model(x)[:, :1]
    torch.testing.assert_close(problem.values(x), exact)
    torch.testing.assert_close(problem.reference(x[3]), exact[3])


def data_dependent(x: torch.Tensor) -> torch.Tensor:
    return 2 * x if x.sum().item() > 0 else 3 * x


def test_what_cannot_be_mapped_is_evaluated_one_by_one() -> None:
    shape = torch.Size([3])
    node = Node("y", data_dependent, (Ref("x"),), shape)
    capture = Capture(
        Graph("x", shape, (node,), "y"),
        data_dependent,
        torch.float64,
        torch.ones(3, dtype=torch.float64),
        "x",
        "float64",
    )
    problem = LowerProblem.of(capture, Everywhere(), Norm.L2, Norm.L2)
    assert not problem.batched
    x = torch.tensor([[1.0, 1, 1], [-1, -1, -1]], dtype=torch.float64, requires_grad=True)
    y = problem.function(x)
    assert y.tolist() == [[2.0, 2, 2], [-3, -3, -3]]
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert gradient.tolist() == [[2.0] * 3, [3.0] * 3]


def test_expired() -> None:
    capture = capture_model(network(), (torch.ones(4),))
    assert not LowerProblem.of(capture, Everywhere(), Norm.L2, Norm.L2).expired
    assert not LowerProblem.of(
        capture, Everywhere(), Norm.L2, Norm.L2, budget=Budget.of(60)
    ).expired
    assert LowerProblem.of(capture, Everywhere(), Norm.L2, Norm.L2, budget=SPENT).expired


@pytest.mark.parametrize(
    ("region", "p", "reach"),
    [
        (Box(torch.zeros(4), torch.tensor([2.0, 2.0, 2.0, 0.0])), Norm.L2, 3**0.5),
        (Box(torch.zeros(4), torch.tensor([2.0, 2.0, 2.0, 0.0])), Norm.L1, 3.0),
        (Ball(torch.zeros(4), 0.5), Norm.L2, 0.5),
        (Ball(torch.zeros(4), 0.5), Norm.L1, 1.0),
        (Ball(torch.zeros(4), 0.5, Norm.LINF), Norm.L2, 1.0),
        (Everywhere(), Norm.LINF, 7.0),
    ],
)
def test_reach_is_the_half_diameter_in_the_input_norm(pose, region, p: Norm, reach: float) -> None:
    assert pose(network(), torch.tensor([7.0, 0, 0, 0]), region, p).reach == pytest.approx(reach)


@pytest.mark.parametrize("norm", Norm)
def test_regions_as_large_as_doubles_are_searched(pose, norm: Norm) -> None:
    """Sums of their ends are infinite, and differences of those no numbers."""
    for region in (Ball(0.0, 1.7e308, norm), Ball(5e307, 1e308, norm), Box(-1.7e308, 1.7e308)):
        problem = pose(network(), torch.ones(4), region)
        points = region.sample(20, problem.example, problem.generator())
        for end in ends(problem, points, points, torch.full((20,), 1e308, dtype=torch.float64)):
            assert end.isfinite().all()


def test_free_entries(pose) -> None:
    box = Box(torch.tensor([0.0, 1.0, 0.0, 0.0]), torch.ones(4))
    assert pose(network(), torch.ones(4), box).free.tolist() == [True, False, True, True]
    assert not pose(network(), torch.ones(4), Ball(torch.ones(4), 0.0)).free.any()


def test_a_search_says_what_it_has_met(pose) -> None:
    """Through `lipschitz` with a progress function, and never more than is attained."""
    said: list[str] = []
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2)).double().eval()
    x = torch.zeros(1, 3).double()
    result = lipschitz(model, x, method=None, lower="random", progress=said.append)
    reports = [text.split(", ")[1] for text in said if text.startswith("lower bound: random, ")]
    assert reports and all(re.fullmatch(r"[\d.e+-]+ after \d+ passes", text) for text in reports)
    assert result.lower is not None
    assert max(float(text.split()[0]) for text in reports) <= result.lower.value * (1 + 1e-5)
