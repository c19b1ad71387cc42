"""The Lanczos recurrence, with the size of everything that floating point left over."""

import math
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.linalg import eigh_tridiagonal
from torch import Tensor

from autolip.roundoff import UNIT

MEMORY = 2**29
"""Chosen: bytes that one basis may take: more of it costs more than the steps that it saves. Ritz
vectors need all of it."""


class Krylov:
    """B V = V T + beta v e_k^T + F for a symmetric B: T tridiagonal, V the basis, one column more
    at each `step`.

    The vectors are orthogonalised against the whole basis (against its beginning, once its memory
    is full).  F is what rounding and orthogonalisation did to the recurrence; `defects` bound its
    columns, except for the rounding errors of the products themselves.  Cost of a step: one
    product, 4 k n multiply-adds.
    """

    def __init__(
        self,
        product: Callable[[Tensor], Tensor],
        start: Float[Tensor, " n"],
        capacity: int,
        memory: int = MEMORY,
    ) -> None:
        self.product = product
        length = math.sqrt(_dot(start, start))
        self.vector = start / length
        self._previous = torch.zeros_like(start)
        self.alphas: list[float] = []
        self.betas: list[float] = []
        self.defects: list[float] = []
        of_a_vector = 8 * start.numel()
        rows = max(1, min(capacity, memory // of_a_vector))
        self._basis = start.new_empty(rows, start.numel())

    def __len__(self) -> int:
        return len(self.alphas)

    @property
    def exhausted(self) -> bool:
        """Whether the space is invariant: nothing is left to add."""
        return bool(self.betas) and not self.betas[-1] > 0

    def step(self) -> None:
        """Add one vector."""
        if len(self) < len(self._basis):
            self._basis[len(self)] = self.vector
        image = self.product(self.vector)
        alpha = _dot(self.vector, image)
        known = (
            image - alpha * self.vector - (self.betas[-1] if self.betas else 0.0) * self._previous
        )
        basis = self._basis[: len(self) + 1]
        fresh = known - basis.T @ (basis @ known)
        beta = math.sqrt(_dot(fresh, fresh))
        following = fresh / beta if beta > 0 else fresh
        recurrence = 6 * UNIT * image.norm().item()
        self.defects.append((known - beta * following).norm().item() + recurrence)
        self.alphas.append(alpha)
        self.betas.append(beta)
        self._previous, self.vector = self.vector, following

    def grow(self, steps: int, enough: float = math.inf) -> "Krylov":
        """Add vectors: until there are this many, or the space is invariant, or the largest Ritz
        value is `enough`."""
        while len(self) < min(steps, len(self.vector)) and not self.exhausted:
            self.step()
            if math.isfinite(enough) and self.top() >= enough:
                break
        return self

    def spectrum(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Eigenvalues of T, increasing, and their orthonormal eigenvectors (columns)."""
        diagonal = np.array(self.alphas)
        beside = np.array(self.betas[:-1])
        values, vectors = eigh_tridiagonal(diagonal, beside)
        return values, vectors

    def combined(self, combinations: NDArray[np.float64]) -> Float[Tensor, "m n"]:
        """Combinations (columns) of the vectors, those that memory kept."""
        basis = self._basis[: len(self)]
        return torch.from_numpy(np.ascontiguousarray(combinations[: len(basis)].T)) @ basis

    def top(self) -> float:
        """The largest Ritz value: at most ||B||, up to rounding."""
        return max(float(self.spectrum()[0][-1]), 0.0)

    def leading(self) -> tuple[float, Float[Tensor, " n"]]:
        """The largest Ritz value and its vector, which lies in the part of the basis that is
        kept."""
        values, vectors = self.spectrum()
        return float(values[-1]), self.combined(vectors[:, -1:])[0]

    def residual(self) -> float:
        """||B x - theta x|| of the largest Ritz pair."""
        return self.betas[-1] * abs(float(self.spectrum()[1][-1, -1]))


def _dot(x: Float[Tensor, " n"], y: Float[Tensor, " n"]) -> float:
    """<x, y>, summed pairwise: the error of a plain loop would dominate the defect of long
    vectors."""
    return (x * y).sum().item()
