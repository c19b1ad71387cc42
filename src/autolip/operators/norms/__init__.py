"""Upper bounds on operator norms: engines, each of which registers itself, and the dispatch between
them."""

from autolip.operators.norms import (
    columns,
    dense,
    gram,
    lanczos,
    power,
    routes,
    symbol,
    symbol_torus,
    wiring,
)
from autolip.operators.norms.dispatch import operator_norm
from autolip.operators.norms.engine import Candidate, NormOptions, candidates
from autolip.operators.norms.lanczos import lower_estimate

__all__ = [
    "Candidate",
    "NormOptions",
    "candidates",
    "columns",
    "dense",
    "gram",
    "lanczos",
    "lower_estimate",
    "operator_norm",
    "power",
    "routes",
    "symbol",
    "symbol_torus",
    "wiring",
]
