"""Training as simple as it gets: Adam, the rate falling to zero along half a cosine, everything
seeded."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Recipe:
    """This many steps on random batches."""

    steps: int
    batch: int
    rate: float


def fit(model: nn.Module, x: Tensor, y: Tensor, loss: Loss, recipe: Recipe, seed: int) -> float:
    """Minimise the mean loss in place, then evaluation mode; the mean loss over the last tenth of
    the steps."""
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(model.parameters(), recipe.rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.steps)
    model.train()
    recent = []
    for step in range(recipe.steps):
        chosen = torch.randint(len(x), (min(recipe.batch, len(x)),), generator=generator)
        value = loss(model(x[chosen]), y[chosen])
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        schedule.step()
        if step >= recipe.steps * 9 // 10:
            recent.append(value.item())
    model.eval().requires_grad_(False)
    return sum(recent) / len(recent)


def seeded(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    """A network with the same random weights every time; the caller's random state is left
    alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build().eval()
