"""Training: seeded, converging, and without traces in the caller's random state."""

import torch
from torch import nn

from autolip.reproduce.training import Recipe, fit, seeded


def test_training_finds_the_least_squares_solution() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200, 3, generator=generator)
    truth = torch.tensor([[1.0, -2.0, 0.5]])
    model = seeded(lambda: nn.Linear(3, 1), 0)
    loss = fit(model, x, x @ truth.T + 1, nn.functional.mse_loss, Recipe(600, 50, 0.05), seed=0)
    assert loss < 1e-6 and not model.training
    assert torch.allclose(model.weight, truth, atol=1e-3) and torch.allclose(
        model.bias, torch.ones(1), atol=1e-3
    )
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_the_same_seed_gives_the_same_weights_and_leaves_the_random_state() -> None:
    before = torch.random.get_rng_state()
    models = []
    for seed in (0, 0, 1):
        model = seeded(lambda: nn.Linear(2, 2), seed)
        fit(model, torch.eye(2), torch.eye(2), nn.functional.mse_loss, Recipe(5, 2, 0.1), seed)
        models.append(model.weight)
    assert torch.equal(models[0], models[1]) and not torch.equal(models[0], models[2])
    assert torch.equal(torch.random.get_rng_state(), before)
