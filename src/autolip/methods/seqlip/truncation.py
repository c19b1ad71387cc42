"""The layers of a chain as products of two factors, exactly: leading singular directions and what
is left.

For any P (m, E), Q (E, n) and g > 0, with F = W - P Q,

    W = [P, g I] [Q; F / g],

so that a layer may be cut there, whatever decomposition P and Q came from:
its rounding is part of F.  With W = U S V^T, theta = s_{E+1}:

    inner layers:  P = U_E (S_E - theta)^1/2,    Q = (S_E - theta)^1/2 V_E^T,    g = theta^1/2
    first layer:   P = U_E (S_E^2 - theta^2)^1/2,  Q = (1 - theta^2 / S_E^2)^1/2 V_E^T,    g = theta

make ||F|| = theta for the first kind, || [P, g I] || the root of s_1 (or s_1), and || [Q; F / g] ||
the root of s_1 (or 1), and these are what is proved afterwards.  The last layer is the transpose of
a first one.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.budget import DECOMPOSING
from autolip.errors import Refusal
from autolip.methods.layerwise.method import dense_layers
from autolip.methods.seqlip.theorem3 import norm_bound, norm_within
from autolip.norms import Norm
from autolip.operators.algebra import Sum, compose
from autolip.operators.dense import Dense
from autolip.operators.diagonal import Diagonal
from autolip.operators.estimates.power import DENSE_SHARE, Singular, top_singular
from autolip.operators.estimates.randomised import randomised_singular
from autolip.operators.incidence import Incidence
from autolip.operators.norms import NormOptions, operator_norm
from autolip.operators.operator import Operator, flat
from autolip.rounded import Rounded
from autolip.roundoff import TINY, upper_norm
from autolip.values import ONE, ZERO, Upper, round_up

WHOLE = 2**24
"""Chosen: greatest number of entries of a layer that is kept whole (128 MiB)."""

DECOMPOSED = 1024
"""Chosen: greatest smaller side of a layer of which every singular direction is kept."""

ACCURACY, TOLERANCE = 1e-5, 1e-3
"""Chosen: relative accuracy of a few singular directions, and of those of larger layers: the
residual has what they miss."""

SMALL = 128
"""Chosen: smaller side below which a singular value decomposition costs nothing."""

FEW = 16
"""Chosen: singular directions of larger layers for which a Krylov method takes fewer products than
a block."""

AUTOMATIC_RANK = 100
"""Chosen: singular directions kept of larger layers where no rank is asked for."""


@dataclass(frozen=True)
class Factor:
    """[matrix, scale C] on the left of a layer's cut, [matrix; scale C] on its right, || C || <=
    1."""

    matrix: Float[Tensor, "m k"]
    scale: Upper

    @cached_property
    def norm(self) -> Upper:
        return norm_bound(self.matrix)


@dataclass(frozen=True)
class Split:
    """W = left right: `left` meets the slopes above, `right` those below; the other one is at most
    `outer`.

    At the two ends of a chain one of the factors meets no slopes and is None.
    """

    left: Factor | None
    right: Factor | None
    outer: Upper = ONE


@dataclass(frozen=True)
class Splitter:
    """How layers are cut: at `rank` singular directions (None: all where that is feasible), the
    rest proved or not."""

    rank: int | None
    residual: bool
    options: NormOptions
    norm: Callable[[Operator, Norm, Norm], Upper | Refusal] = operator_norm
    """Of whole layers: that of a problem remembers what it has been asked."""

    def first(self, layer: Operator) -> Split | Refusal:
        """The layer that meets slopes above only."""
        is_small = layer.in_size * layer.out_size <= WHOLE
        rank = self._rank(layer, whole=is_small)
        return self._whole(layer) if rank is None else self._truncated_end(layer, rank)

    def last(self, layer: Operator) -> Split | Refusal:
        """The layer that meets slopes below only."""
        turned = self.first(layer.T)
        if isinstance(turned, Refusal) or turned.left is None:
            return turned
        return Split(None, Factor(turned.left.matrix.T, turned.left.scale), turned.outer)

    def middle(self, layer: Operator, seconds: float = math.inf) -> Split | Refusal:
        """A layer between slopes; fewer directions where all of them are not had in `seconds`."""
        size = min(layer.in_size, layer.out_size)
        products = 3 * layer.in_size * layer.out_size
        work = size * (products + 8 * size**2)
        takes = work / DECOMPOSING
        feasible = _fits(layer) and takes <= seconds
        rank = self._rank(layer, whole=feasible) or size
        matrix = self._matrix(layer)
        found = self._top(layer if matrix is None else Dense(matrix.value), min(rank + 1, size))
        theta = _next(found, rank) if self.residual else 0.0
        excess = (found.values[:rank] - theta).clamp_min(0)
        root = excess.sqrt()
        p = _left(found, rank) * root
        q = root[:, None] * _right(found, rank)
        if not self.residual:
            return Split(Factor(p, ZERO), Factor(q, ZERO))
        rest = self._norm(_rest(layer, p, q)) if matrix is None else _rest_norm(matrix, p, q)
        if isinstance(rest, Refusal):
            return rest
        return Split(Factor(p, rest.sqrt()), Factor(q, rest.sqrt()))

    def uncut(self, layer: Operator, last: bool) -> Split | Refusal:
        """W = [g I] [F / g] with g^2 = ||W||: nothing singled out; at the last layer g I is an
        outer factor."""
        norm = self.norm(layer, Norm.L2, Norm.L2)
        if isinstance(norm, Refusal):
            return norm
        nothing = torch.zeros(0, layer.in_size).double()
        right = Factor(nothing, norm.sqrt())
        if last:
            return Split(None, right, norm.sqrt())
        return Split(Factor(torch.zeros(layer.out_size, 0).double(), norm.sqrt()), right)

    def _norm(self, operator: Operator) -> Upper | Refusal:
        return operator_norm(operator, Norm.L2, Norm.L2, self.options)

    def _top(self, layer: Operator, number: int) -> Singular:
        size = min(layer.in_size, layer.out_size)
        if size > DECOMPOSED:
            if number > FEW:
                return randomised_singular(layer, number, self.options.search_seed)
            return top_singular(layer, number, TOLERANCE, self.options.search_seed)
        if size > SMALL and DENSE_SHARE * number >= size:
            return _by_gram(layer.matrix(), number)
        return top_singular(
            layer, number, ACCURACY if size > SMALL else 0.0, self.options.search_seed
        )

    def _matrix(self, layer: Operator) -> Rounded | None:
        """The layer's entries with their rounding, where residuals are proved by them."""
        if not (self.residual and _fits(layer)):
            return None
        matrices = dense_layers([layer])
        return None if isinstance(matrices, Refusal) else matrices[0]

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
        weight = matrices[0].value
        error = matrices[0].distance()
        if not error or not self.residual:
            return Split(Factor(weight, ZERO), None)
        larger = max(upper_norm(weight), error)
        gain = math.sqrt(error) * math.sqrt(larger)
        share = Upper(round_up(error / gain))
        return Split(Factor(weight, Upper(gain)), None, (ONE + share * share).sqrt())

    def _truncated_end(self, layer: Operator, rank: int) -> Split | Refusal:
        matrix = self._matrix(layer)
        found = self._top(layer if matrix is None else Dense(matrix.value), rank + 1)
        s = found.values[:rank]
        theta = _next(found, rank)
        ratio = theta / s.clamp_min(1e-300)
        share = (1 - ratio**2).clamp_min(0).sqrt()
        if not self.residual:
            return Split(Factor(_left(found, rank) * s, ZERO), None)
        p = _left(found, rank) * (s * share)
        q = share[:, None] * _right(found, rank)
        gain = theta if theta > 0 else 2.0**-30 * s[0].item()
        if gain < TINY:
            return self._whole(layer)
        scale = 1 / gain
        outer = (
            self._norm(_stacked(layer, p, q, scale))
            if matrix is None
            else _stacked_norm(matrix, p, q, scale)
        )
        if isinstance(outer, Refusal):
            return outer
        return Split(Factor(p, Upper(round_up(1 / scale))), None, outer)


