"""Multipliers for many cases at once: the vector power method on a batch of slope sets.

The relaxation of one case has for every neuron the slopes c + rho [-1, 1].  A result is taken to be
z = c v + rho |v| u with a unit vector u in R^r, one for each neuron; forward and backward passes in
turn choose the input and these vectors (see lipsdp.search).  What they claim are multipliers; they
are estimates here, and proved in `proved`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.budget import IN_DOUBLE, charge
from autolip.operators.operator import DTYPE
from autolip.piecewise.network import Network

FLOOR = 1e-300
"""Defined: stands for 0 in a division."""

QUIET = 1e-4
"""Tuned: part of a layer's mean that is added to each multiplier, on chains of 12 to 48 neurons."""


@dataclass(frozen=True)
class Vectors:
    """Where the iteration of each case stands: the input's vectors, and the directions of all
    neurons."""

    x: Float[Tensor, "k n0 r"]
    u: Float[Tensor, "k n r"]

    def __getitem__(self, index: Tensor | int) -> "Vectors":
        return Vectors(self.x[index], self.u[index])

    @staticmethod
    def joined(parts: Sequence["Vectors"]) -> "Vectors":
        """Those of single cases as one batch."""
        return Vectors(torch.stack([one.x for one in parts]), torch.stack([one.u for one in parts]))

    @staticmethod
    def random(network: Network, count: int, rank: int, generator: torch.Generator) -> "Vectors":
        """Fresh ones."""

        def normal(size: int) -> Tensor:
            return torch.randn((count, size, rank), generator=generator, dtype=DTYPE)

        return Vectors(normal(int(network.moving.sum())), normal(network.neurons))


@dataclass(frozen=True)
class Climbed:
    """What some steps found: the vectors, a multiplier lam for every neuron, lam rho^2 |v|^2, and
    how far on each neuron is, (z - a v) v / ((b - a) |v|^2)."""

    vectors: Vectors
    multipliers: Float[Tensor, "k n"]
    energy: Float[Tensor, "k n"]
    lean: Float[Tensor, "k n"]
    attained: Float[Tensor, " k"]


@dataclass
class _Passes:
    """The linear maps of the network, forwards and backwards, on (k, n, r)."""

    network: Network

    def __post_init__(self) -> None:
        layers = self.network.difference_layers
        self.maps = [{j: x.value for j, x in layer.items()} for layer in layers]

    def read(self, layer: int, values: list[Tensor]) -> Tensor:
        """v of a layer from the input and the results before it."""
        terms = [matrix @ values[j] for j, matrix in self.maps[layer].items()]
        return sum(terms[1:], terms[0])

    def pulled(self, layer: int, gradient: Tensor, into: list[Tensor]) -> None:
        """Adds what a gradient at v is at everything it reads."""
        for j, matrix in self.maps[layer].items():
            into[j] = into[j] + matrix.T @ gradient


def climbed(
    network: Network,
    centre: Float[Tensor, "k n"],
    radius: Float[Tensor, "k n"],
    start: Vectors,
    steps: int,
    margin: float,
) -> Climbed:
    """Some steps of the vector power method (l2 to l2), with radii widened by a margin.

    Widened radii make the multipliers feasible for the true ones.
    """
    passes, places = _Passes(network), network.places
    c, rho = centre.unsqueeze(-1), (radius * (1 - margin) ** -0.5).unsqueeze(-1)
    x, u = start.x, start.u / _length(start.u)
    charge(0.0, 2e-4 * steps + IN_DOUBLE * steps * 4 * _work(network) * start.x.shape[2] * len(c))
    for _ in range(max(1, steps)):
        x = x / x.flatten(1).norm(dim=1).clamp_min(FLOOR).reshape(-1, 1, 1)
        values, operands = [x], list[Tensor]()
        for k, place in enumerate(places):
            v = passes.read(k, values)
            z = c[:, place] * v + rho[:, place] * _length(v) * u[:, place]
            operands.append(v)
            values.append(z)
        y = passes.read(len(places), values)
        heard = [torch.zeros_like(value) for value in values]
        passes.pulled(len(places), y, heard)
        pulls = list[Tensor]()
        for k in reversed(range(len(places))):
            q, v, place = heard[k + 1], operands[k], places[k]
            pulls.insert(0, q)
            w = c[:, place] * q + rho[:, place] * _length(q) * v / _length(v)
            passes.pulled(k, w, heard)
        x = heard[0]
        q, v = torch.cat(pulls, 1), torch.cat(operands, 1)
        u = q / _length(q)
    size, pull = _length(v)[..., 0], _length(q)[..., 0]
    wide = rho[..., 0]
    lam = torch.where(wide > 0, pull / (wide * size).clamp_min(FLOOR), 0.0) / (1 - margin)
    lean = 0.5 + 0.5 * (u * v).sum(-1) / size
    energy = pull * radius * size
    return Climbed(Vectors(x, u), _filled(network, lam), energy, lean, y.flatten(1).norm(dim=1))


def _work(network: Network) -> int:
    return sum(x.value.numel() for layer in network.difference_layers for x in layer.values())


def _length(x: Tensor) -> Tensor:
    """Over the last axis, kept; never 0."""
    return x.norm(dim=-1, keepdim=True).clamp_min(FLOOR)


def _filled(network: Network, lam: Tensor) -> Tensor:
    """Small multipliers raised to a part of their layer's mean; 0 stays where nothing is free."""
    filled = torch.zeros_like(lam)
    for place in network.places:
        part = lam[:, place]
        free = part > 0
        mean = part.sum(1, keepdim=True) / free.sum(1, keepdim=True).clamp_min(1)
        filled[:, place] = torch.where(free, part + QUIET * mean + 1e-12, part)
    return filled
