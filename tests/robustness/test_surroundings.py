"""Regions of samples: the class is constant there, and nothing is known elsewhere."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import autolip
from autolip import Ball, Box, InputError, ScaledBall, zoo
from autolip.norms import Norm
from autolip.robustness.surroundings import boxes, norm_of, regions_of

WIDTHS = [0.3, 0.02, 0.1, 0.5]


def affine() -> tuple[nn.Module, Tensor, Tensor]:
    """A network, samples, and how far their margins are above what a box of `WIDTHS` takes."""
    torch.manual_seed(3)
    layer = nn.Linear(4, 3)
    x = torch.randn(40, 4)
    values = x.double() @ layer.weight.double().T + layer.bias.double()
    best = values.argmax(1)
    others = torch.tensor([[j for j in range(3) if j != label] for label in best])
    rows = layer.weight.double()[best].unsqueeze(1) - layer.weight.double()[others]
    taken = rows.abs() @ torch.tensor(WIDTHS, dtype=torch.float64)
    left = values.gather(1, best.unsqueeze(1)) - values.gather(1, others) - taken
    return nn.Sequential(layer).eval(), x, left.amin(1).detach()


def test_boxes_of_an_affine_network_are_certified_where_its_margins_say_so() -> None:
    model, x, left = affine()
    assert bool((left.abs() > 1e-5).all()) and 5 < int((left > 0).sum()) < 35
    found = autolip.certify(model, x, region=boxes(WIDTHS))
    assert found.certified.tolist() == (left > 0).tolist()
    assert found.radius.tolist() == (left > 0).double().tolist()
    assert {"certified", "attacked"} <= set(found.outcome)
    assert f"{int((left > 0).sum())} of 40 certified on their regions" in found.headline
    for row, sample in zip(found.rows, x, strict=True):
        point = row.point(torch.Size([1, 4]))
        if point is not None:
            assert boxes(WIDTHS)(sample.double().unsqueeze(0)).contains(point)


@pytest.mark.parametrize("norm", list(Norm))
def test_a_ball_of_each_sample_is_its_radius(norm: Norm) -> None:
    model, _ = zoo.load("digits-mlp")
    images, labels = zoo.held_out()
    asked = images[:6], labels[:6]
    one = autolip.certify(model, *asked, radius=0.3, norm=norm)
    other = autolip.certify(model, *asked, region=lambda x: Ball(x, 0.3, norm))
    assert other.outcome.tolist() == one.outcome.tolist()
    assert other.request["norm"] == norm.value


def test_one_region_holds_all_samples() -> None:
    model, x, _ = affine()
    near = x[:1] + torch.tensor([[0.0, 0, 0, 0], [0.01, 0, 0, 0]])
    whole = Box(near.amin(0) - 1e-3, near.amax(0) + 1e-3)
    found = autolip.certify(model, near, region=whole)
    assert found.certified.all() and len(set(found.predicted.tolist())) == 1


def test_a_store_knows_regions(tmp_path: Path) -> None:
    model, x, left = affine()
    asked: dict[str, Any] = {"store": tmp_path / "rows.sqlite", "norm": "linf"}
    tiny = autolip.certify(model, x[:5], region=boxes([1e-9]), **asked)
    found = autolip.certify(model, x[:5], region=boxes(WIDTHS), resume=True, **asked)
    assert tiny.certified.all()
    assert found.certified.tolist() == (left[:5] > 0).tolist() != tiny.certified.tolist()
    again = autolip.certify(model, x[:5], region=boxes(WIDTHS), resume=True, **asked)
    assert again.rows == found.rows


def test_lengths_are_measured_as_the_regions_are() -> None:
    balls = [Ball([0, 0], 1, "l1"), ScaledBall([0, 0], 1, "l1", [1, 2])]
    assert norm_of(balls) is Norm.L1
    assert norm_of([*balls, Ball([0, 0], 1)]) is Norm.LINF
    assert norm_of([Box(0, 1)]) is Norm.LINF


def test_boxes_reach_as_far_as_was_asked() -> None:
    x = torch.tensor([0.1, 1e9], dtype=torch.float64)
    (box,) = regions_of(boxes([0.2]), x.unsqueeze(0))
    ends = box.interval(x.shape)
    assert bool((ends.lo < x - 0.2).all() and (ends.hi > x + 0.2).all())


REFUSED: dict[str, tuple[Any, str]] = {
    "everywhere": (autolip.Everywhere(), "region of sample 0 has no bound"),
    "elsewhere": (lambda x: Box(x + 1, x + 2), "sample 0 is no point of its region"),
    "not of all": (Box(-9, 0.5), "sample 1 is no point"),
    "number": (0.1, "region is 0.1: give a Box"),
    "made of a number": (lambda x: 0.1, "region of sample 0 is 0.1: give a Box"),
    "failing": (lambda x: 1 / 0, "region of sample 0 failed"),
    "of another shape": (Box([0, 0], [1, 1]), "4"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_region_that_cannot_be_meant_is_refused(name: str) -> None:
    model, _, _ = affine()
    region, said = REFUSED[name]
    samples = torch.tensor([[0.0] * 4, [1.0] * 4])
    with pytest.raises(InputError, match=said):
        autolip.certify(model, samples, region=region)


def test_a_region_leaves_no_radius_to_be_asked_about() -> None:
    model, x, _ = affine()
    for other in ({"radius": 0.1}, {"largest": True}, {"clip": (0, 1)}):
        with pytest.raises(InputError, match="leave radius, largest and clip out"):
            autolip.certify(model, x, region=boxes([0.1]), **other)
    for widths in ([], [-0.1], [float("inf")]):
        with pytest.raises(InputError, match="give finite numbers >= 0"):
            autolip.certify(model, x, region=boxes(widths))
