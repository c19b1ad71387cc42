"""Multipliers that prove the product of norms, for cases in which a search found none that prove.

With |z_k| <= g_k |x|, where g_0 = 1 and v_k = sum_j W_kj z_j,

    |v_k|  <=  r_k |x|,    r_k = sum_j |W_kj| g_j,    g_k = s_k r_k    (s_k the largest slope),

and the inequality of Cauchy and Schwarz says |v_k|^2 <= r_k sum_j (|W_kj| / g_j) |z_j|^2.
Backwards from the output these weigh every |z_k|^2, by mu_k say.  What is left is s^2 v^2 - z^2 >=
0 for every slope in [a, b], which for s = b >= |a|, and so for s = -a >= |b|, is a multiple of what
LipSDP adds, and a square:

    b^2 v^2 - z^2  =  2 b / (b - a) (z - a v) (b v - z)  +  (a + b) / (b - a) (b v - z)^2.

So these multipliers prove the product (with several paths the sum of products), and what lies
between them and those of a search, in the logarithm, proves more.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.budget import charge
from autolip.piecewise.network import Network

ROOM = 1e-6
"""Chosen: part of itself by which a weight grows from layer to layer, so that roundings fit in."""

SHARES = (0.01, 0.1, 0.4, 1.0)
"""Tuned: how far on the way from a search's multipliers to these, on 65 layers of 16 neurons (.01
gives 6.3e-7, .1 2.3e-6, 1 .78; the search attains 8.3e-9, and proves nothing)."""

NEAR = 1.01
"""Chosen: how far above the product a bound is left, so that nothing is tried for what is lost in
proofs."""

LEAST = 1e-30
"""Chosen: the multiplier of a neuron that does not count: without one nothing is proved."""

FLOOR = 1e-300
"""Defined: stands for 0 in a division."""

Prove = Callable[[Tensor, Float[Tensor, "k n"]], Float[Tensor, " k"]]
"""Bounds of some cases, by their numbers, with multipliers."""


@dataclass(frozen=True)
class Products:
    """Those of a network; all numbers are estimates: what multipliers prove is computed after."""

    network: Network

    @cached_property
    def _norms(self) -> list[dict[int, float]]:
        """Of all matrices, l2 to l2."""
        layers = self.network.difference_layers
        charge(sum(x.value.numel() * min(x.value.shape) for maps in layers for x in maps.values()))
        return [
            {j: float(torch.linalg.matrix_norm(x.value, 2)) for j, x in maps.items()}
            for maps in layers
        ]

    def _gains(self, steepest: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """All g, and all r; the last r is the product of norms."""
        gains, reads = [torch.ones_like(steepest[0])], list[Tensor]()
        for maps, slope in zip(self._norms, [*steepest, steepest[0]], strict=True):
            reads.append(torch.stack([norm * gains[j] for j, norm in maps.items()]).sum(0))
            gains.append(slope * reads[-1])
        return gains[:-1], reads

    def of(
        self, centre: Float[Tensor, "k n"], radius: Float[Tensor, "k n"]
    ) -> tuple[Float[Tensor, "k n"], Float[Tensor, " k"]]:
        """The multipliers of each case, and its product."""
        largest = centre.abs() + radius
        steepest = [largest[:, place].amax(1) for place in self.network.places]
        gains, reads = self._gains(steepest)
        weights = [torch.zeros_like(gain) for gain in gains]
        found = torch.zeros_like(radius)
        force = torch.ones_like(gains[0])
        for number in reversed(range(len(reads))):
            if number < len(steepest):
                place, weight = self.network.places[number], weights[number + 1] * (1 + ROOM)
                found[:, place] = weight.unsqueeze(1) * largest[:, place] / radius[:, place]
                force = weight * steepest[number].square()
            for j, norm in self._norms[number].items():
                share = reads[number] * norm / gains[j]
                weights[j] = weights[j] + torch.where(gains[j] > 0, force * share, 0.0)
        found = found.nan_to_num(LEAST, LEAST, LEAST).clamp_min(LEAST)
        return found.where(radius > 0, 0.0), reads[-1]


def between(
    searched: Float[Tensor, "k n"], safe: Float[Tensor, "k n"]
) -> Iterator[Float[Tensor, "k n"]]:
    """Multipliers from near those of a search to these; where nothing was searched, these."""
    if not bool(searched.any()):
        yield safe
        return
    far = safe.clamp_min(FLOOR).log()
    near = torch.where(searched > 0, searched.clamp_min(FLOOR).log(), far)
    for share in SHARES:
        yield torch.where(safe > 0, torch.lerp(near, far, share).exp(), 0.0)


def rescued(
    bounds: Float[Tensor, " k"],
    rows: Float[Tensor, "k n"],
    safe: tuple[Float[Tensor, "k n"], Float[Tensor, " k"]],
    prove: Prove,
) -> tuple[Float[Tensor, " k"], Float[Tensor, "k n"]]:
    """Bounds and their multipliers, where one is clearly above the product of norms the first
    between both that proves less."""
    bounds, rows = bounds.clone(), rows.clone()
    for tried in between(rows, safe[0]):
        poor = (bounds > NEAR * safe[1]).nonzero().reshape(-1)
        if not len(poor):
            break
        found = prove(poor, tried[poor])
        less = found < bounds[poor]
        bounds[poor[less]] = found[less]
        rows[poor[less]] = tried[poor[less]]
    return bounds, rows