def _fits(layer: Operator) -> bool:
    """Whether the layer's matrix is formed and decomposed."""
    size = min(layer.in_size, layer.out_size)
    return size <= DECOMPOSED and layer.in_size * layer.out_size <= WHOLE


def _by_gram(weight: Float[Tensor, "m n"], number: int) -> Singular:
    """Leading singular triples from the smaller Gram matrix: a fifth of the time of a full
    decomposition.

    Directions of values far below the largest are inaccurate; a product of the factors made of them
    is not.
    """
    if weight.shape[0] < weight.shape[1]:
        turned = _by_gram(weight.T, number)
        return Singular(turned.right, turned.values, turned.left)
    vectors = torch.linalg.eigh(weight.T @ weight).eigenvectors
    right = vectors.flip(1)[:, :number]
    images = weight @ right
    values = torch.linalg.vector_norm(images, dim=0)
    return Singular(
        (images / values.clamp_min(1e-300)).T.contiguous(), values, right.T.contiguous()
    )


def _left_over(layer: Rounded, p: Float[Tensor, "m k"], q: Float[Tensor, "k n"]) -> Rounded:
    """W - P Q, entry by entry."""
    return layer - Rounded.exact(p) @ Rounded.exact(q)


def _rest_norm(layer: Rounded, p: Float[Tensor, "m k"], q: Float[Tensor, "k n"]) -> Upper:
    """||W - P Q||, proved: of the computed matrix, and of what rounding may have done to its
    entries.

    Where every direction is kept the entries are mere rounding, and their Frobenius norm is enough.
    """
    rest = _left_over(layer, p, q)
    complete = p.shape[1] == min(rest.value.shape)
    return Upper(rest.length()) if complete else norm_within(rest)


