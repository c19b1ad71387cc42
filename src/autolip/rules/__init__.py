"""The table of rules: importing this package fills it."""

import importlib
import pkgutil

from autolip.rules.propagate import range_of, require_rules, slopes_on
from autolip.rules.rule import RULES, Rule

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["RULES", "Rule", "range_of", "require_rules", "slopes_on"]
