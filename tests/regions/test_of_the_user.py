"""Regions of the user's own: every answer is examined, and what they do not say follows from their
interval."""

from typing import Any

import pytest
import torch
from torch import Tensor

from autolip import lipschitz
from autolip.errors import InputError
from autolip.intervals import Interval
from autolip.lower import Random
from autolip.norms import Norm
from autolip.regions import Ball, OfTheUser, Region, as_region
from autolip.testing import LawViolation, check_region
from autolip.values import Event, Upper

SHAPE = torch.Size((1, 3, 2))


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


class Full(Careless):
    """The unit l2 ball about 1/4, which answers everything itself."""

    def centre(self, shape: torch.Size) -> Tensor | None:
        return torch.full(shape, 0.25, dtype=torch.float32)

    def reach(self, shape: torch.Size) -> Tensor:
        return torch.full(shape, 9.0)

    def support(self, rows: Tensor) -> Tensor:
        return 1.5 * Norm.L2.of_rows(rows) + 0.1

    def spread(self, norm: Norm, shape: torch.Size) -> Upper:
        return Upper(1.8) if norm is Norm.L2 else Upper(1e9)

    def settled(self, shape: torch.Size) -> Tensor:
        return torch.zeros(shape, dtype=torch.bool)

    def stride(self, shape: torch.Size) -> Tensor:
        return torch.ones(shape)


def test_answers_of_its_own_are_taken_where_they_are_the_smaller() -> None:
    region, rows = as_region(Full()), torch.eye(6).double().reshape(6, *SHAPE)
    assert region.centre(SHAPE).dtype == torch.float64  # type: ignore[union-attr]
    assert (region.reach(SHAPE) == 1.25).all()  # that of its interval, about its own centre
    assert region.support(rows)[0] == pytest.approx(1.25)
    assert region.support(rows.sum(0, keepdim=True))[0] == pytest.approx(1.5 * 6**0.5 + 0.1)
    assert region.spread(Norm.L2, SHAPE).value == 1.8
    assert region.spread(Norm.L1, SHAPE).value == pytest.approx(6 * 1.25)
    assert not region.settled(SHAPE).any() and (region.stride(SHAPE) == 1).all()


def test_what_it_does_not_say_follows_from_its_interval() -> None:
    region, rows = OfTheUser(Careless()), torch.ones(1, *SHAPE).double()
    assert (region.centre(SHAPE) == 0).all()  # type: ignore[union-attr]
    assert region.support(rows).item() == pytest.approx(6)
    assert region.spread(Norm.L2, SHAPE).value == pytest.approx(6**0.5)


class Single(Careless):
    """A box of single precision, whose support is counted from its middle there."""

    def interval(self, shape: torch.Size) -> Interval:
        return Interval(torch.full(shape, 2.0**-30), torch.ones(shape, dtype=torch.float32))

    def support(self, rows: Tensor) -> Tensor:
        shape = rows.shape[1:]
        box, centre = self.interval(shape), self.centre(shape)
        assert centre is not None
        above, below = (rows * (end.double() - centre) for end in (box.hi, box.lo))
        return torch.maximum(above, below).flatten(1).sum(1)


def test_bounds_of_its_own_are_counted_from_its_own_centre() -> None:
    """The middle in single precision, here 1/2, is another than that in double."""
    region, rows = as_region(Single()), torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
    centre = region.centre(torch.Size([1]))
    assert centre is not None and centre.dtype == torch.float64
    above, below = region.support(rows).tolist()
    assert centre.item() + above >= 1 and centre.item() - below <= 2.0**-30


NAN = float("nan")


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("centre", 3.0),
        ("centre", torch.zeros(2)),
        ("centre", torch.full(SHAPE, NAN)),
        ("reach", -torch.ones(SHAPE)),
        ("reach", torch.full(SHAPE, NAN)),
        ("support", torch.ones(2)),
        ("support", torch.tensor([NAN])),
        ("support", None),
        ("spread", 1.0),
        ("spread", Upper(1.0, frozenset({Event("a draw", 0.1)}))),
        ("settled", torch.zeros(SHAPE)),
        ("stride", torch.full(SHAPE, -1.0)),
    ],
)
def test_useless_bounds_are_refused(method: str, answer: Any) -> None:
    region = OfTheUser(type("Mine", (Careless,), {method: lambda *_: answer})())
    asked: dict[str, Any] = {
        "support": lambda: region.support(torch.ones(1, *SHAPE).double()),
        "spread": lambda: region.spread(Norm.L2, SHAPE),
    }
    with pytest.raises(InputError, match=f"Mine.{method} answered"):
        asked.get(method, lambda: getattr(region, method)(SHAPE))()
