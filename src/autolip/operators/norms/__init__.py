"""Upper bounds on operator norms: engines, each of which registers itself, and the dispatch between
them."""

from autolip.operators.norms import closed_form, composite, dense, entry_sums, lanczos
from autolip.operators.norms.dispatch import operator_norm
from autolip.operators.norms.engine import Candidate, NormOptions, candidates
from autolip.operators.norms.lanczos import lower_estimate
from autolip.operators.norms.symbol import bound, torus

__all__ = [
    "Candidate",
    "NormOptions",
    "bound",
    "candidates",
    "closed_form",
    "composite",
    "dense",
    "entry_sums",
    "lanczos",
    "lower_estimate",
    "operator_norm",
    "torus",
]
