"""The inner problem by LipSDP: the network  B, slopes, A  of one layer of neurons, at any width."""

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.budget import UNLIMITED, Budget
from autolip.errors import Refusal
from autolip.graph.fixed import without_fixed
from autolip.graph.views import Edge, SlopeGraph, Vertex
from autolip.intervals import Interval
from autolip.methods.lipsdp.relaxation.relaxation import Relaxation
from autolip.methods.lipsdp.search.effort import Effort
from autolip.methods.lipsdp.search.rounds import Search
from autolip.norms import Norm
from autolip.operators.dense import Dense
from autolip.operators.norms import NormOptions
from autolip.slopes import Between, Exact, Slope
from autolip.values import Upper

TOLERANCE = 1e-3
"""Chosen: relative accuracy of the inner maxima."""

SECONDS = 5.0
"""Chosen: where the time is not limited."""


def layer_bound(
    a: Float[Tensor, "p n"],
    b: Float[Tensor, "n q"],
    lo: Float[Tensor, " n"],
    hi: Float[Tensor, " n"],
    budget: Budget = UNLIMITED,
    seed: int = 0,
) -> Upper | Refusal:
    """Upper bound on max || A diag(s) B ||_2 over lo <= s <= hi: the least value for which LipSDP's
    H is proved."""
    graph = without_fixed(_network(a, b, lo, hi))
    relaxation = Relaxation.of(graph, Norm.L2, Norm.L2)
    if isinstance(relaxation, Refusal):
        return relaxation
    limited = budget if budget.limited else Budget.of(SECONDS)
    effort = Effort.within(limited, TOLERANCE, rank=None, margin=0.01, steps=5000)
    search = Search(relaxation, effort, NormOptions(seed=seed, proved_only=True)).run()
    return search.refusal if search.best is None else search.best.bound


def _network(a: Tensor, b: Tensor, lo: Tensor, hi: Tensor) -> SlopeGraph:
    """x -> A diag(s) B x."""
    slopes: list[Slope] = [Exact(Dense(b)), Between(lo, hi), Exact(Dense(a))]
    names = ["x", "v", "z", "y"]
    vertices = [_vertex("x", b.shape[1])]
    for before, name, slope in zip(names, names[1:], slopes, strict=False):
        vertices.append(_vertex(name, slope.out_shape.numel(), Edge(before, slope)))
    return SlopeGraph("x", tuple(vertices), "y")


def _vertex(name: str, size: int, *edges: Edge) -> Vertex:
    return Vertex(
        name, torch.Size([size]), edges, Interval.everywhere(torch.Size([size])), operation=name
    )
