"""Regions: the law on every kind that is registered, a kind that is defined here alone, what is
read from files, refusals.

Covers autolip.testing.regions, and autolip.regions.* whatever is in that folder.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor

from autolip.errors import AutolipError, InputError
from autolip.intervals import Interval
from autolip.norms import Norm
from autolip.regions import REGIONS, Ball, Box, Everywhere, OfTheUser, Region, as_region, read
from autolip.regions.region import region
from autolip.testing import LawViolation, check_region
from autolip.values import Upper

SHAPE = torch.Size((1, 3, 2))
CENTER = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))
REGIONS_THERE = [
    Everywhere(),
    Box(CENTER - 0.5, CENTER + 2),
    Box(CENTER, CENTER + torch.tensor([0.0, 1.0])),
    *(Ball(CENTER, 0.7, norm) for norm in Norm),
]


def doubles(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


@dataclass(frozen=True)
class Simplex(Region):
    """The entries >= 0 that add up to at most 1 / parts: neither symmetric nor about its middle."""

    parts: int = 1

    def interval(self, shape: torch.Size) -> Interval:
        return Interval(torch.zeros(shape).double(), torch.full(shape, 1 / self.parts).double())

    def contains(self, x: Tensor) -> bool:
        if not bool(x.isfinite().all()):
            return False
        entries = [Fraction(a) for a in x.flatten().tolist()]
        return min(entries, default=0) >= 0 and self.parts * sum(entries) <= 1

    def project(self, x: Tensor) -> Tensor:
        inside = x.clamp(min=0.0)
        return Ball(0, 1 / self.parts * (1 - 1e-12), Norm.L1).project(inside)

    def sample(self, count: int, example: Tensor, generator: torch.Generator) -> Tensor:
        steps = torch.rand((count, *example.shape), generator=generator, dtype=torch.float64)
        return self.project(steps * 2 / self.parts)

    def support(self, rows: Tensor) -> Tensor:
        """max(0, largest entry) / parts - <row, centre>, upwards; the centre is 1 / (2 parts)."""
        found = []
        for row in rows.reshape(len(rows), rows.shape[1:].numel()).tolist():
            entries = [Fraction(0), *map(Fraction, row)]
            top = max(entries) - sum(entries) / 2
            value = Fraction(1 / self.parts) * top
            found.append(math.nextafter(float(value), math.inf) if value else 0.0)
        return torch.tensor(found, dtype=torch.float64)

    def describe(self) -> dict[str, object]:
        return {"kind": "simplex", "parts": self.parts}

    @classmethod
    def examples(cls) -> tuple[Region, ...]:
        return cls(), cls(2), cls(64)


KINDS: dict[str, type[Region]] = {**REGIONS, "simplex": Simplex}


@pytest.fixture
def registered() -> Iterator[None]:
    region("simplex")(Simplex)
    yield
    del REGIONS["simplex"]


EXAMPLES = [example for kind in KINDS.values() for example in kind.examples()]


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("region", [*REGIONS_THERE, *EXAMPLES], ids=repr)
@pytest.mark.parametrize("shape", [SHAPE, torch.Size((6,))])
def test_the_answers_of_a_region_fit_each_other(region: Region, shape: torch.Size) -> None:
    check_region(region, shape)


@pytest.mark.parametrize("region", EXAMPLES, ids=repr)
@pytest.mark.parametrize("shape", [torch.Size(()), torch.Size((1,)), torch.Size((2, 0))])
def test_inputs_of_one_entry_and_of_none(region: Region, shape: torch.Size) -> None:
    rows = torch.ones((3, *shape), dtype=torch.float64)
    assert region.support(rows).shape == (3,) and region.reach(shape).shape == shape
    assert region.support(rows[:0]).shape == (0,)
    if not shape.numel():
        assert region.support(rows).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("region", [Box(-1, 1), *(Ball(0, 1, norm) for norm in Norm)], ids=repr)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_forms_that_are_not_finite_have_no_bound(region: Region, value: float) -> None:
    rows = torch.tensor([[value, 1.0], [0.0, value]], dtype=torch.float64)
    assert region.support(rows).tolist() == [math.inf, math.inf]


def test_a_new_kind_is_taken_at_its_word_and_read_from_files(registered: None) -> None:
    mine = read({"kind": "simplex", "parts": 2})
    assert mine == Simplex(2) and as_region(mine) is mine
    assert isinstance(mine, Simplex)


def test_without_registration_it_is_the_users_own() -> None:
    assert isinstance(as_region(Simplex()), OfTheUser)
    check_region(as_region(Simplex()), SHAPE)


def forgetful(**answers: Any) -> type[Region]:
    return type("Forgetful", (Simplex,), {"__doc__": "A simplex.", **answers})


@pytest.mark.parametrize(
    ("kind", "answers", "said"),
    [
        ("simplex", {"examples": Region.examples}, "has no `examples`"),
        ("simplex", {"__doc__": ""}, "has no docstring"),
        ("prism", {}, "describes itself as"),
        ("simplex", {"read": classmethod(lambda cls, numbers: Simplex())}, "is not read as it is"),
        (
            "box",
            {"describe": lambda self: {"kind": "box", "parts": self.parts}},
            "is there already",
        ),
    ],
)
def test_what_is_forgotten_fails_loudly(kind: str, answers: dict[str, Any], said: str) -> None:
    with pytest.raises(AutolipError, match=said):
        region(kind)(forgetful(**answers))
    assert "prism" not in REGIONS and REGIONS["box"] is Box


class Short(Ball):
    """A ball that says too little of what bounds it, one answer at a time."""

    def reach(self, shape: torch.Size) -> Tensor:
        return super().reach(shape) / 2


class Narrow(Ball):
    """The same for its spread."""

    def spread(self, norm: Norm, shape: torch.Size) -> Upper:
        return Upper(super().spread(norm, shape).value * (0.6 if norm is Norm.L1 else 1))


class Weak(Ball):
    """The same for its support: the inner radius of the ball's box."""

    def support(self, rows: Tensor) -> Tensor:
        return super().support(rows) * 0.8


