"""Laws of rules, operators, methods, regions and outputs for your own tests: each raises
LawViolation with a counterexample."""

from autolip.testing.exact import Known, exact_norm
from autolip.testing.methods import attained_slope, check_method
from autolip.testing.operators import check_operator
from autolip.testing.outputs import check_output
from autolip.testing.ranges import check_ranges
from autolip.testing.regions import check_region
from autolip.testing.rules import check_rule
from autolip.testing.tight import (
    Tight,
    TightOperator,
    check_tight,
    check_tight_engine,
    check_tight_search,
)
from autolip.testing.tight_methods import check_tight_somewhere
from autolip.testing.tight_networks import tight_networks
from autolip.testing.tight_operators import tight_operators
from autolip.testing.violation import LawViolation

__all__ = [
    "Known",
    "LawViolation",
    "Tight",
    "TightOperator",
    "attained_slope",
    "check_method",
    "check_operator",
    "check_output",
    "check_ranges",
    "check_region",
    "check_rule",
    "check_tight",
    "check_tight_engine",
    "check_tight_search",
    "check_tight_somewhere",
    "exact_norm",
    "tight_networks",
    "tight_operators",
]
