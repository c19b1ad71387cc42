"""Small networks to train, and the data: scikit-learn's digits."""

from functools import cache
from itertools import pairwise

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn


def mlp(
    widths: tuple[int, ...] = (8, 32, 32, 3), seed: int = 0, activation: type[nn.Module] = nn.ReLU
) -> nn.Sequential:
    """Linear layers with an activation between them."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), activation()]
    return nn.Sequential(*layers[:-1])


class Residual(nn.Module):
    """Two branches that meet, one value read twice."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.first, self.second, self.last = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = x + self.second(torch.relu(self.first(x)))
        return self.last(h + torch.tanh(h))


def conv(seed: int = 0) -> nn.Sequential:
    """Convolutions with batch norm (statistics away from 0 and 1) and a max-pool, on 8 x 8
    images."""
    torch.manual_seed(seed)
    norm = nn.BatchNorm2d(4)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), norm, nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(24, 5),
    )  # fmt: skip
    nn.init.uniform_(norm.running_var, 0.5, 2)
    nn.init.normal_(norm.running_mean)
    nn.init.uniform_(norm.weight, 0.5, 2)
    return model


class Attention(nn.Module):
    """One head on three tokens, a residual and a read-out: no constant bounds it everywhere."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.query, self.key, self.value = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)
        self.last = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        scores = self.query(x) @ self.key(x).transpose(-1, -2) / 2
        h = x + scores.softmax(-1) @ self.value(x)
        return self.last(torch.relu(h).flatten(1))


@cache
def digits() -> tuple[Tensor, Tensor]:
    """Images in [0, 1], flat, and labels."""
    x, y = load_digits(return_X_y=True)
    return torch.tensor(x / 16.0).float(), torch.tensor(y)