class Stiff(Ball):
    """It says that its first entry cannot move."""

    def settled(self, shape: torch.Size) -> Tensor:
        return torch.arange(shape.numel()).reshape(shape) == 0


@pytest.mark.parametrize(
    ("kind", "law"),
    [(Short, "reach"), (Narrow, "spread in l1"), (Weak, "support"), (Stiff, "settled")],
)
def test_the_law_sees_answers_that_are_too_small(kind: type[Ball], law: str) -> None:
    with pytest.raises(LawViolation, match=law):
        check_region(kind(0, 1.0, Norm.LINF), SHAPE)


@pytest.mark.parametrize("region", REGIONS_THERE, ids=repr)
def test_samples_and_projections_lie_inside(region: Region) -> None:
    generator = torch.Generator().manual_seed(0)
    points = region.sample(50, CENTER, generator)
    noise = torch.randn((50, *SHAPE), generator=generator, dtype=torch.float64)
    projected = region.project(CENTER.double() + 5 * noise)
    for batch in (points, projected):
        assert all(region.interval(SHAPE).contains(point) for point in batch)
    assert all(region.contains(point) for point in region.inward(projected))


@pytest.mark.parametrize("region", [Everywhere(), *(Ball(0, 1, norm) for norm in Norm)], ids=repr)
def test_only_finite_points_are_inside(region: Region) -> None:
    assert region.contains(doubles(1.0))
    assert not region.contains(doubles(float("inf"))) and not region.contains(doubles(float("nan")))


def test_everywhere_has_no_middle_and_bounds_nothing_but_what_does_not_move() -> None:
    whole = Everywhere()
    assert whole.centre(SHAPE) is None and whole.spread(Norm.L2, SHAPE).value == math.inf
    rows = torch.stack([torch.zeros(SHAPE).double(), CENTER.double()])
    assert whole.support(rows).tolist() == [0.0, math.inf]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (3, "a region is written as an object"),
        ({"lo": 0}, "a region is written as an object"),
        ({"kind": "sphere"}, "sphere"),
        ({"kind": "box", "lo": 0}, "a Box is written with lo, hi, not with lo"),
        ({"kind": "everywhere", "lo": 0}, "written with nothing else, not with lo"),
        ({"kind": "ball", "center": 0, "radius": 1, "norm": "l3"}, "the ball's norm is 'l3'"),
    ],
)
def test_what_is_no_region_is_not_read(written: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read(written)


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
        (lambda: Ball(torch.zeros(2), 1.0).interval(SHAPE), "2 entries"),
        (lambda: Ball(torch.zeros(2), 1.0).contains(CENTER), "2 entries"),
    ],
)
def test_bad_regions_are_refused(build: object, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        build()  # type: ignore[operator]
