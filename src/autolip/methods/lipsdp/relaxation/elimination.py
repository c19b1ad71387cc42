"""Elimination of a sparse quadratic form's small blocks before the rest of it is factorised.

A factorisation may take the variables in any order.  Those of chosen layers come first, where H
couples them with each other in small groups only (a ReLU's own part of H is diagonal; a max-pool's
is one group for every window): what then must be factorised as a whole, and must fit, is the Schur
complement on the others.  Together it is the floating-point Cholesky factorisation of H, in this
order, and proves what that proves.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from autolip.budget import charge
from autolip.operators.norms.semidefinite import lower_factor
from autolip.operators.sparse import Matrix

LARGEST_GROUP = 128
"""Chosen: most variables that may be coupled with each other among those that are eliminated."""

TILE = 256
"""Chosen: about as many of them are eliminated at once."""

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Blocks:
    """Variables that are eliminated, in blocks without couplings between them, and the others, in
    order."""

    eliminated: tuple[Indices, ...]
    kept: Indices

    @staticmethod
    def of(matrix: Matrix, layers: Iterable[slice]) -> "Blocks":
        """The larger layers first, as long as no group becomes too large; groups are put together
        to blocks.

        Neighbours in a block reach the same last variable, or nearly: an image's, as the input
        comes last.
        """
        chosen = np.zeros(matrix.shape[0], dtype=bool)
        groups = np.zeros(0, dtype=np.int64)
        for layer in sorted(layers, key=lambda layer: layer.start - layer.stop):
            trial = chosen.copy()
            trial[layer] = True
            found = _groups(matrix, trial) if _most(matrix[layer], trial) <= LARGEST_GROUP else None
            if found is not None and np.bincount(found).max() <= LARGEST_GROUP:
                chosen, groups = trial, found
        (at,) = chosen.nonzero()
        sizes = np.bincount(groups)
        last = np.zeros(groups.max(initial=-1) + 1, dtype=np.int64)
        np.maximum.at(last, groups, matrix.indices[matrix.indptr[at + 1] - 1])
        order = np.argsort(last, kind="stable")
        tiles = np.empty_like(last)
        tiles[order] = np.cumsum(sizes[order]) // TILE
        numbers = tiles[groups]
        return Blocks(
            tuple(at[numbers == tile] for tile in np.unique(tiles)), np.flatnonzero(~chosen)
        )

    def complement(self, matrix: Matrix, diagonal: NDArray[np.float64]) -> Tensor | None:
        """The Schur complement in the variables kept, of the matrix with another diagonal; None
        where a block is not definite, or coupled with another."""
        kept = self.kept
        place = np.full(len(diagonal), -1)
        place[kept] = np.arange(len(kept))
        schur = matrix[kept][:, kept].toarray()
        np.fill_diagonal(schur, diagonal[kept])
        for own in self.eliminated:
            rows = matrix[own]
            reached = np.unique(rows.indices)
            used = reached[place[reached] >= 0]
            if np.isin(reached, own).sum() + len(used) != len(reached):
                return None
            square = rows[:, own].toarray()
            np.fill_diagonal(square, diagonal[own])
            factor = lower_factor(torch.from_numpy(square))
            if factor is None:
                return None
            cross = torch.from_numpy(rows[:, used].toarray())
            solved = torch.linalg.solve_triangular(factor, cross, upper=False).numpy()
            charge(len(own) * len(used) ** 2)
            schur[np.ix_(place[used], place[used])] -= solved.T @ solved
        return torch.from_numpy(schur)


def _groups(matrix: Matrix, chosen: NDArray[np.bool_]) -> Indices:
    """Which of the chosen variables belong together, by numbers."""
    (at,) = chosen.nonzero()
    labels: Indices = connected_components(matrix[at][:, at], directed=False)[1].astype(np.int64)
    return labels


def _most(rows: Matrix, chosen: NDArray[np.bool_]) -> int:
    """Chosen variables in a row, at most."""
    pattern = sparse.csr_array((np.ones(rows.nnz), rows.indices, rows.indptr), rows.shape)
    return int((pattern @ chosen).max(initial=0))
