"""The layers of a chain as products of two factors, exactly: leading singular directions and what is left.

For any P (m, E), Q (E, n) and g > 0, with F = W - P Q,

    W = [P, g I] [Q; F / g],

so that a layer may be cut there, and nothing is asked of the decomposition that P and Q came from: its rounding is part
of F.  With W = U S V^T, theta = s_{E+1}:

    inner layers:  P = U_E (S_E - theta)^1/2,    Q = (S_E - theta)^1/2 V_E^T,    g = theta^1/2
    first layer:   P = U_E (S_E^2 - theta^2)^1/2,  Q = (1 - theta^2 / S_E^2)^1/2 V_E^T,    g = theta

make ||F|| = theta for the first kind, || [P, g I] || the root of s_1 (or s_1), and || [Q; F / g] || the root of s_1
(or 1), and these are what is proved afterwards.  The last layer is the transpose of a first one.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.errors import Refusal
from autolip.methods.layerwise import dense_layers
from autolip.methods.seqlip.theorem3 import norm_bound
from autolip.norms import Norm
from autolip.operators.algebra import Sum, compose
from autolip.operators.dense import Dense
from autolip.operators.diagonal import Diagonal
from autolip.operators.index import Incidence
from autolip.operators.norms import NormOptions, operator_norm
from autolip.operators.norms.power import Singular, top_singular
from autolip.operators.norms.rounding import upper_norm
from autolip.operators.operator import Operator
from autolip.values import ONE, ZERO, Upper, round_up

WHOLE = 2**24
"""Greatest number of entries of a layer that is kept whole (128 MiB)."""

DECOMPOSED = 1024
"""Greatest smaller side of a layer of which every singular direction is kept."""

TOLERANCE = 1e-3
"""Relative accuracy of the singular directions of larger layers: what they miss is part of the residual."""

AUTOMATIC_RANK = 100
"""Singular directions kept of larger layers where no rank is asked for."""


@dataclass(frozen=True)
class Factor:
    """[matrix, scale C] on the left of a layer's cut, [matrix; scale C] on its right, || C || <= 1."""

    matrix: Float[Tensor, "m k"]
    scale: Upper

    @cached_property
    def norm(self) -> Upper:
        return norm_bound(self.matrix)


@dataclass(frozen=True)
class Split:
    """W = left right: `left` meets the slopes above, `right` those below; the other one is at most `outer`.

    At the two ends of a chain one of the factors meets no slopes and is None.
    """

    left: Factor | None
    right: Factor | None
    outer: Upper = ONE


