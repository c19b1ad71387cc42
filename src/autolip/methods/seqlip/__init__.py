"""SeqLip: the inner problem  max over lo <= s <= hi of || A diag(s) B ||_2,  solved, estimated and
bounded.

    maximise_exact      a proved bracket by branch and bound, anytime                  ExactOutcome
    relax               a proved upper bound at any width                              Upper
    theorem3_bound      Theorem 3 of the paper, proved                                 Upper
    maximise_greedy     local search, from below                                       Estimate
    enumerate_patterns  all 2^n patterns: the published reference for small widths     Estimate

`block_bound` and `truncated_bound` make truncated decompositions sound; `ideal_network`,
`theorem3_factor` and `pi_limit` are the paper's ideal scenario.
"""

from autolip.methods.seqlip.blocks import block_bound, truncated_bound
from autolip.methods.seqlip.inner.enumeration import enumerate_patterns
from autolip.methods.seqlip.inner.exact import ExactOutcome, maximise_exact
from autolip.methods.seqlip.inner.greedy import maximise_greedy
from autolip.methods.seqlip.inner.relaxed import relax
from autolip.methods.seqlip.theorem3 import (
    IdealLayer,
    ideal_network,
    pi_limit,
    theorem3_bound,
    theorem3_factor,
)

__all__ = [
    "ExactOutcome",
    "IdealLayer",
    "block_bound",
    "enumerate_patterns",
    "ideal_network",
    "maximise_exact",
    "maximise_greedy",
    "pi_limit",
    "relax",
    "theorem3_bound",
    "theorem3_factor",
    "truncated_bound",
]
