"""Upper bounds on operator norms: engines, each of which registers itself, and the dispatch between
them."""

from autolip.operators.norms.dispatch import operator_norm
from autolip.operators.norms.engine import Candidate, NormOptions, candidates
from autolip.operators.norms.lanczos import lower_estimate
from autolip.registry import discover

discover(__name__)

__all__ = ["Candidate", "NormOptions", "candidates", "lower_estimate", "operator_norm"]
