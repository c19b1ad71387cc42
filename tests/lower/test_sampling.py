"""The searches that look at given points."""

import pytest
import torch
from torch import nn

from autolip.errors import InputError, Refusal
from autolip.lower import Dataset, Grid, LowerMethod, Random
from autolip.norms import Norm
from autolip.regions import Ball, Box, Everywhere
from autolip.values import Lower


def network(inputs: int = 2) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(inputs, 12), nn.Tanh(), nn.Linear(12, 3)).double().eval()


REGIONS = [
    Everywhere(),
    Box(torch.zeros(2), torch.tensor([1.0, 0.5])),
    Ball(torch.ones(2), 0.3),
    Ball(torch.ones(2), 0.3, Norm.LINF),
]


@pytest.mark.parametrize("region", REGIONS, ids=lambda region: type(region).__name__)
@pytest.mark.parametrize(
    "search", [Dataset(torch.randn(40, 2)), Random(points=100), Grid(per_axis=7)]
)
def test_bounds_hold_and_lie_in_the_region(pose, check, region, search: LowerMethod) -> None:
    model = network()
    problem = pose(model, torch.full((2,), 0.25), region)
    value = check(problem, search.search(problem), model)
    points = region.sample(200, torch.full((2,), 0.25), problem.generator())
    jacobians = torch.vmap(torch.func.jacrev(model))(points)
    assert value > 0.5 * torch.linalg.matrix_norm(jacobians, 2).max().item()


def test_jacobian_norms_at_the_data(pose, check) -> None:
    model = network()
    data = torch.randn(30, 2, dtype=torch.float64) * 3
    jacobians = torch.vmap(torch.func.jacrev(model))(data)
    problem = pose(model, torch.zeros(2))
    value = check(problem, Dataset(data).search(problem), model)
    assert value >= torch.linalg.matrix_norm(jacobians, 2).max().item() * (1 - 1e-6)


def test_slopes_between_data_count(pose, check) -> None:
    """A step that no derivative sees."""

    def stairs(x: torch.Tensor) -> torch.Tensor:
        return torch.round(x)

    problem = pose(stairs, torch.zeros(1))
    value = check(
        problem, Dataset(torch.tensor([[0.0], [0.1], [0.45], [0.55]])).search(problem), stairs
    )
    assert value >= 10 * (1 - 1e-6)


def test_pairs_in_different_blocks_and_repeated_points(
    pose, check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autolip.lower.sampling.BLOCK", 3)
    problem = pose(network(), torch.zeros(2))
    data = torch.ones(7, 2)
    data[5] = 0
    assert check(problem, Dataset(data).search(problem), network()) > 0


def test_data_outside_the_region_are_moved_into_it(pose, check) -> None:
    box = Box(torch.zeros(2), torch.ones(2))
    problem = pose(network(), torch.zeros(2), box)
    found = Dataset(10 * torch.randn(20, 2)).search(problem)
    check(problem, found, network())
    assert box.interval(torch.Size([2])).contains(found.witness.x)


def test_data_are_needed_and_must_fit(pose) -> None:
    problem = pose(network(), torch.zeros(2))
    refusal = Dataset().search(problem)
    assert isinstance(refusal, Refusal) and "--data FILE.npy" in str(refusal)
    for data in (torch.ones(5, 3), torch.ones(0, 2), torch.tensor(1.0)):
        with pytest.raises(InputError, match=r"give inputs of shape \(2,\)"):
            Dataset(data).search(problem)
    with pytest.raises(InputError, match="finite"):
        Dataset(torch.full((1, 2), float("nan"))).search(problem)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("abc", "the data holds values of type <U3"),
        (1j * torch.ones(5, 2), "complex64"),
        ([[0], [0, 1]], "no array"),
    ],
)
def test_data_are_real_numbers(pose, data: object, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        Dataset(data).search(pose(network(), torch.zeros(2)))  # type: ignore[arg-type]


def test_data_without_the_batch_axis_of_the_network(pose, check) -> None:
    model = network()
    problem = pose(model, torch.zeros(1, 2))
    assert check(problem, Dataset(torch.randn(10, 2)).search(problem), model) > 0


def test_grid_visits_every_corner(pose, check) -> None:
    """Steep only near one corner of the square, where few random points fall."""

    def function(x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x.sum() - 1.99)

    problem = pose(function, torch.zeros(2), Box(torch.zeros(2), torch.ones(2)))
    value = check(problem, Grid(per_axis=3).search(problem), function)
    assert 2**0.5 * (1 - 1e-6) < value <= 2**0.5


def test_grid_leaves_out_fixed_inputs(pose, check) -> None:
    model = network(40)
    lo = torch.zeros(40)
    hi = lo.clone()
    hi[[3, 7]] = 1.0
    problem = pose(model, lo, Box(lo, hi))
    found = Grid(per_axis=5).search(problem)
    assert check(problem, found, model) > 0
    assert (found.witness.x - found.witness.y).nonzero().flatten().tolist() == [3, 7]


def test_grid_in_many_dimensions_is_refused_with_the_count(pose) -> None:
    refusal = Grid(per_axis=11).search(pose(network(40), torch.zeros(40)))
    assert (
        isinstance(refusal, Refusal)
        and "10^41.7 points" in str(refusal)
        and "ascent" in str(refusal)
    )
    assert isinstance(Grid().search(pose(network(40), torch.zeros(40))), Refusal)


def test_grid_of_one_point_is_an_error(pose) -> None:
    with pytest.raises(InputError, match="at least 2"):
        Grid(per_axis=1).search(pose(network(), torch.zeros(2)))


@pytest.mark.parametrize("search", [Random(), Grid(), Dataset(torch.ones(2, 2))])
def test_nothing_to_vary_is_refused(pose, search: LowerMethod) -> None:
    problem = pose(network(), torch.ones(2), Box(torch.ones(2), torch.ones(2)))
    assert isinstance(search.search(problem), Refusal)


def test_grid_chooses_its_size_by_what_a_pass_costs(pose) -> None:
    problem = pose(network(), torch.zeros(2))
    assert isinstance(Grid().search(problem), Lower)
    assert 1000 < problem.passes < 1_000_000
    few = pose(network(), torch.zeros(2))
    Grid(limit=25).search(few)
    assert few.passes < 600
