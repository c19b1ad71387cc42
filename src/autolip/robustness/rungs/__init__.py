"""The ladder: ways to bound margins from below, one a file, each found by itself, the cheapest
first."""

from autolip.registry import discover
from autolip.robustness.rungs.rung import LADDER, ladder, rung

discover(__name__)

__all__ = ["LADDER", "ladder", "rung"]
