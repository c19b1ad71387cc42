"""Regions in certificates: each kind in full, or rejected."""

from typing import Any

import pytest

from autolip_check.container import Rejected
from autolip_check.regions import SHOWN, ball_of, point_of, read_region

BALL: dict[str, Any] = {"kind": "ball", "norm": "l2", "radius": 0.5, "center": [1.0, 2.0]}

CLIPPED = BALL | {"kind": "clipped ball", "lo": 0.0, "hi": 2.0}


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"kind": "everywhere"}, "everywhere"),
        (
            {"kind": "box", "lo": [0.0, -1.0], "hi": [1.0, 1.0]},
            "in the box from [0.0, -1.0] to [1.0, 1.0]",
        ),
        (BALL, "in the l2 ball of radius 0.5 around [1.0, 2.0]"),
        (
            CLIPPED,
            "in the l2 ball of radius 0.5 around [1.0, 2.0] with entries within [0.0, 2.0]",
        ),
    ],
)
def test_every_kind_is_said_in_words(entry: dict[str, Any], words: str) -> None:
    assert read_region(entry, 2).words == words


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"radius": 1.0}, "a region has no kind"),
        ({"kind": 3}, "the kind of the region is not a text"),
        ("cone", "a region has no kind"),
        ({"kind": "everywhere", "radius": 1.0}, "unknown fields"),
        ({"kind": "box", "lo": [0.0, 2.0], "hi": [1.0, 1.0]}, "the box is empty"),
        ({"kind": "box", "lo": [0.0], "hi": [1.0]}, "has 1 entries, not 2"),
        ({"kind": "box", "lo": [0.0, float("nan")], "hi": [1.0, 1.0]}, "not finite"),
        (BALL | {"radius": -0.5}, "radius is negative"),
        (BALL | {"norm": "l3"}, "'l3' is not known"),
        (BALL | {"center": 1.0}, "not a list"),
        (BALL | {"kind": "clipped ball", "lo": 0.0}, "fields"),
        (CLIPPED | {"hi": 1.5}, "beyond the two numbers"),
        (CLIPPED | {"hi": float("inf")}, "not finite"),
        (CLIPPED | {"radius": -1.0}, "radius is negative"),
    ],
)
def test_what_is_no_region_is_rejected(entry: dict[str, Any], reason: str) -> None:
    with pytest.raises(Rejected, match=reason):
        read_region(entry, 2)


def test_of_an_unknown_kind_what_the_file_says_is_repeated_and_nothing_is_concluded() -> None:
    found = read_region({"parts": 2, "kind": "simplex"}, 3)
    said = '{"kind":"simplex","parts":2}'
    assert found.words == f"in the region {said} of a kind that is not known"
    assert found.assumed.startswith("a region of kind 'simplex' is a convex set")
    assert found.settled == () and read_region({"kind": "everywhere"}, 3).assumed == ""
    numbers = [float(i) for i in range(100)]
    long, other = (
        read_region({"kind": "cone", "axis": axis}, 3) for axis in (numbers, numbers[1:])
    )
    assert "in the region with sha256 " in long.words and long.words != other.words


def test_a_long_point_is_told_by_its_extent_and_a_hash_of_all() -> None:
    first = read_region(BALL | {"center": [float(i) for i in range(SHOWN + 1)]}, SHOWN + 1)
    other = read_region(BALL | {"center": [0.0, 2.0, 1.0, *range(3, SHOWN + 1)]}, SHOWN + 1)
    assert f"{SHOWN + 1} entries within 0.0 and {float(SHOWN)!r}, sha256 " in first.words
    assert first.words != other.words
    constant = read_region(BALL | {"center": [0.5] * (SHOWN + 1)}, SHOWN + 1)
    assert f"[0.5 in all {SHOWN + 1} entries]" in constant.words


def test_a_clipped_ball_is_settled_where_nothing_moves_and_holds_its_points() -> None:
    assert read_region(CLIPPED, 2).settled == (False, False)
    assert read_region(CLIPPED | {"radius": 0.0}, 2).settled == (True, True)
    point = CLIPPED | {"center": [1.0, 1.0], "lo": 1.0, "hi": 1.0}
    assert read_region(point, 2).settled == (True, True)
    assert point_of([1.0, 2.0], CLIPPED, 2) == [1.0, 2.0]
    for outside, said in (([1.0, 2.25], "two numbers"), ([0.0, 2.0], "not in the ball")):
        with pytest.raises(Rejected, match=said):
            point_of(outside, CLIPPED, 2)
    assert ball_of(CLIPPED) == ball_of(BALL) == ([1.0, 2.0], 0.5, "l2")
    assert ball_of({"kind": "everywhere"}) is None
