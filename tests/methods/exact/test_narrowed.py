"""Pieces are left out only where no point of the box lies on them."""

import pytest
import torch
from torch import Tensor, nn

from autolip.intervals import Interval
from autolip.methods.exact.emptiness import highest
from autolip.methods.exact.narrowed import _lines, narrowed
from autolip.norms import Norm
from autolip.piecewise.cells import Cells
from autolip.piecewise.network import Network
from autolip.piecewise.points import Derivatives
from autolip.piecewise.programs import Programs
from autolip.regions import Ball, Box, Region
from tests.piecewise.drawn import relu_chain, written
from tests.piecewise.test_network import Skips


class Clipped(nn.Module):
    """Three pieces for every neuron, negative slopes."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(3, 5), nn.Linear(5, 5), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = nn.functional.hardtanh(self.a(x), -0.3, 0.6)
        return self.c(nn.functional.leaky_relu(self.b(y), -2.0))


def networks() -> list[Network]:
    torch.manual_seed(0)
    box = Box(-2, 2)
    models = (Skips().double().eval(), Clipped().double().eval(), relu_chain(3, 8, 8, 8, 2))
    return [written(model, 3, box) for model in models]


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("size", [1e-9, 0.03, 0.3, 1.5])
def test_the_patterns_of_points_are_left(number: int, size: float) -> None:
    network = networks()[number]
    derivatives = Derivatives(network, Norm.L2, Norm.L2)
    middle = torch.rand(6, 3, dtype=torch.float64) - 0.5
    boxes = Interval(middle - size, middle + size)
    ends = (end.expand(6, -1) for end in (network.first, network.last))
    first, last = narrowed(network, *ends, boxes)
    points = middle + size * (2 * torch.rand(400, 6, 3, dtype=torch.float64) - 1)
    corners = middle + size * (2 * torch.randint(0, 2, (100, 6, 3)) - 1)
    for x in torch.cat([points, corners]).unbind(0):
        pattern = derivatives.pattern(x)
        assert bool(((first <= pattern) & (pattern <= last)).all())
    if size < 1e-6:
        assert bool((first == last).float().mean() > 0.95)


@pytest.mark.parametrize("number", range(3))
def test_lines_contain_the_functions(number: int) -> None:
    """phi(v) - a v is within the error for every v of a range, on the pieces that meet it."""
    network = networks()[number]
    pieces, place = network.pieces, network.places[0]
    size = place.stop
    lo = torch.randn(50, size, dtype=torch.float64)
    hi = lo + 2 * torch.rand(50, size, dtype=torch.float64)
    values = Interval(lo, hi)
    breaks = pieces.breaks[place]
    ends = (breaks <= lo.unsqueeze(-1)).sum(-1), (breaks < hi.unsqueeze(-1)).sum(-1)
    slope, rest = _lines(network, place, values, ends)
    every = torch.arange(size)
    for share in torch.linspace(0, 1, 21, dtype=torch.float64):
        v = lo + share * (hi - lo)
        piece = (breaks < v.unsqueeze(-1)).sum(-1)
        phi = pieces.slopes[every, piece] * v + pieces.offsets.value[every, piece]
        off = (phi - slope * v - rest.value).abs()
        assert bool((off <= rest.error + 1e-14).all())


def test_splits_narrow_what_comes_after() -> None:
    """Points of a case keep their patterns, and more neurons are settled than without it."""
    network = networks()[2]
    derivatives = Derivatives(network, Norm.L2, Norm.L2)
    lo, hi = torch.full((1, 3), -1.0).double(), torch.full((1, 3), 1.0).double()
    x = 2 * torch.rand(2000, 3, dtype=torch.float64) - 1
    patterns = derivatives.pattern(x)
    first, last = network.first.clone(), network.last.clone()
    first[:8] = last[:8] = patterns[0, :8]
    case = narrowed(network, first.unsqueeze(0), last.unsqueeze(0), Interval(lo, hi))
    whole = narrowed(network, network.first[None], network.last[None], Interval(lo, hi))
    inside = patterns[(patterns[:, :8] == patterns[0, :8]).all(1)]
    assert len(inside) > 5
    assert bool(((case[0] <= inside) & (inside <= case[1])).all())
    assert int((case[1] - case[0]).sum()) < int((whole[1] - whole[0]).sum())


@pytest.mark.parametrize("region", [Box(-1, 1), Ball([[0.0, 0.0, 0.0]], 0.8)])
def test_a_proved_maximum_is_above_every_point_of_the_cell(region: Region) -> None:
    network = written(relu_chain(3, 6, 5, 1, seed=4), 3, region)
    cells, programs = Cells(network), Programs(network)
    derivatives = Derivatives(network, Norm.L2, Norm.L2)
    x = region.sample(400, torch.zeros(1, 3, dtype=torch.float64), torch.Generator().manual_seed(0))
    x = x.flatten(1)
    patterns = derivatives.pattern(x)
    for pattern in patterns[:10]:
        cell = cells.of_case(pattern, pattern)
        assert cell is not None
        here = x[(patterns == pattern).all(1)]
        for form, weights in programs.extremes(cell):
            values = here @ form
            for y in (weights, torch.rand(len(cell), dtype=torch.float64)):
                top = highest(form, cell, y, region, network.input_shape)
                assert top >= float(values.max())
