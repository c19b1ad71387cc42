"""Regions: membership (against rational arithmetic), projection, sampling, what a person may write,
refusals."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from autolip import lipschitz
from autolip.errors import InputError
from autolip.intervals import Interval
from autolip.lower import Random
from autolip.norms import Norm
from autolip.regions import Ball, Box, Everywhere, Region
from autolip.testing import LawViolation, check_region

SHAPE = torch.Size((1, 3, 2))
CENTER = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))
REGIONS = [
    Everywhere(),
    Box(CENTER - 0.5, CENTER + 2),
    Box(0, 1),
    Ball(CENTER, 0.7),
    Ball(CENTER, 0.7, Norm.LINF),
]


def gauss(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def doubles(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def truly_inside(ball: Ball, x: Tensor) -> bool:
    center = ball.center.expand(x.shape)
    offsets = [Fraction(a) - Fraction(b) for a, b in zip(x.tolist(), center.tolist(), strict=True)]
    if ball.norm is Norm.LINF:
        return max(map(abs, offsets)) <= Fraction(ball.radius)
    return sum(offset**2 for offset in offsets) <= Fraction(ball.radius) ** 2


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
    assert all(region.contains(point) for point in region.inward(projected))


@pytest.mark.parametrize("norm", [Norm.L2, Norm.LINF])
@pytest.mark.parametrize("radius", [1.0, 1e-3, 1e-10, 0.1, 0.0])
def test_points_moved_inwards_are_inside_and_seen_to_be(norm: Norm, radius: float) -> None:
    ball = Ball(gauss(7), radius, norm)
    for x in ball.inward(ball.center + 3 * radius * gauss(200, 7, seed=1)):
        assert truly_inside(ball, x) and ball.contains(x)


@pytest.mark.parametrize("norm", [Norm.L2, Norm.LINF])
@pytest.mark.parametrize("scale", [1.0, 1e-3, 0.1, 1e-160, 5e-324, 1e-310, 1e160, 1e307])
def test_membership_in_a_ball_is_decided_exactly(norm: Norm, scale: float) -> None:
    """On the sphere and a unit in the last place beside it, also where squares underflow or
    overflow."""
    inside = 0
    for seed in range(40):
        center = gauss(2, seed=seed) * scale / 4
        ball = Ball(center, scale / 2, norm)
        x = center + doubles(0.3, 0.4) * scale * (-1) ** seed
        x = x if norm is Norm.L2 else center + doubles(0.5, 0.1) * scale
        for one in (
            x,
            x.nextafter(doubles(1e308, 1e308)),
            x.nextafter(doubles(-1e308, -1e308)),
            center,
        ):
            assert ball.contains(one) == truly_inside(ball, one)
            inside += truly_inside(ball, one)
    assert 40 <= inside <= 160


def test_a_pythagorean_point_is_on_its_sphere() -> None:
    """3-4-5: exactly on the sphere, which a tolerance would leave in doubt."""
    ball = Ball(doubles(0.0, 0.0), 5.0)
    assert ball.contains(doubles(3.0, 4.0))
    assert not ball.contains(doubles(3.0, 4.0).nextafter(doubles(3.0, 9.0)))
    assert ball.contains(doubles(3.0, 4.0).nextafter(doubles(3.0, 0.0)))


def test_projection_alone_may_leave_an_linf_ball() -> None:
    """What `inward` is for: centre + radius is rounded, outwards about every other time."""
    ball = Ball(gauss(50), 0.1, Norm.LINF)
    corner = ball.project(ball.center[None] + 1)[0]
    assert not ball.contains(corner) and not truly_inside(ball, corner)


def test_boxes_are_exact() -> None:
    box = Box([0, 0], [1, 1])
    assert box.contains(doubles(0.0, 1.0))
    assert not box.contains(doubles(0.0, 1.0 + 2**-52))
    assert not box.contains(doubles(-5e-324, 1.0))
    assert not box.contains(doubles(float("nan"), 0.0))


@pytest.mark.parametrize("region", [Everywhere(), Ball(0, 1), Ball(0, 1, "linf")])
def test_only_finite_points_are_inside(region: Region) -> None:
    assert region.contains(doubles(1.0))
    assert not region.contains(doubles(float("inf"))) and not region.contains(doubles(float("nan")))


@pytest.mark.parametrize(
    "region", [*REGIONS, Ball(3, 0), Ball(1e6, 1e-9), Box(1, 1), Ball(0, 1e-170)], ids=repr
)
@pytest.mark.parametrize("shape", [SHAPE, torch.Size((6,))])
def test_the_answers_of_a_region_fit_each_other(region: Region, shape: torch.Size) -> None:
    check_region(region, shape)


class Careless(Region):
    """The unit ball, whose projection does nothing and whose samples lie anywhere."""

    def interval(self, shape: torch.Size) -> Interval:
        return Interval.uniform(-1.0, 1.0, shape)

    def contains(self, x: Tensor) -> bool:
        return Ball(0, 1).contains(x)

    def project(self, x: Tensor) -> Tensor:
        return x

    def sample(self, count: int, example: Tensor, generator: torch.Generator) -> Tensor:
        return example + 5 * torch.randn(
            (count, *example.shape), generator=generator, dtype=torch.float64
        )

    def describe(self) -> dict[str, object]:
        return {"kind": "careless ball"}


class Credulous(Careless):
    """The same, which says yes to every point."""

    def contains(self, x: Tensor) -> bool:
        return True


class Vague(Careless):
    """The same, which answers entry by entry."""

    def contains(self, x: Tensor) -> Any:
        return x.abs() <= 1


def test_the_law_sees_careless_regions() -> None:
    with pytest.raises(LawViolation, match="what it moves inwards it must contain"):
        check_region(Careless(), SHAPE)
    with pytest.raises(LawViolation, match="what it contains must lie in its interval"):
        check_region(Credulous(), SHAPE)


@pytest.mark.parametrize("region", [Careless(), Credulous()])
@pytest.mark.parametrize("search", ["ascent", Random(points=50)])
def test_no_witness_leaves_a_region_of_the_users_own(region: Region, search: Any) -> None:
    def cube(x: Tensor) -> Tensor:
        return x**3

    result = lipschitz(cube, torch.zeros(1, 2), region=region, method="autolip", lower=search)
    witness = result.lower.witness if result.lower else None
    for x in () if witness is None else (witness.x, witness.y):
        assert bool((x.abs() <= 1).all()) and (
            isinstance(region, Credulous) or Ball(0, 1).contains(x)
        )
    assert result.lower is None or (result.lower.value or 0) <= 3


def test_a_region_must_decide_membership() -> None:
    with pytest.raises(TypeError, match="contains"):
        type(
            "Lazy",
            (Careless,),
            {"contains": Region.contains, "__abstractmethods__": frozenset({"contains"})},
        )()
    with pytest.raises(
        InputError, match=r"Vague.contains answered tensor.*: it must return True or False"
    ):
        lipschitz(
            lambda x: x**3, torch.zeros(1, 2), region=Vague(), method="autolip", lower="random"
        )


def failing(*_: Any) -> Any:
    raise RuntimeError("no such\nfile")


def leaving(*_: Any) -> Any:
    raise SystemExit(0)


WHOLE = Interval(torch.zeros(SHAPE, dtype=torch.long), torch.ones(SHAPE, dtype=torch.long))
USELESS: dict[str, tuple[dict[str, Any], str]] = {
    "no interval": ({"interval": 3}, "interval answered 3: it must return an Interval of shape"),
    "an interval of another shape": (
        {"interval": Interval.uniform(-1, 1, (2,))},
        "must return an Interval of shape",
    ),
    "an interval of whole numbers": ({"interval": WHOLE}, "must return an Interval of shape"),
    "an empty interval": (
        {"interval": Interval.uniform(1, -1, SHAPE)},
        "must return lower ends that do not exceed",
    ),
    "NaN": (
        {"interval": Interval.uniform(float("nan"), 1, SHAPE)},
        "must return lower ends that do not exceed",
    ),
    "no points": (
        {"sample": None},
        "sample answered None: it must return floating-point numbers of shape",
    ),
    "too few points": (
        {"project": torch.zeros(1, 2)},
        "project answered .*: it must return floating-point numbers",
    ),
    "no description": (
        {"describe": None},
        "describe answered None: it must return a dictionary of plain data",
    ),
    "objects": (
        {"describe": {"kind": "mine", "of": object()}},
        "must return a dictionary of plain data",
    ),
    "no answer": ({"contains": None}, "contains answered None: it must return True or False"),
}


@pytest.mark.parametrize(("answers", "said"), USELESS.values(), ids=USELESS)
def test_useless_answers_of_a_region_are_refused(answers: dict[str, Any], said: str) -> None:
    mine = type(
        "Mine",
        (Careless,),
        {name: lambda *_, answer=answer: answer for name, answer in answers.items()},
    )
    with pytest.raises(InputError, match=f"^Mine.*{said}"):
        lipschitz(
            lambda x: x**3,
            torch.zeros(SHAPE),
            region=mine(),
            method="autolip",
            lower=Random(points=5),
        )


@pytest.mark.parametrize("method", ["interval", "contains", "project", "sample", "describe"])
@pytest.mark.parametrize(
    ("fault", "said"), [(failing, r"RuntimeError \(no such file\)"), (leaving, "SystemExit")]
)
def test_a_region_that_fails_is_named(method: str, fault: Any, said: str) -> None:
    mine = type("Mine", (Careless,), {method: fault})
    with pytest.raises(InputError, match=f"^Mine.{method} failed with {said}"):
        lipschitz(
            lambda x: x**3,
            torch.zeros(SHAPE),
            region=mine(),
            method="autolip",
            lower=Random(points=5),
        )


def test_flat_boxes_take_the_shape_of_the_input() -> None:
    box = Box(torch.zeros(6), torch.ones(6))
    assert box.interval(SHAPE).shape == SHAPE


@pytest.mark.parametrize(
    "ends", [(0, 1), (0.0, np.ones(6)), ([0.0] * 6, 1), (torch.zeros(SHAPE), np.float32(1))]
)
def test_one_number_holds_for_every_entry(ends: tuple[Any, Any]) -> None:
    box = Box(*ends).shaped(SHAPE)
    assert torch.equal(box.lo, torch.zeros(SHAPE, dtype=torch.float64))
    assert torch.equal(box.hi, torch.ones(SHAPE, dtype=torch.float64))
    assert len(box.describe()["lo"]) == 6  # type: ignore[arg-type]
    assert torch.equal(Ball(ends[0], 1).shaped(SHAPE).center, box.lo)


@pytest.mark.parametrize("norm", [Norm.LINF, "linf", "LINF", "inf", float("inf"), np.inf])
def test_a_ball_takes_a_norm_in_any_form(norm: Any) -> None:
    ball = Ball(np.zeros((1, 3), dtype=np.float32), np.float32(0.1), norm=norm)
    assert (ball.norm, ball.radius, ball.center.dtype) == (
        Norm.LINF,
        float(np.float32(0.1)),
        torch.float64,
    )


def test_a_region_is_a_copy() -> None:
    ends = np.zeros(2), np.ones(2)
    box, center = Box(*ends), torch.zeros(2, dtype=torch.float64)
    ball = Ball(center, 1)
    ends[1][:] = 7.0
    center += 7.0
    assert box.hi.tolist() == [1.0, 1.0] and ball.center.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (lambda: Box(torch.ones(2), torch.zeros(2)), "empty in 2 entries"),
        (lambda: Box(torch.zeros(2), torch.zeros(3)), "two of one shape"),
        (lambda: Box(torch.tensor([float("nan")]), torch.zeros(1)), "NaN"),
        (lambda: Box(0, float("inf")), "NaN or infinite"),
        (lambda: Box("0", 1), "the box's lower end holds values of type <U1"),
        (lambda: Box(None, 1), "lower end holds values of type object"),
        (lambda: Box([0, [1]], 1), "lower end is no array of numbers"),
        (lambda: Box(False, True), "values of type bool"),
        (lambda: Box(0, 2**53 + 1), "whole numbers above 2"),
        (lambda: Box(torch.tensor([1j]), 1), "values of type complex64"),
        (lambda: Box(torch.zeros(2).to_sparse(), 1), "sparse"),
        (lambda: Ball(torch.zeros(2), -1.0), "finite number >= 0"),
        (lambda: Ball(torch.zeros(2), float("nan")), "finite number >= 0"),
        (lambda: Ball(torch.zeros(2), 10**400), "the ball's radius is 1000"),
        (lambda: Ball(torch.zeros(2), 2**53 + 1), "which is no double"),
        (lambda: Ball(torch.zeros(2), True), "radius is True: give a number"),
        (lambda: Ball(torch.zeros(2), "1"), "radius is '1': give a number"),
        (lambda: Ball(torch.zeros(2), torch.ones(2)), "radius is tensor"),
        (lambda: Ball(torch.zeros(2), 1.0, "l3"), "the ball's norm is 'l3': write l1, l2 or linf"),
        (lambda: Ball(torch.zeros(2), 1.0, Norm.L1), "l1 ball"),
        (lambda: Ball(torch.zeros(2), 1.0).interval(SHAPE), "2 entries"),
        (lambda: Ball(torch.zeros(2), 1.0).contains(CENTER), "2 entries"),
    ],
)
def test_bad_regions_are_refused(build: object, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        build()  # type: ignore[operator]
