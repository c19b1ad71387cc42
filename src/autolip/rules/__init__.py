"""The table of rules: importing this package fills it."""

from autolip.registry import discover
from autolip.rules.propagate import parts_on, range_of, require_rules, slopes_on
from autolip.rules.rule import RULES, Rule

discover(__name__)

__all__ = ["RULES", "Rule", "parts_on", "range_of", "require_rules", "slopes_on"]
