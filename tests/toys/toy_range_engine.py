"""A range engine that nothing else of the package knows of: it knows nothing new."""

from autolip.intervals import Interval
from autolip.ranges.engine import Asked, Effort, range_engine


@range_engine("toy-nothing")
def toy_nothing(asked: Asked, effort: Effort) -> Interval | None:
    """What is known already."""
    return None
