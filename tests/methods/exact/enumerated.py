"""Every linear region of a small ReLU chain, neuron by neuron, by linear programs of scipy: not a
line of the program under test."""

from collections.abc import Iterator

import numpy as np
import torch
from scipy.optimize import linprog
from torch import Tensor, nn

DEPTH = 1e-9
"""Least depth of a region that counts."""

Rows = list[tuple[np.ndarray, float]]


def jacobians(
    model: nn.Sequential, slope: float = 0.0, box: tuple[float, float] | None = None
) -> Iterator[Tensor]:
    """The derivative in every linear region of Linear, (leaky) ReLU, ..., Linear, in a box."""
    linear = [layer for layer in model if isinstance(layer, nn.Linear)]
    weights = [layer.weight.detach().numpy() for layer in linear]
    biases = [
        np.zeros(len(layer.weight)) if layer.bias is None else layer.bias.detach().numpy()
        for layer in linear
    ]
    start = np.eye(weights[0].shape[1]), np.zeros(weights[0].shape[1])
    yield from _below(weights, biases, 0, start, [], slope, box)


def constant(model: nn.Sequential, slope: float = 0.0, p: float = 2, q: float = 2) -> float:
    """The largest norm; l2, or row and column sums."""
    return max(norm(matrix, p, q) for matrix in jacobians(model, slope))


def norm(matrix: Tensor, p: float, q: float) -> float:
    """||A||_{p -> q}, for p = 1, q = inf, or p = q = 2."""
    if p == 1:
        return float(torch.linalg.vector_norm(matrix, q, dim=0).max())
    if q == float("inf"):
        dual = 1.0 if p == float("inf") else 2.0
        return float(torch.linalg.vector_norm(matrix, dual, dim=1).max())
    return float(torch.linalg.matrix_norm(matrix.detach(), 2))


def _below(weights, biases, k, value, rows, slope, box) -> Iterator[Tensor]:  # type: ignore[no-untyped-def]
    matrix, offset = weights[k] @ value[0], weights[k] @ value[1] + biases[k]
    if k == len(weights) - 1:
        yield torch.from_numpy(matrix)
        return
    for signs, more in _patterns(matrix, offset, 0, [], rows, box):
        scale = np.where(np.array(signs) > 0, 1.0, slope)
        after = scale[:, None] * matrix, scale * offset
        yield from _below(weights, biases, k + 1, after, more, slope, box)


def _patterns(matrix, offset, i, signs, rows, box) -> Iterator[tuple[list[int], Rows]]:  # type: ignore[no-untyped-def]
    if i == len(matrix):
        yield signs, rows
        return
    for sign in (1, -1):
        more = [*rows, (sign * matrix[i], sign * offset[i])]
        if not matrix[i].any() or _depth(more, box) > DEPTH:
            kept = more if matrix[i].any() else rows
            if matrix[i].any() or sign * offset[i] > 0 or (offset[i] == 0 and sign > 0):
                yield from _patterns(matrix, offset, i + 1, [*signs, sign], kept, box)


def _depth(rows: Rows, box: tuple[float, float] | None) -> float:
    matrix = np.array([row for row, _ in rows])
    lengths = np.linalg.norm(matrix, axis=1)
    above = np.hstack([-matrix, lengths[:, None]])
    ends = [(None, None) if box is None else box] * matrix.shape[1]
    cost = np.append(np.zeros(matrix.shape[1]), -1.0)
    found = linprog(cost, above, [b for _, b in rows], bounds=[*ends, (None, 1.0)])
    return float(found.x[-1]) if found.status == 0 else -1.0
