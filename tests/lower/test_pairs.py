"""Directions, slopes and gradients of pairs of points."""

import pytest
import torch
from torch import nn

from autolip.lower.pairs import Pairs, ends, maximiser, measured, power, pull, random_directions
from autolip.norms import Norm
from autolip.regions import Box


def gauss(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def linear(weight: torch.Tensor) -> nn.Module:
    layer = nn.Linear(weight.shape[1], weight.shape[0], dtype=torch.float64).eval()
    layer.weight.data = weight
    return layer


@pytest.mark.parametrize("norm", Norm)
def test_maximiser_attains_the_dual_norm_within_the_unit_ball(norm: Norm) -> None:
    g = gauss(5, 2, 3)
    v = maximiser(g, norm)
    torch.testing.assert_close((g * v).sum((1, 2)), norm.dual.of_rows(g))
    torch.testing.assert_close(norm.of_rows(v), torch.ones(5, dtype=torch.float64))


@pytest.mark.parametrize("norm", Norm)
def test_maximiser_of_zero_is_zero(norm: Norm) -> None:
    assert not maximiser(torch.zeros(2, 3, dtype=torch.float64), norm).any()


def test_maximiser_survives_numbers_whose_squares_underflow() -> None:
    v = maximiser(torch.tensor([[3e-200, 4e-200]], dtype=torch.float64), Norm.L2)
    torch.testing.assert_close(v, torch.tensor([[0.6, 0.8]], dtype=torch.float64))


def test_pull_is_the_transposed_jacobian_at_both_points(pose) -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        return torch.stack([x[0] * x[1], x[0].sin() + x[2] ** 2])

    problem = pose(function, gauss(3))
    x, y = gauss(4, 3, seed=1), gauss(4, 3, seed=2)
    pulled = pull(problem, x, y)
    for k in range(4):
        rise = function(x[k]) - function(y[k])
        for points, gradient in ((x, pulled.at_x), (y, pulled.at_y)):
            jacobian = torch.autograd.functional.jacobian(function, points[k])
            torch.testing.assert_close(gradient[k], jacobian.T @ (rise / rise.norm()))
        assert pulled.pairs.slope[k].item() == pytest.approx(
            (rise.norm() / (x[k] - y[k]).norm()).item()
        )


def test_pull_one_pair_at_a_time_is_the_same(pose, monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)).double().eval()
    x, y = gauss(4, 3, seed=1), gauss(4, 3, seed=2)
    together = pull(pose(model, gauss(3)), x, y)
    for numbers in (1, 20, 40):
        monkeypatch.setattr("autolip.lower.problem.CHUNK", numbers)
        apart = pull(pose(model, gauss(3)), x, y)
        torch.testing.assert_close(apart.at_x, together.at_x)
        torch.testing.assert_close(apart.at_y, together.at_y)
        torch.testing.assert_close(apart.pairs.slope, together.pairs.slope)


def test_where_f_is_not_finite_or_points_coincide_there_is_no_slope(pose) -> None:
    problem = pose(lambda x: torch.log(x), torch.ones(1))
    points = torch.tensor([[2.0], [-1.0], [2.0]], dtype=torch.float64)
    slope = measured(
        problem, points, torch.tensor([[1.0], [1.0], [2.0]], dtype=torch.float64)
    ).slope
    torch.testing.assert_close(
        slope, torch.tensor([0.6931471805599453, -1.0, -1.0], dtype=torch.float64)
    )


def test_power_finds_the_largest_singular_value(pose) -> None:
    weight = gauss(4, 6)
    problem = pose(linear(weight), gauss(6))
    start = random_directions(problem, 2, problem.generator())
    found = power(problem, gauss(2, 6, seed=3), start, 1e-3, 200)
    exact = torch.linalg.matrix_norm(weight, 2)
    torch.testing.assert_close(found.slope, exact.expand(2), rtol=1e-9, atol=0)


def test_entries_that_cannot_vary_are_left_alone(pose) -> None:
    box = Box(torch.tensor([0.0, 1.0, 0.0]), torch.tensor([1.0, 1.0, 2.0]))
    problem = pose(linear(gauss(2, 3)), torch.ones(3), box)
    direction = random_directions(problem, 5, problem.generator())
    pulled = pull(
        problem,
        *ends(problem, box.sample(5, torch.ones(3), problem.generator()), direction, torch.ones(5)),
    )
    assert not direction[:, 1].any() and not pulled.turning[:, 1].any()
    assert direction[:, [0, 2]].all() and pulled.turning[:, [0, 2]].all()


def test_pairs_keep_the_steeper_and_sort() -> None:
    x = torch.arange(3.0, dtype=torch.float64)[:, None]
    some = Pairs(x, x + 1, torch.tensor([1.0, 5.0, 2.0], dtype=torch.float64))
    other = Pairs(x + 10, x + 12, torch.tensor([3.0, 4.0, -1.0], dtype=torch.float64))
    best = some.better(other)
    assert best.slope.tolist() == [3.0, 5.0, 2.0] and best.x.flatten().tolist() == [10.0, 1.0, 2.0]
    assert some.joined(other).steepest(2).slope.tolist() == [5.0, 4.0]
    assert Pairs.at(x).better(some).slope.tolist() == some.slope.tolist()
    torch.testing.assert_close(other.centre, x + 11)
    torch.testing.assert_close(other.direction(Norm.L2), -torch.ones_like(x))
