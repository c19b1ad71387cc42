"""The default search against constants that are known."""

import functools
import itertools
import os
from pathlib import Path

import pytest
import torch
from scipy.io import loadmat
from torch import Tensor, nn

from autolip.budget import SPENT
from autolip.capture.torch.export import Capture, capture_model
from autolip.lower import Ascent, LowerProblem
from autolip.norms import Norm
from autolip.outputs import Difference
from autolip.regions import Ball, Box, Everywhere
from autolip.values import Lower

ZOO = Path(os.environ.get("AUTOLIP_ZOO", Path(__file__).resolve().parents[3] / "shared" / "zoo"))
"""Networks trained by others, if they are at hand."""

FAST = Ascent(passes=2000)


def gauss(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def linear(weight: Tensor) -> nn.Module:
    layer = nn.Linear(weight.shape[1], weight.shape[0], dtype=torch.float64).eval()
    layer.weight.data = weight
    return layer


@functools.cache
def captured(*shape: int, seed: int = 0) -> Capture:
    """A random linear map."""
    return capture_model(linear(gauss(*shape, seed=seed)), (gauss(shape[1]),))


def vertices(size: int) -> Tensor:
    return torch.tensor(list(itertools.product([-1.0, 1.0], repeat=size)), dtype=torch.float64)


def operator_norm(weight: Tensor, p: Norm, q: Norm) -> float:
    """||W||_{p -> q}, by columns, rows, singular values or every vertex of a cube."""
    if p is Norm.L1:
        return q.of_rows(weight.T).max().item()
    if q is Norm.LINF:
        return p.dual.of_rows(weight).max().item()
    if p is Norm.LINF:
        return q.of_rows(vertices(weight.shape[1]) @ weight.T).max().item()
    if q is Norm.L1:
        return (vertices(weight.shape[0]) @ weight).norm(dim=1).max().item()
    return torch.linalg.matrix_norm(weight, 2).item()


@pytest.mark.parametrize("p", Norm)
@pytest.mark.parametrize("q", Norm)
def test_linear_maps(check, p: Norm, q: Norm) -> None:
    for seed, shape in enumerate([(5, 7), (8, 3), (1, 6)]):
        weight = gauss(*shape, seed=seed)
        problem = LowerProblem.of(captured(*shape, seed=seed), Everywhere(), p, q)
        value = check(problem, FAST.search(problem), lambda x, weight=weight: weight @ x)
        exact = operator_norm(weight, p, q)
        assert exact * (1 - 1e-9) <= value <= exact * (1 + 1e-15)


@pytest.mark.parametrize("p", Norm)
@pytest.mark.parametrize("q", Norm)
@pytest.mark.parametrize(
    "region",
    [Box(torch.full((4,), 2.0), torch.full((4,), 2.001)), Ball(torch.full((4,), -3.0), 1e-4)],
)
def test_linear_maps_on_small_regions(check, p: Norm, q: Norm, region) -> None:
    weight = gauss(3, 4)
    problem = LowerProblem.of(captured(3, 4), region, p, q)
    value = check(problem, FAST.search(problem), lambda x: weight @ x)
    exact = operator_norm(weight, p, q)
    assert exact * (1 - 1e-6) <= value <= exact * (1 + 1e-15)


def folded(weight: Tensor) -> nn.Module:
    """W relu([x; -x]): on each orthant another linear map, |w_ij| chosen from two columns."""
    first = linear(torch.cat([torch.eye(3), -torch.eye(3)]).double())
    first.bias.data.zero_()
    return nn.Sequential(first, nn.ReLU(), linear(weight)).eval()


@pytest.mark.slow
def test_relu_network_whose_linear_regions_are_the_orthants(pose, check) -> None:
    for seed in range(3):
        weight = gauss(4, 6, seed=seed)
        plus, minus = weight[:, :3], weight[:, 3:]
        maps = [plus * (signs > 0) - minus * (signs < 0) for signs in vertices(3)]
        exact = max(torch.linalg.matrix_norm(jacobian, 2).item() for jacobian in maps)
        model = folded(weight)
        problem = pose(model, torch.ones(3, dtype=torch.float64), seed=seed)
        value = check(problem, Ascent(passes=20_000).search(problem), model)
        assert exact * (1 - 1e-9) <= value <= exact * (1 + 1e-15)


def test_relu_network_on_a_box_in_one_orthant(pose, check) -> None:
    weight = gauss(4, 6)
    model = folded(weight)
    problem = pose(model, torch.ones(3), Box(torch.full((3,), 0.5), torch.full((3,), 2.0)))
    exact = torch.linalg.matrix_norm(weight[:, :3], 2).item()
    assert exact * (1 - 1e-9) <= check(problem, FAST.search(problem), model) <= exact


def trained(name: str) -> nn.Sequential:
    """A network whose layers are stored as cells of a MATLAB array."""
    cells = [
        loadmat(ZOO / "exact_refs" / f"{name}_relu_{what}.mat")[what].ravel()
        for what in ("weights", "biases")
    ]
    layers: list[nn.Module] = []
    for weight, bias in zip(*cells, strict=True):
        layer = linear(torch.tensor(weight, dtype=torch.float64))
        layer.bias.data = torch.tensor(bias, dtype=torch.float64).flatten()
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1]).eval()


