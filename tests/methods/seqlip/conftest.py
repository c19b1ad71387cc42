"""Pairs of every kind that the inner problem meets."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor


@dataclass(frozen=True)
class Inner:
    a: Tensor
    b: Tensor
    lo: Tensor
    hi: Tensor

    def parts(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.a, self.b, self.lo, self.hi


def relu(a: Tensor, b: Tensor) -> Inner:
    return Inner(a, b, torch.zeros(len(b)).double(), torch.ones(len(b)).double())


def gaussian(p: int, n: int, q: int, seed: int = 0) -> Inner:
    g = torch.Generator().manual_seed(seed)
    return relu(torch.randn(p, n, generator=g).double(), torch.randn(n, q, generator=g).double())


def with_slopes(inner: Inner, lo: float, hi: float) -> Inner:
    return Inner(inner.a, inner.b, torch.full_like(inner.lo, lo), torch.full_like(inner.hi, hi))


def random_slopes(seed: int) -> Inner:
    """Intervals anywhere, some of them points, some of them negative."""
    inner = gaussian(7, 9, 6, seed)
    g = torch.Generator().manual_seed(100 + seed)
    ends = torch.randn(2, 9, generator=g).double().sort(0).values
    ends[1, :2] = ends[0, :2]
    return Inner(inner.a, inner.b, ends[0], ends[1])


def badly_scaled() -> Inner:
    inner = gaussian(8, 10, 8, 5)
    scale = torch.tensor([1e6, 1e-6] * 5).double()
    return relu(inner.a * scale, inner.b * scale.flip(0)[:, None] * 1e-3)


def dead_neurons() -> Inner:
    inner = gaussian(6, 9, 7, 6)
    a, b = inner.a.clone(), inner.b.clone()
    a[:, 2], b[5], b[7] = 0, 0, 1e-300
    return relu(a, b)


def duplicated() -> Inner:
    inner = gaussian(5, 5, 6, 7)
    return relu(torch.cat([inner.a, inner.a], 1), torch.cat([inner.b, inner.b]))


def decaying() -> Inner:
    inner = gaussian(10, 10, 10, 8)
    values = 0.6 ** torch.arange(10).double()
    return relu(values[:, None] * torch.linalg.qr(inner.a).Q, torch.linalg.qr(inner.b).Q * values)


CASES: dict[str, Callable[[], Inner]] = {
    "square": lambda: gaussian(10, 10, 10),
    "tall": lambda: gaussian(25, 8, 30),
    "thin": lambda: gaussian(2, 12, 3),
    "row": lambda: gaussian(1, 11, 9),
    "rank one": lambda: gaussian(1, 12, 1),
    "one neuron": lambda: gaussian(4, 1, 3),
    "leaky": lambda: with_slopes(gaussian(9, 9, 9, 1), 0.1, 1.0),
    "overshooting": lambda: with_slopes(gaussian(9, 9, 9, 2), -0.13, 1.13),
    "negative": lambda: with_slopes(gaussian(8, 8, 8, 3), -2.0, -0.5),
    "symmetric": lambda: with_slopes(gaussian(6, 10, 6, 4), -1.0, 1.0),
    "fixed": lambda: with_slopes(gaussian(8, 8, 8, 3), 0.7, 0.7),
    "random slopes": lambda: random_slopes(0),
    "other random slopes": lambda: random_slopes(1),
    "badly scaled": badly_scaled,
    "dead neurons": dead_neurons,
    "duplicated": duplicated,
    "decaying": decaying,
}


@pytest.fixture(params=list(CASES), scope="session")
def inner(request: pytest.FixtureRequest) -> Inner:
    """One pair of each kind, small enough to enumerate."""
    return CASES[request.param]()


@pytest.fixture(scope="session")
def pair_of() -> Callable[..., Inner]:
    """A Gaussian pair (p, n, q, seed) with ReLU slopes."""
    return gaussian
