"""Points, their patterns, and the norms of derivatives.

Covers autolip.piecewise.walk too.
"""

import pytest
import torch
from torch import nn

from autolip.norms import Norm
from autolip.piecewise.points import Derivatives
from autolip.piecewise.walk import Walk
from autolip.regions import Ball
from tests.piecewise.drawn import relu_chain, written
from tests.piecewise.test_signs import SIGNED


@pytest.mark.parametrize(
    ("p", "q"),
    [
        (Norm.L2, Norm.L2), (Norm.L1, Norm.L1), (Norm.LINF, Norm.LINF), (Norm.L2, Norm.LINF),
        *SIGNED,
    ],
)  # fmt: skip
def test_segments_attain_the_norms(p: Norm, q: Norm) -> None:
    model = relu_chain(3, 6, 4, 2, seed=1)
    region = Ball([[0.2, 0.0, -0.3]], 1.5)
    derivatives = Derivatives(written(model, 3, region), p, q)
    x = region.sample(20, torch.zeros(1, 3, dtype=torch.float64), torch.Generator().manual_seed(0))
    points = derivatives.at(x.flatten(1)).steepest(5)
    ends = derivatives.pairs(points)
    assert len(ends[0]) == len(points)
    for a, b, slope in zip(*ends, points.slope, strict=True):
        assert region.contains(a.reshape(1, 3)) and region.contains(b.reshape(1, 3))
        rise = q.of_rows(model(a.unsqueeze(0)) - model(b.unsqueeze(0)))
        run = p.of_rows((a - b).unsqueeze(0))
        assert float((rise / run).detach()) == pytest.approx(float(slope), rel=1e-9)


def test_a_walk_climbs_from_region_to_region() -> None:
    network = written(relu_chain(4, 8, 8, 1, seed=3), 4)
    derivatives = Derivatives(network, Norm.L2, Norm.L2)
    walk = Walk.over(derivatives, lambda: False)
    start = derivatives.at(torch.zeros(1, 4, dtype=torch.float64))
    slopes = [float(start.slope[0])]
    for found in walk.uphill(start):
        again = derivatives.at(found.x)
        assert torch.equal(again.pattern, found.pattern)
        slopes.append(float(again.slope[0]))
    assert len(slopes) > 2 and slopes == sorted(slopes)


@pytest.mark.parametrize("outputs", [1, 2, 5])
@pytest.mark.parametrize("asked", [Norm.L2, Norm.L1, Norm.LINF])
def test_norms_of_neighbours_are_those_of_their_derivatives(outputs: int, asked: Norm) -> None:
    """Fewer outputs than inputs and more, functions of three pieces, a sum of two ways."""
    torch.manual_seed(outputs)
    first, second, last = nn.Linear(3, 6), nn.Linear(6, 6), nn.Linear(6, outputs)

    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = nn.ModuleList([first, second, last])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = nn.functional.hardtanh(first(x), -0.3, 0.5)
            return last(y + nn.functional.leaky_relu(second(y), -0.4))

    model = Sum().double().eval()
    derivatives = Derivatives(written(model, 3), asked, asked)
    x = torch.randn(6, 3, dtype=torch.float64)
    jacobian = torch.func.jacrev(lambda x: model(x.unsqueeze(0))[0])
    points = derivatives.at(x)
    own = torch.stack([jacobian(point) for point in x])
    assert torch.allclose(derivatives.jacobians(points.pattern), own, rtol=0, atol=1e-12)
    for pattern in points.pattern:
        beside = derivatives.norms(derivatives.neighbours(pattern))
        assert torch.allclose(derivatives.norms_beside(pattern), beside, rtol=1e-9, atol=1e-12)
