"""Upper bounds on operator norms: engines, and the dispatch between them."""

from autolip.operators.norms import wiring  # isort: skip
from autolip.operators.norms import columns, dense, lanczos, routes, symbol, symbol_torus  # registered in this order
from autolip.operators.norms.dispatch import operator_norm
from autolip.operators.norms.engine import Candidate, NormOptions, candidates
from autolip.operators.norms.lanczos import lower_estimate

__all__ = [
    "Candidate",
    "NormOptions",
    "candidates",
    "columns",
    "dense",
    "lanczos",
    "lower_estimate",
    "operator_norm",
    "routes",
    "symbol",
    "symbol_torus",
    "wiring",
]
