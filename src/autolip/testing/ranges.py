"""The law of ranges: no input of the region has a value outside of them."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from autolip.graph.graph import Graph
from autolip.intervals import Interval
from autolip.ranges import Allowance, ranges
from autolip.ranges.engine import Engine
from autolip.regions import Region
from autolip.rules.entries import entrywise
from autolip.rules.lowering import lowered
from autolip.testing.violation import LawViolation

CLIMBS = 12
"""Chosen: operations an entry of which is climbed."""

SEARCHES = 4e8
"""Chosen: multiply-adds that engines may spend in searches, about a tenth of a second."""

LOST = 1e-9
"""Chosen: what evaluating a whole network in floating point may be off by, relatively to its
values."""


def check_ranges(
    graph: Graph,
    region: Region,
    *,
    known: Mapping[str, Interval] | None = None,
    engines: Iterable[Engine] | None = None,
    seed: int = 0,
    points: int = 60,
) -> None:
    """Every value of the network lies in its range: at samples, ends and corners of the region, and
    where some entry of some operation, by its gradient, is largest or least.

    Ranges are those of some `engines`, which may search: what one of them says alone is not hidden
    by what another one cuts off.  None: of all that do not search; `known`: found otherwise.
    Raises LawViolation with operation, entry and input.
    """
    allowance = None if engines is None else Allowance(searches=SEARCHES)
    found = ranges(graph, region, allowance, engines) if known is None else known
    generator = torch.Generator().manual_seed(seed)
    example = torch.zeros(graph.input_shape, dtype=torch.float64)
    inputs = [*region.sample(points, example, generator), *_corners(region, graph, generator)]
    whole = entrywise(lowered(graph))
    for x in [*inputs, *_climbed(whole, region, inputs, generator)]:
        for name, value in _values(whole, region.project(x[None])[0]).items():
            if name in found:
                _require(name, value.double(), found[name], x)


def _require(name: str, value: Tensor, known: Interval, x: Tensor) -> None:
    size = value.abs().max().item() if value.numel() and bool(value.isfinite().all()) else 0.0
    slack = LOST * (size + 1e-3)
    outside = ((value < known.lo - slack) | (value > known.hi + slack)) & value.isfinite()
    if bool(outside.any()):
        places = outside.reshape(-1).nonzero()
        entry = int(places[0])
        ends = (end.reshape(-1)[entry].item() for end in (known.lo, value, known.hi))
        low, there, high = ends
        raise LawViolation(
            f"entry {entry} of {name} is {there!r} at {x.tolist()}, its range [{low!r}, {high!r}]"
        )


def _values(graph: Graph, x: Tensor) -> dict[str, Tensor]:
    """All values of the network, with their derivatives."""
    values = {graph.input: x}
    for node in graph:
        values[node.name] = node.call(values.__getitem__)
    return values


def _corners(region: Region, graph: Graph, generator: torch.Generator) -> list[Tensor]:
    box = region.interval(graph.input_shape)
    middle = box.lo / 2 + box.hi / 2
    signs = [torch.randn(middle.shape, generator=generator).sign().double() for _ in range(8)]
    return [middle, *(torch.where(sign > 0, box.hi, box.lo) for sign in signs)]


def _climbed(
    graph: Graph, region: Region, inputs: list[Tensor], generator: torch.Generator
) -> list[Tensor]:
    """From some inputs far along the gradient of an entry of an operation, and back onto the
    region."""
    box = region.interval(graph.input_shape)
    reach = 4 * float((box.hi - box.lo).max()) if box.lo.numel() else 0.0
    reached = []
    nodes = list(graph.nodes)
    for number in torch.randint(len(nodes), (min(CLIMBS, len(nodes)),), generator=generator):
        node = nodes[int(number)]
        start = inputs[int(torch.randint(len(inputs), (), generator=generator))]
        x = start.clone().requires_grad_()
        value = _values(graph, x)[node.name].reshape(-1)
        if not value.numel() or not value.requires_grad:
            continue
        place = int(torch.randint(len(value), (), generator=generator))
        entry = value[place]
        try:
            (gradient,) = torch.autograd.grad(entry, x, allow_unused=True)
        except RuntimeError:  # some operations cannot be differentiated by torch
            continue
        if gradient is None or not bool(gradient.isfinite().all()):
            continue
        size = gradient.abs().max().clamp(min=1e-300)
        for sign in (1.0, -1.0):
            step = sign * reach * gradient / size
            moved = start + step
            reached.append(region.project(moved[None])[0])
    return reached