def _stacked_norm(
    layer: Rounded, p: Float[Tensor, "m k"], q: Float[Tensor, "k n"], scale: float
) -> Upper:
    """||[Q; scale (W - P Q)]||, proved."""
    factor = torch.tensor(scale, dtype=torch.float64)
    below = _left_over(layer, p, q) * Rounded.exact(factor)
    return norm_bound(torch.cat([q, below.value])) + Upper(below.distance())


def _next(found: Singular, rank: int) -> float:
    """The first singular value left out, 0 where none is."""
    return found.values[rank].item() if len(found.values) > rank else 0.0


def _left(found: Singular, rank: int) -> Float[Tensor, "m k"]:
    return flat(found.left[:rank]).T


def _right(found: Singular, rank: int) -> Float[Tensor, "k n"]:
    return flat(found.right[:rank])


def _flat(layer: Operator) -> Operator:
    """The layer between vectors."""
    flatten = Incidence(torch.flatten, layer.out_shape, (layer.out_size,))
    return compose(flatten, layer, _unflatten(layer.in_shape))


def _unflatten(shape: torch.Size) -> Operator:
    return Incidence(lambda x: x.reshape(shape), (shape.numel(),), shape)


def _rest(layer: Operator, p: Float[Tensor, "m k"], q: Float[Tensor, "k n"]) -> Operator:
    """W - P Q."""
    return Sum((_flat(layer), compose(Dense(-p), Dense(q))))


def _stacked(
    layer: Operator, p: Float[Tensor, "m k"], q: Float[Tensor, "k n"], scale: float
) -> Operator:
    """[Q; scale (W - P Q)]."""
    m, k = p.shape
    above = Incidence(lambda x: torch.nn.functional.pad(x, (0, m)), (k,), (k + m,))
    below = Incidence(lambda x: torch.nn.functional.pad(x, (k, 0)), (m,), (k + m,))
    factor = torch.tensor(scale, dtype=torch.float64)
    times = Diagonal(factor, (m,))
    scaled = compose(times, _flat(layer))
    taken_off = compose(times, Dense(-p), Dense(q))
    parts = (Dense(q), scaled, taken_off)
    return Sum(
        tuple(
            compose(place, part) for place, part in zip((above, below, below), parts, strict=True)
        )
    )
