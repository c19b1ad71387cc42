"""Balls whose entries stay between two numbers."""

import pytest
import torch

from autolip import InputError
from autolip.regions import Ball, read
from autolip.regions.clipped import Clipped
from autolip.testing import check_region

SHAPE = torch.Size((2, 3))


def region(norm: str, lo: float = 0.0, hi: float = 1.0) -> Clipped:
    centre = torch.tensor([[0.0, 0.2, 0.9], [1.0, 0.5, 0.1]], dtype=torch.float64)
    return Clipped(Ball(centre, 0.4, norm), lo, hi)


@pytest.mark.parametrize("norm", ["l1", "l2", "linf"])
@pytest.mark.parametrize("seed", [0, 1])
def test_every_answer_holds(norm: str, seed: int) -> None:
    check_region(region(norm), SHAPE, seed=seed)
    check_region(region(norm, -1e9, 1e9), SHAPE, seed=seed)


def test_the_support_of_an_l2_ball_is_attained_where_entries_are_cut_off() -> None:
    """By projected ascent on random forms: within a thousandth, and below the ball's and the
    box's."""
    clipped = region("l2")
    rows = torch.randn(20, *SHAPE, generator=torch.Generator().manual_seed(0)).double()
    support = clipped.support(rows)
    centre = clipped.ball.center
    x = centre.expand(20, *SHAPE).clone()
    for _ in range(2000):
        x = clipped.project(x + 0.01 * rows)
    attained = ((x - centre) * rows).flatten(1).sum(1)
    assert bool((attained <= support).all())
    assert bool((attained >= 0.999 * support).all())
    assert bool((support <= clipped.ball.support(rows)).all())
    assert float((support / clipped.ball.support(rows)).min()) < 0.9


def test_entries_reach_no_further_than_the_ball() -> None:
    box = region("l2").interval(SHAPE)
    wanted = torch.tensor([[0.4, 0.6, 1.0], [1.0, 0.9, 0.5]], dtype=torch.float64)
    assert torch.allclose(box.hi, wanted) and float(box.lo.min()) == 0.0
    assert torch.allclose(box.lo[1], torch.tensor([0.6, 0.1, 0.0]).double())


def test_it_is_read_as_it_is_described() -> None:
    described = region("l2").describe()
    assert read(described).describe() == described
    with pytest.raises(InputError, match="a clipped ball is written with"):
        read({"kind": "clipped ball", "lo": 0})


def test_a_centre_outside_is_refused() -> None:
    with pytest.raises(InputError, match="entries outside"):
        Clipped(Ball([0.5, 1.5], 1.0), 0, 1)
    with pytest.raises(InputError, match="is given a Ball"):
        Clipped(0.5, 0, 1)  # type: ignore[arg-type]
