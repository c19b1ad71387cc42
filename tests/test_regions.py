"""Regions: membership, projection, sampling, refusals."""

import pytest
import torch

from autolip.errors import InputError
from autolip.norms import Norm
from autolip.regions import Ball, Box, Everywhere, Region

SHAPE = torch.Size((1, 3, 2))
CENTER = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))
REGIONS = [Everywhere(), Box(CENTER - 0.5, CENTER + 2), Ball(CENTER, 0.7), Ball(CENTER, 0.7, Norm.LINF)]


@pytest.mark.parametrize("region", REGIONS, ids=lambda region: str(region.describe()["kind"]))
def test_samples_and_projections_lie_inside(region: Region) -> None:
    generator = torch.Generator().manual_seed(0)
    points = region.sample(50, CENTER, generator)
    noise = torch.randn((50, *SHAPE), generator=generator, dtype=torch.float64)
    projected = region.project(CENTER.double() + 5 * noise)
    for batch in (points, projected):
        assert all(region.interval(SHAPE).contains(point) for point in batch)
        if isinstance(region, Ball):
            assert (region.norm.of_rows(batch - region.center) <= region.radius * (1 + 1e-12)).all()


def test_flat_boxes_take_the_shape_of_the_input() -> None:
    box = Box(torch.zeros(6), torch.ones(6))
    assert box.interval(SHAPE).shape == SHAPE


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (lambda: Box(torch.ones(2), torch.zeros(2)), "empty in 2 entries"),
        (lambda: Box(torch.zeros(2), torch.zeros(3)), "two of one shape"),
        (lambda: Box(torch.tensor([float("nan")]), torch.zeros(1)), "NaN"),
        (lambda: Ball(torch.zeros(2), -1.0), "finite number >= 0"),
        (lambda: Ball(torch.zeros(2), float("nan")), "finite number >= 0"),
        (lambda: Ball(torch.zeros(2), 1.0, Norm.L1), "l1 ball"),
        (lambda: Ball(torch.zeros(2), 1.0).interval(SHAPE), "2 entries"),
    ],
)
def test_bad_regions_are_refused(build: object, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        build()  # type: ignore[operator]
