"""A range engine that nothing else of the package knows of: it knows nothing new."""

from autolip.intervals import Interval
from autolip.ranges.engine import Allowance, Asked, range_engine


@range_engine("toy-nothing")
def toy_nothing(asked: Asked, allowance: Allowance) -> Interval | None:
    """What is known already."""
    return None
