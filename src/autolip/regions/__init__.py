"""Where the input may lie: everywhere, in a box, in a ball; one file a kind, each found by
itself."""

from collections.abc import Mapping
from typing import Any

from autolip.arguments import shown
from autolip.errors import InputError
from autolip.regions.ball import Ball
from autolip.regions.box import Box
from autolip.regions.everywhere import Everywhere
from autolip.regions.of_the_user import OfTheUser
from autolip.regions.product import Part, Product
from autolip.regions.region import REGIONS, Region
from autolip.regions.scaled_ball import ScaledBall
from autolip.registry import discover

discover(__name__)

__all__ = [
    "REGIONS",
    "Ball",
    "Box",
    "Everywhere",
    "OfTheUser",
    "Part",
    "Product",
    "Region",
    "ScaledBall",
    "as_region",
    "read",
]


def as_region(value: Any) -> Region:
    """The region that is meant: None is everywhere; several, by the names of inputs or in their
    order, are a product; one of the user's own is examined at every answer."""
    if value is None or value is Everywhere:
        return Everywhere()
    if isinstance(value, Mapping | list | tuple) and value:
        named = value if isinstance(value, Mapping) else dict(enumerate(value))
        return Product([Part(str(name), as_region(one)) for name, one in named.items()])
    if not isinstance(value, Region):
        raise InputError(
            f"region is {shown(value)}: give Everywhere(), Box(lo, hi) or Ball(center, radius), or "
            "one for each input that varies"
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
