"""Where the input may lie: everywhere, in a box, in a ball; one file a kind, each found by
itself."""

from typing import Any

from autolip.arguments import shown
from autolip.errors import InputError
from autolip.regions.ball import Ball
from autolip.regions.box import Box
from autolip.regions.everywhere import Everywhere
from autolip.regions.of_the_user import OfTheUser
from autolip.regions.region import REGIONS, Region
from autolip.registry import discover

discover(__name__)

__all__ = ["REGIONS", "Ball", "Box", "Everywhere", "OfTheUser", "Region", "as_region", "read"]


def as_region(value: Any) -> Region:
    """The region that is meant: None is everywhere; one of the user's own is examined at every
    answer."""
    if value is None or value is Everywhere:
        return Everywhere()
    if not isinstance(value, Region):
        raise InputError(
            f"region is {shown(value)}: give Everywhere(), Box(lo, hi) or Ball(center, radius)"
        )
    known = (*REGIONS.values(), OfTheUser)
    return value if type(value) in known else OfTheUser(value)


def read(described: Any) -> Region:
    """The region that `describe` gives this plain data for.

    Raises InputError where there is no such kind, and where its numbers are not given.
    """
    if not isinstance(described, dict) or "kind" not in described:
        raise InputError(
            f"a region is written as an object with a 'kind' ({', '.join(REGIONS)}), not as "
            f"{shown(described)}"
        )
    numbers = {name: value for name, value in described.items() if name != "kind"}
    return REGIONS.named(described["kind"]).read(numbers)
