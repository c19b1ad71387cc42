"""Where every value of a network lies on a region: one engine a file, and the meet of all."""

from autolip.ranges.engine import ENGINES, Allowance
from autolip.ranges.forward import Ranges, ranges
from autolip.registry import discover

discover(__name__)

__all__ = ["ENGINES", "Allowance", "Ranges", "ranges"]