@pytest.mark.slow
@pytest.mark.skipif(
    not (ZOO / "exact_refs").is_dir(), reason="networks with known constants are not at hand"
)
@pytest.mark.parametrize(
    ("name", "exact", "reached"),
    [("iris_4-6-6-3", 11.634355135, 11.6), ("wine_11-12-12-1", 1.743375, 1.67)],
)
def test_trained_networks_whose_constant_is_known(
    pose, check, name: str, exact: float, reached: float
) -> None:
    model = trained(name)
    problem = pose(model, torch.ones(model[0].in_features, dtype=torch.float64))
    assert reached <= check(problem, Ascent().search(problem), model) <= exact


def test_smooth_network_on_a_grid_of_its_two_inputs(pose, check) -> None:
    torch.manual_seed(1)
    model = (
        nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 2))
        .double()
        .eval()
    )
    for layer in model[::2]:
        layer.weight.data *= 3
    box = Box(-2 * torch.ones(2), 2 * torch.ones(2))
    axis = torch.linspace(-2, 2, 201, dtype=torch.float64)
    jacobians = torch.vmap(torch.func.jacrev(model))(torch.cartesian_prod(axis, axis))
    on_grid = torch.linalg.matrix_norm(jacobians, 2).max().item()
    problem = pose(model, torch.zeros(2), box)
    assert (
        on_grid * (1 - 1e-6)
        <= check(problem, Ascent(passes=20_000).search(problem), model)
        <= on_grid * 1.01
    )


def test_detach_changes_the_gradient_and_not_the_function(pose, check) -> None:
    weight = gauss(4, 4)

    def model(x: Tensor) -> Tensor:
        return weight @ x.detach() + x

    exact = torch.linalg.matrix_norm(weight + torch.eye(4, dtype=torch.float64), 2).item()
    problem = pose(model, gauss(4))
    assert exact * (1 - 1e-9) <= check(problem, FAST.search(problem), model) <= exact * (1 + 1e-15)


def test_network_constant_on_a_box_has_the_lower_bound_zero(pose) -> None:
    problem = pose(lambda x: torch.relu(x), -torch.ones(3), Box(-2 * torch.ones(3), -torch.ones(3)))
    found = FAST.search(problem)
    assert (
        isinstance(found, Lower)
        and found.value == 0
        and not torch.equal(found.witness.x, found.witness.y)
    )


def test_network_that_is_flat_about_the_example_and_steep_elsewhere(pose, check) -> None:
    problem = pose(
        lambda x: torch.relu(x - 0.9), torch.zeros(1), Box(-torch.ones(1), torch.ones(1))
    )
    assert check(problem, FAST.search(problem), lambda x: torch.relu(x - 0.9)) > 1 - 1e-9


def test_points_where_the_network_is_not_defined_are_skipped(pose, check) -> None:
    problem = pose(lambda x: torch.log(x), torch.ones(1), Box(-torch.ones(1), 2 * torch.ones(1)))
    assert check(problem, FAST.search(problem), torch.log) > 10


def test_a_jump_has_steep_secants(pose) -> None:
    found = FAST.search(pose(lambda x: torch.sign(x), torch.ones(1)))
    assert isinstance(found, Lower) and found.value > 1e4


def test_function_without_derivative_is_searched_by_its_values(pose, check) -> None:
    problem = pose(
        lambda x: torch.round(4 * x.sum()) + 0.0, torch.ones(2), Box(torch.zeros(2), torch.ones(2))
    )
    assert check(problem, FAST.search(problem), lambda x: torch.round(4 * x.sum())) > 4


def test_inputs_and_outputs_that_are_single_numbers(pose, check) -> None:
    for region in (
        Everywhere(),
        Box(torch.tensor(0.0), torch.tensor(1.0)),
        Ball(torch.tensor(1.0), 0.5),
    ):
        problem = pose(lambda x: torch.relu(3 * x), torch.tensor(1.0), region)
        assert (
            3 * (1 - 1e-9) < check(problem, FAST.search(problem), lambda x: torch.relu(3 * x)) <= 3
        )


def test_difference_of_two_outputs(pose, check) -> None:
    weight = gauss(5, 3)
    problem = pose(linear(weight), gauss(3)).reading(Difference(4, 1).readout(torch.Size([5])))
    value = check(problem, FAST.search(problem), lambda x: weight[4] @ x - weight[1] @ x)
    exact = (weight[4] - weight[1]).norm().item()
    assert exact * (1 - 1e-9) <= value <= exact * (1 + 1e-15)


