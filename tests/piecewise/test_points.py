"""Points, their patterns, and the norms of derivatives.

Covers autolip.piecewise.walk too.
"""

import pytest
import torch

from autolip.norms import Norm
from autolip.piecewise.points import Derivatives, pairs_at
from autolip.piecewise.walk import Walk
from autolip.regions import Ball
from tests.piecewise.drawn import relu_chain, written


@pytest.mark.parametrize(
    ("p", "q"),
    [(Norm.L2, Norm.L2), (Norm.L1, Norm.L1), (Norm.LINF, Norm.LINF), (Norm.L2, Norm.LINF)],
)
def test_segments_attain_the_norms(p: Norm, q: Norm) -> None:
    model = relu_chain(3, 6, 4, 2, seed=1)
    region = Ball([[0.2, 0.0, -0.3]], 1.5)
    derivatives = Derivatives(written(model, 3, region), p, q)
    x = region.sample(20, torch.zeros(1, 3, dtype=torch.float64), torch.Generator().manual_seed(0))
    points = derivatives.at(x.flatten(1)).steepest(5)
    ends = pairs_at(derivatives, points)
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
