"""Roots of sums of squares are norms: their gains, where they are none, and what regions say."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from autolip import Ball, Box, Everywhere, Norm
from autolip.capture.torch.export import capture_model
from autolip.methods import AutoLip, Bound, Problem
from autolip.operators.norms import NormOptions
from autolip.regions import Region
from autolip.testing import check_method
from autolip.values import Upper

IMAGE = (1, 2, 4, 6)
WEIGHTS = torch.tensor([0.5, 2.0, 1.0, 3.0, 0.25, 1.0], dtype=torch.float64)
NORMS: dict[str, tuple[Callable[[Tensor], Tensor], float, float]] = {
    "length": (lambda x: (x * x).sum(-1).sqrt(), 1.0, 6**0.5),
    "length and more": (lambda x: ((x**2).sum(-1) + 0.5).sqrt(), 1.0, 6**0.5),
    "root by a power": (lambda x: x.square().sum((-2, -1), keepdim=True) ** 0.5, 1.0, 24**0.5),
    "modulus": (lambda x: torch.sqrt(x**2 + 1e-6), 1.0, 1.0),
    "weighted": (lambda x: (x * x * WEIGHTS).sum(-1).sqrt(), 3**0.5, 7.75**0.5),
    "weighted entries": (lambda x: (x * x * WEIGHTS).sqrt(), 3**0.5, 3**0.5),
    "pool": (lambda x: F.lp_pool2d(x, 2, 2), 1.0, 2.0),
    "overlapping pool": (lambda x: (4 * F.avg_pool2d(x * x, 2, 1)).sqrt(), 2.0, 2.0),
    "two values": (lambda x: (x[..., :3] ** 2 + (3 * x[..., 3:]) ** 2).sqrt(), 4.0, 4.0),
}
NONE: dict[str, Callable[[Tensor], Tensor]] = {
    "less than nothing": lambda x: ((x * x).sum(-1) - 0.5).sqrt(),
    "a difference": lambda x: (x[..., :3] ** 2 - x[..., 3:] ** 2).sqrt(),
    "no squares": lambda x: (x**4).sum(-1).sqrt(),
    "products": lambda x: (x * x.flip(-1)).sum(-1).sqrt(),
    "the value itself": lambda x: ((x * x) + x).sum(-1).sqrt(),
    "another root": lambda x: (x * x).sum(-1) ** 0.25,
}
REGIONS: dict[str, Region] = {
    "ball": Ball(torch.full(IMAGE, 0.1), 2.0, Norm.LINF),
    "away from zero": Box(torch.full(IMAGE, 1.0), torch.full(IMAGE, 1.25)),
}


def _bound(function: Callable[[Tensor], Tensor], norm: Norm, region: Region) -> float:
    capture = capture_model(function, (torch.zeros(IMAGE, dtype=torch.float64),))
    problem = Problem.pose(capture.graph, region, norm, norm, NormOptions())
    found = AutoLip().bound(problem)
    assert isinstance(found, Bound)
    assert isinstance(found.value, Upper)
    return found.value.value


@pytest.mark.parametrize("name", NORMS)
def test_gains(name: str) -> None:
    function, in_l2, in_linf = NORMS[name]
    for norm, known in ((Norm.L2, in_l2), (Norm.LINF, in_linf)):
        assert known * (1 - 1e-12) <= _bound(function, norm, Everywhere()) <= known * (1 + 1e-9)


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("norm", ["l2", "l1", "linf"])
@pytest.mark.parametrize("where", ["everywhere", *REGIONS])
def test_no_chord_is_steeper(name: str, norm: str, where: str) -> None:
    function, _, _ = NORMS[name]
    capture = capture_model(function, (torch.zeros(IMAGE, dtype=torch.float64),))
    region = REGIONS.get(where, Everywhere())
    check_method(AutoLip(), capture, region, norm=norm)


@pytest.mark.parametrize("name", NONE)
def test_what_is_no_norm_stays_as_it_is(name: str) -> None:
    assert _bound(NONE[name], Norm.L2, Everywhere()) == float("inf")


def test_away_from_zero_the_parts_say_more() -> None:
    """sqrt(x^2 + 15) on [1, 1.25] has slopes of about 1/4."""
    region = REGIONS["away from zero"]
    assert _bound(lambda x: (x * x + 15).sqrt(), Norm.LINF, region) <= 0.32
    assert _bound(lambda x: (x * x + 15).sqrt(), Norm.LINF, Everywhere()) <= 1 + 1e-12


def test_sign_times_modulus_is_the_value_itself() -> None:
    function = lambda x: torch.sign(x) * F.relu(torch.abs(x))  # noqa: E731
    assert _bound(function, Norm.L2, Everywhere()) == 1.0


SETTLED: dict[str, Callable[[Tensor], Tensor]] = {
    "max": lambda pair: pair.max(-1)[0],
    "topk": lambda pair: pair.topk(1, -1)[0].squeeze(-1),
    "sort": lambda pair: pair.sort(-1)[0][..., 1],
    "kthvalue": lambda pair: pair.kthvalue(2, -1)[0],
    "gather": lambda pair: pair.gather(-1, pair.argmax(-1, keepdim=True)).squeeze(-1),
}


@pytest.mark.parametrize("name", SETTLED)
def test_what_the_region_selects_is_not_known_at_0(name: str) -> None:
    """x^2 - 5 where that is above 0: less than nothing is added to the square."""
    below = 5.01**0.5
    box = Box(torch.full(IMAGE, below), torch.full(IMAGE, 3.0))

    def root(x: Tensor) -> Tensor:
        return SETTLED[name](torch.stack([x * x - 5, torch.zeros_like(x)], -1)).sqrt()

    assert _bound(root, Norm.L2, box) >= below / 0.01**0.5
