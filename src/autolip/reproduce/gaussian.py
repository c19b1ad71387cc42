"""A function of two variables drawn from a Gaussian process: the synthetic data of the paper's
MLPs."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

TERMS = 96
"""Proved: terms of the expansion along each axis; what is left out is below 1e-20 for |t| <= 4."""


@dataclass(frozen=True)
class GaussianProcess:
    """A draw f ~ GP(0, k), k(x, y) = exp(-|x - y|^2 / (2 length^2)), as a function that can be
    evaluated anywhere.

    The kernel is a product of one for each axis, and exp(-(s - t)^2 / 2) = sum_n phi_n(s) phi_n(t)
    with phi_n(t) = exp(-t^2 / 2) t^n / sqrt(n!), so that

        f(x) = sum_mn Z_mn phi_m(x_1 / length) phi_n(x_2 / length),

    the Z_mn independent and standard normal, has exactly this covariance; the terms left out are
    smaller than rounding where |x_i| <= 4 length.
    """

    seed: int
    length: float = 1.0

    def __call__(self, x: Float[Tensor, "k 2"]) -> Float[Tensor, "k 1"]:
        """The values at the rows of x, float64."""
        generator = torch.Generator().manual_seed(self.seed)
        z = torch.randn(TERMS, TERMS, dtype=torch.float64, generator=generator)
        first, second = (features(x[:, axis].double() / self.length) for axis in (0, 1))
        return ((first @ z) * second).sum(1, keepdim=True)


def features(t: Float[Tensor, " k"]) -> Float[Tensor, "k terms"]:
    """phi_n(t): the inner product of two rows is exp(-(s - t)^2 / 2)."""
    n = torch.arange(TERMS, dtype=torch.float64)
    logarithm = (
        n * t.abs().clamp(min=1e-300).log()[:, None] - torch.lgamma(n + 1) / 2 - t[:, None] ** 2 / 2
    )
    is_odd = n % 2 == 1
    sign = torch.where((t[:, None] < 0) & is_odd, -1.0, 1.0)
    return sign * logarithm.exp()


def square_points(count: int, half: float, seed: int) -> Float[Tensor, "count 2"]:
    """Independent uniform points of the square [-half, half]^2."""
    if count < 1 or not math.isfinite(half):
        raise ValueError(f"{count} points in a square of half-width {half}")
    generator = torch.Generator().manual_seed(seed)
    return half * (2 * torch.rand(count, 2, dtype=torch.float64, generator=generator) - 1)
