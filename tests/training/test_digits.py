"""What penalties are for, on scikit-learn's digits: constants that are proved to be smaller, at the
accuracy there was."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from autolip import lipschitz
from autolip.reproduce.images import load_images
from autolip.training import Penalty

from .networks import mlp


class Skipped(nn.Module):
    """x + W relu(V x)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(size, size), nn.Linear(size, size)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(torch.relu(self.first(x)))


def residual() -> nn.Module:
    torch.manual_seed(0)
    blocks = Skipped(64), Skipped(64)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 64), *blocks, nn.ReLU(), nn.Linear(64, 10))


def convolutional() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten(),
        nn.Linear(256, 10),
    )  # fmt: skip


def dense() -> nn.Module:
    return nn.Sequential(nn.Flatten(), mlp((64, 128, 128, 128, 10)))


@dataclass(frozen=True)
class Trained:
    """A network after training: held-out accuracy, the last estimate of the penalty, what it is
    when it is left to settle, the proof."""

    accuracy: float
    estimate: float
    settled: float
    proved: float


def trained(
    make: Callable[[], nn.Module], weight: float, epochs: int = 15, columns: int = 4
) -> Trained:
    """Cross-entropy plus weight x log K."""
    images = load_images(None, small=True)
    model = make()
    penalty = Penalty(model, images.x[:1], columns=columns)
    penalty.settle(50)
    optimiser = torch.optim.Adam(model.parameters())
    steps = epochs * len(torch.arange(len(images.x)).split(64))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
    generator = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        for chosen in torch.randperm(len(images.x), generator=generator).split(64):
            loss = nn.functional.cross_entropy(model(images.x[chosen]), images.y[chosen])
            loss = loss + weight * penalty().log() if weight else loss
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    model.eval()
    accuracy = float((model(images.test_x).argmax(1) == images.test_y).double().mean())
    bound = lipschitz(model, images.x[:1], method="lipsdp", lower=None).upper
    assert bound is not None and bound.value is not None
    return Trained(accuracy, penalty().item(), penalty.settle(1000, 1e-7), bound.value)


@pytest.mark.slow
@pytest.mark.parametrize("make, weight, columns", [(convolutional, 0.3, 8), (residual, 0.1, 4)])
def test_the_proved_bound_is_a_third_at_one_per_cent_of_accuracy(
    make: Callable[[], nn.Module], weight: float, columns: int
) -> None:
    """Batch norm and max-pooling among convolutions, and values that are read twice."""
    free, tight = trained(make, 0.0), trained(make, weight, columns=columns)
    assert tight.proved <= free.proved / 3
    assert tight.accuracy >= free.accuracy - 0.01
    assert 0.98 * tight.proved <= tight.estimate <= tight.proved * (1 + 1e-5)
    assert 0.99 * tight.proved <= tight.settled <= tight.proved * (1 + 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("make", [dense, residual])
def test_the_estimate_of_the_last_step_is_within_one_per_cent_of_the_proof(
    make: Callable[[], nn.Module],
) -> None:
    found = trained(make, 0.1)
    assert 0.99 * found.proved <= found.estimate <= found.proved * (1 + 1e-5)