@dataclass(frozen=True)
class Splitter:
    """How layers are cut: at `rank` singular directions (None: all where that is feasible), the rest proved or not."""

    rank: int | None
    residual: bool
    options: NormOptions

    def first(self, layer: Operator) -> Split | Refusal:
        """The layer that meets slopes above only."""
        rank = self._rank(layer, whole=layer.in_size * layer.out_size <= WHOLE)
        return self._whole(layer) if rank is None else self._truncated_end(layer, rank)

    def last(self, layer: Operator) -> Split | Refusal:
        """The layer that meets slopes below only."""
        turned = self.first(layer.T)
        if isinstance(turned, Refusal) or turned.left is None:
            return turned
        return Split(None, Factor(turned.left.matrix.T, turned.left.scale), turned.outer)

    def middle(self, layer: Operator) -> Split | Refusal:
        """A layer between slopes."""
        size = min(layer.in_size, layer.out_size)
        feasible = size <= DECOMPOSED and layer.in_size * layer.out_size <= WHOLE
        rank = self._rank(layer, whole=feasible) or size
        found = self._top(layer, min(rank + 1, size))
        theta = _next(found, rank) if self.residual else 0.0
        root = (found.values[:rank] - theta).clamp_min(0).sqrt()
        p, q = _left(found, rank) * root, root[:, None] * _right(found, rank)
        if not self.residual:
            return Split(Factor(p, ZERO), Factor(q, ZERO))
        rest = operator_norm(_rest(layer, p, q), Norm.L2, Norm.L2, self.options)
        if isinstance(rest, Refusal):
            return rest
        return Split(Factor(p, rest.sqrt()), Factor(q, rest.sqrt()))

    def uncut(self, layer: Operator, last: bool) -> Split | Refusal:
        """W = [g I] [F / g] with g^2 = ||W||: nothing singled out; at the last layer g I is an outer factor."""
        norm = operator_norm(layer, Norm.L2, Norm.L2, self.options)
        if isinstance(norm, Refusal):
            return norm
        right = Factor(torch.zeros(0, layer.in_size).double(), norm.sqrt())
        if last:
            return Split(None, right, norm.sqrt())
        return Split(Factor(torch.zeros(layer.out_size, 0).double(), norm.sqrt()), right)

    def _top(self, layer: Operator, number: int) -> Singular:
        accuracy = TOLERANCE if min(layer.in_size, layer.out_size) > DECOMPOSED else 0.0
        return top_singular(layer, number, accuracy, self.options.seed)

    def _rank(self, layer: Operator, whole: bool) -> int | None:
        """How many directions are kept; None for all."""
        size = min(layer.in_size, layer.out_size)
        if self.rank is None and whole:
            return None
        rank = AUTOMATIC_RANK if self.rank is None else self.rank
        return rank if rank < size else None

    def _whole(self, layer: Operator) -> Split | Refusal:
        """W = [A, g I] [I; F / g], A its matrix as computed and F its rounding."""
        matrices = dense_layers([layer])
        if isinstance(matrices, Refusal):
            return matrices
        weight, error = matrices[0].weight, upper_norm(matrices[0].error)
        if not error or not self.residual:
            return Split(Factor(weight, ZERO), None)
        gain = math.sqrt(error) * math.sqrt(max(upper_norm(weight), error))
        share = Upper(round_up(error / gain))
        return Split(Factor(weight, Upper(gain)), None, (ONE + share * share).sqrt())

    def _truncated_end(self, layer: Operator, rank: int) -> Split | Refusal:
        found = self._top(layer, rank + 1)
        s, theta = found.values[:rank], _next(found, rank)
        share = (1 - (theta / s.clamp_min(1e-300)) ** 2).clamp_min(0).sqrt()
        if not self.residual:
            return Split(Factor(_left(found, rank) * s, ZERO), None)
        p, q = _left(found, rank) * (s * share), share[:, None] * _right(found, rank)
        gain = theta if theta > 0 else 2.0**-30 * s[0].item()
        if not gain:
            return self._whole(layer)
        outer = operator_norm(_stacked(layer, p, q, 1 / gain), Norm.L2, Norm.L2, self.options)
        if isinstance(outer, Refusal):
            return outer
        return Split(Factor(p, Upper(round_up(1 / (1 / gain)))), None, outer)


def _next(found: Singular, rank: int) -> float:
    """The first singular value left out, 0 where none is."""
    return found.values[rank].item() if len(found.values) > rank else 0.0


def _left(found: Singular, rank: int) -> Float[Tensor, "m k"]:
    return found.left[:rank].flatten(1).T


def _right(found: Singular, rank: int) -> Float[Tensor, "k n"]:
    return found.right[:rank].flatten(1)


def _flat(layer: Operator) -> Operator:
    """The layer between vectors."""
    flatten = Incidence(torch.flatten, layer.out_shape, (layer.out_size,))
    return compose(flatten, layer, _unflatten(layer.in_shape))


def _unflatten(shape: torch.Size) -> Operator:
    return Incidence(lambda x: x.reshape(shape), (shape.numel(),), shape)


def _rest(layer: Operator, p: Float[Tensor, "m k"], q: Float[Tensor, "k n"]) -> Operator:
    """W - P Q."""
    return Sum((_flat(layer), compose(Dense(-p), Dense(q))))


def _stacked(layer: Operator, p: Float[Tensor, "m k"], q: Float[Tensor, "k n"], scale: float) -> Operator:
    """[Q; scale (W - P Q)]."""
    m, k = p.shape
    above = Incidence(lambda x: torch.nn.functional.pad(x, (0, m)), (k,), (k + m,))
    below = Incidence(lambda x: torch.nn.functional.pad(x, (k, 0)), (m,), (k + m,))
    times = Diagonal(torch.tensor(scale), (m,))
    parts = (Dense(q), compose(times, _flat(layer)), compose(times, Dense(-p), Dense(q)))
    return Sum(tuple(compose(place, part) for place, part in zip((above, below, below), parts, strict=True)))
