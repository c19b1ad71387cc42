"""The synthetic function: exactly a Gaussian process with an RBF kernel."""

import torch

from autolip.reproduce.gaussian import GaussianProcess, features, square_points


def test_features_give_the_kernel() -> None:
    t = torch.linspace(-4, 4, 33, dtype=torch.float64)
    kernel = (-((t[:, None] - t) ** 2) / 2).exp()
    assert torch.allclose(features(t) @ features(t).T, kernel, rtol=0, atol=1e-14)


def test_a_draw_is_a_smooth_function_of_its_points_alone() -> None:
    x = square_points(50, 2.0, seed=1)
    process = GaussianProcess(seed=3)
    whole = process(x)
    assert whole.shape == (50, 1)
    assert torch.allclose(process(x[10:20]), whole[10:20], rtol=0, atol=1e-13)
    assert not torch.allclose(GaussianProcess(seed=4)(x), whole)


def test_draws_have_the_covariance_of_the_kernel() -> None:
    x = torch.tensor([[0.0, 0.0], [0.5, -1.0]], dtype=torch.float64)
    draws = torch.stack([GaussianProcess(seed, length=0.8)(x)[:, 0] for seed in range(1000)])
    wanted = (-(torch.cdist(x, x) ** 2) / (2 * 0.8**2)).exp()
    assert torch.allclose(draws.T @ draws / len(draws), wanted, atol=5 * (2 / 1000) ** 0.5)


def test_points_fill_the_square() -> None:
    x = square_points(2000, 2.0, seed=0)
    assert x.abs().max() <= 2 and x.max() > 1.98 and x.min() < -1.98
