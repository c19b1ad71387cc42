"""All linear regions of a small piecewise linear network, from one to its neighbours, by linear
programs."""

import numpy as np
import torch
from scipy.optimize import linprog
from torch import Tensor

from tests.fuzz.networks import Network, Step
from tests.fuzz.places import Place

AFFINE = {
    "dense",
    "conv",
    "flatten",
    "transpose",
    "flip",
    "cumsum",
    "slice",
    "add",
    "sub",
    "concat",
    "negative",
    "scale",
}
AFFINE |= {
    "shift",
    "batch_norm",
    "avg_pool",
    "pad",
    "sum",
    "total",
    "mean",
    "conv_transpose",
    "upsample",
}
KINKS = {"relu": (0.0,), "leaky": (0.0,), "abs": (0.0,), "hardtanh": ("lo", "hi")}

MOST, LARGEST, WIDE, MARGIN = 80, 10, 1e3, 1e-5
"""Regions that are visited, kinks of the network, the box that stands for everywhere, the least
size of a facet."""


def pieces(network: Network, place: Place) -> Tensor | None:
    """(k, *shape): a point strictly inside each linear region in a box; None where that is not
    known."""
    fitting = all(step.kind in AFFINE or step.kind in KINKS for step in network.steps)
    if not fitting or place.kind == "l2" or not bool(place.free.all()) or place.lo.numel() > 4:
        return None
    wide = place.kind == "everywhere"
    lo, hi = (
        np.full(place.lo.numel(), s * WIDE) if wide else end
        for s, end in ((-1, _flat(place.lo)), (1, _flat(place.hi)))
    )
    bounds = list(zip(lo, hi, strict=True))
    start = place.points(1, torch.Generator().manual_seed(0))[0].clamp(-WIDE, WIDE)
    if not 0 < len(_kinks(network, start)) <= LARGEST:
        return None
    found, waiting = {_pattern(network, start): start}, [start]
    while waiting and len(found) < MOST:
        for point in _neighbours(network, waiting.pop(), bounds):
            pattern = _pattern(network, point)
            if pattern not in found:
                found[pattern] = point
                waiting.append(point)
    return torch.stack(list(found.values()))


def _flat(x: Tensor) -> np.ndarray:
    return x.flatten().numpy()


def _kinks(network: Network, x: Tensor) -> Tensor:
    """The numbers whose signs say in which linear region x is."""
    parts = []
    for step in network.steps:
        for mark in KINKS.get(step.kind, ()):
            value = mark if isinstance(mark, float) else step.settings[mark]
            parts.append(f"(v{step.of[0]} - {value}).reshape(-1)")
    if not parts:
        return x.new_zeros(0)
    shown = Network(
        network.shape,
        (*network.steps, Step("tuple", (), {"body": ", ".join(parts)})),
        network.dtype,
    )
    return torch.cat(shown.double(x))


def _pattern(network: Network, x: Tensor) -> tuple[bool, ...]:
    return tuple((_kinks(network, x) > 0).tolist())


def _neighbours(network: Network, x: Tensor, bounds: list[tuple[float, float]]) -> list[Tensor]:
    """A point of each region that shares a facet with that of x: just across the facet's middle."""
    kinks = _kinks(network, x)
    slopes = torch.func.jacrev(lambda y: _kinks(network, y))(x).reshape(len(kinks), x.numel())
    offset = kinks - slopes @ x.flatten()
    side = torch.where(kinks > 0, 1.0, -1.0).double()
    matrix = np.hstack([-(side[:, None] * slopes).numpy(), np.ones((len(kinks), 1))])
    limit, cost = (side * offset).numpy(), np.append(np.zeros(x.numel()), -1.0)
    found = []
    for k, normal in enumerate(slopes):
        others = np.arange(len(kinks)) != k
        on_it = {"A_eq": np.append(normal.numpy(), 0.0)[None], "b_eq": [-offset[k].item()]}
        middle = linprog(
            cost, matrix[others], limit[others], bounds=[*bounds, (None, 1.0)], **on_it
        )
        if middle.status == 0 and middle.x[-1] > MARGIN and normal.any():
            across = -side[k] * normal / normal.norm() * 1e-6 * min(1.0, middle.x[-1])
            found.append((torch.from_numpy(middle.x[:-1]) + across).reshape(x.shape))
    return [
        point
        for point in found
        if all(a <= t <= b for t, (a, b) in zip(point.flatten(), bounds, strict=True))
    ]