def test_a_seed_determines_the_result() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(3, 20), nn.ReLU(), nn.Linear(20, 20), nn.ReLU(), nn.Linear(20, 2)
    ).eval()
    capture = capture_model(model, (torch.ones(3),))
    lowers = [
        FAST.search(LowerProblem.of(capture, Everywhere(), Norm.L2, Norm.L2, seed=seed))
        for seed in (5, 5, 6)
    ]
    assert lowers[0].value == lowers[1].value and torch.equal(
        lowers[0].witness.x, lowers[1].witness.x
    )
    assert not torch.equal(lowers[0].witness.x, lowers[2].witness.x)


def test_an_expired_budget_ends_the_search_with_a_bound(pose, check) -> None:
    model = (
        nn.Sequential(
            nn.Linear(50, 400), nn.ReLU(), nn.Linear(400, 400), nn.ReLU(), nn.Linear(400, 10)
        )
        .double()
        .eval()
    )
    problem = pose(model, torch.ones(50), budget=SPENT)
    assert check(problem, Ascent(seconds=60).search(problem), model) > 0
    assert problem.passes < 2000


@pytest.mark.slow
def test_passes_limit_the_work(pose) -> None:
    for passes in (10, 100, 1000):
        problem = pose(linear(gauss(3, 3)), gauss(3))
        Ascent(passes=passes).search(problem)
        assert problem.passes < 1.3 * passes + 60


@pytest.mark.slow
def test_the_search_ends_where_the_best_stands_still(pose) -> None:
    """On a linear map every pair turns to the same direction: rounds after the first few gain
    nothing."""
    patient, hasty = (pose(linear(gauss(6, 6)), gauss(6)) for _ in range(2))
    found = (
        Ascent(passes=40_000, patience=10**9).search(patient),
        Ascent(passes=40_000).search(hasty),
    )
    assert hasty.passes < 0.8 * patient.passes
    assert found[1].value >= found[0].value * (1 - 1e-9)


def test_for_each_of_several_problems_it_takes_a_part_unless_it_was_told_how_much() -> None:
    assert Ascent().shared(10) == Ascent(
        seconds=Ascent().seconds / 10, passes=Ascent().passes // 10
    )
    assert FAST.shared(10) is FAST


def by_hand(x: Tensor) -> Tensor:
    """ELU: the exponential overflows in the branch that is not taken."""
    return torch.where(x > 0, x, torch.exp(x) - 1)


SINGULAR = {
    "roots of windows of zeros": (
        lambda x: torch.relu(x).square().reshape(2, 2).sum(1).sqrt(),
        Box(-1.0, 1.0),
        1.0,
    ),
    "a pool of norms": (
        lambda x: nn.functional.lp_pool2d(torch.relu(x).reshape(1, 1, 2, 2), 2, 2),
        Everywhere(),
        1.0,
    ),
    "a norm": (lambda x: torch.relu(x - 2.0).norm(), Everywhere(), 1.0),
    "modulus by a root": (lambda x: torch.relu(x).pow(2).sqrt(), Everywhere(), 1.0),
    "a branch that overflows": (by_hand, Box(-2000.0, 2000.0), 1.0),
    "a root in a branch": (
        lambda x: torch.where(x > 1, torch.sqrt(x - 1), 0 * x),
        Box(-3.0, 3.0),
        50.0,
    ),
    "a logarithm in a branch": (
        lambda x: torch.where(x > 1, torch.log(x), x - 1),
        Everywhere(),
        1.0,
    ),
    "a mask in logaddexp": (
        lambda x: torch.logaddexp(x, torch.tensor([0.0, -torch.inf, 0.0, 0.0]).double()),
        Everywhere(),
        1.0,
    ),
    "an overflow that is read": (lambda x: 1 / (1 + torch.exp(-x)), Box(-2000.0, 2000.0), 1e-3),
}
"""Functions that are not differentiable where the search goes, a region, and what is attained."""


@pytest.mark.parametrize("name", SINGULAR)
@pytest.mark.parametrize("at", [0.0, 0.7])
def test_where_there_is_no_derivative(pose, check, name: str, at: float) -> None:
    function, region, least = SINGULAR[name]
    problem = pose(function, torch.full((4,), at), region)
    found = Ascent(passes=500).search(problem)
    assert check(problem, found, function) >= least * (1 - 1e-5)


def test_overflows_in_branches_do_not_stop_the_climb(pose, check) -> None:
    """Between two linear layers, over a region where most exponentials overflow: without their
    derivatives the search stays below 8."""
    first, second, third = gauss(20, 10), gauss(20, 20, seed=1) / 3, gauss(4, 20, seed=2) / 3

    def model(x: Tensor) -> Tensor:
        return third @ by_hand(second @ by_hand(first @ x))

    problem = pose(model, torch.zeros(10), Box(-1e5, 1e5))
    assert check(problem, Ascent(passes=5000).search(problem), model) > 8.5
    assert problem.wild
