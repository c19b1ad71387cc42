"""What a person may ask of secants, what is refused in a sentence, and what is then said."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from autolip import Ball, Box, Everywhere, lipschitz
from autolip.errors import InputError
from autolip.findings import Row
from autolip.regions import Region
from autolip.result import Result
from autolip.secants import Secants

SHAPE = torch.Size([1, 3])
torch.manual_seed(0)
MODEL = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2)).eval()
POINT = torch.tensor([[0.1, -0.2, 0.3]])


def test_any_two_points_have_no_centre() -> None:
    assert Secants.asked().centre(Everywhere(), SHAPE) is None


@pytest.mark.parametrize(
    ("region", "point", "expected"),
    [
        (Ball([1, 2, 3], 0.5), None, [1.0, 2.0, 3.0]),
        (Box(0, 1), None, [0.5, 0.5, 0.5]),
        (Box(0, 1), 0.25, [0.25, 0.25, 0.25]),
        (Ball(0, 1), np.array([0.1, 0.2, 0.3]), [0.1, 0.2, 0.3]),
        (Everywhere(), [5, 6, 7], [5.0, 6.0, 7.0]),
    ],
)
def test_a_centre_is_that_of_the_region_or_a_point_of_it(
    region: Region, point: Any, expected: list[float]
) -> None:
    found = Secants.asked("centre", point).centre(region, SHAPE)
    assert found is not None
    assert found.flatten().tolist() == expected


@pytest.mark.parametrize(
    ("kind", "point", "said"),
    [
        ("center", None, "secants is 'center': give 'any' or 'centre'"),
        (3, None, "secants is 3"),
        ("any", [0, 0, 0], "no secants from it"),
        ("centre", [0, float("nan"), 0], "NaN or infinite"),
        ("centre", "here", "the point"),
    ],
)
def test_what_cannot_be_meant_is_refused(kind: Any, point: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Secants.asked(kind, point)


def test_a_point_must_be_one_of_the_region() -> None:
    with pytest.raises(InputError, match="not in the region"):
        Secants.asked("centre", [2, 0, 0]).centre(Ball(0, 1), SHAPE)
    with pytest.raises(InputError, match="has no centre"):
        Secants.asked("centre").centre(Everywhere(), SHAPE)
    with pytest.raises(InputError, match="2 entries"):
        Secants.asked("centre", [0, 0]).centre(Ball(0, 1), SHAPE)


def value(row: Row | None) -> float:
    """The number of a row that has one."""
    assert row is not None and row.value is not None
    return row.value


def test_the_result_says_from_where() -> None:
    region = Ball(POINT, 0.4)
    anywhere = lipschitz(MODEL, POINT, region=region, method=["lipsdp", "liplt"], seed=0)
    near = lipschitz(MODEL, POINT, region=region, secants="centre", method=["lipsdp", "liplt"])
    assert value(near.lower) <= value(near.upper) < value(anywhere.upper)
    assert near.lower is not None
    assert torch.equal(near.lower.witness.y.flatten(), POINT.double().flatten())
    assert "<= calmness modulus <=" in repr(near) and "from its centre" in repr(near)
    written = near.to_dict()
    assert (written["secants"], written["centre"]) == ("centre", POINT.double().flatten().tolist())
    assert Result.from_dict(written).to_dict() == written
    assert (anywhere.to_dict()["secants"], anywhere.to_dict()["centre"]) == ("any", None)
    box = lipschitz(MODEL, POINT, region=Box(-1, 1), secants="centre", point=POINT, method="liplt")
    assert "from a point of it" in repr(box)
    middle = lipschitz(MODEL, POINT, region=Box(-1, 3), secants="centre", method="liplt")
    assert "from its centre" in repr(middle)


def test_pairs_and_single_outputs_from_the_centre() -> None:
    region = Ball(POINT, 0.4)
    for output in ("pairs", 0, "0-1"):
        near = lipschitz(MODEL, POINT, region=region, secants="centre", output=output)
        assert value(near.lower) <= value(near.upper)
