"""What the parts of a search cost: in seconds of this machine, or of the one of reference where
work is counted."""

import math

import torch

from autolip.graph.views import SlopeGraph
from autolip.methods.lipsdp.quadratic_form import variables_of
from autolip.operators.clock import WALL, Clock
from autolip.operators.norms import NormOptions
from autolip.operators.norms.engine import ABOVE, CHEAP
from autolip.operators.norms.semidefinite import REFERENCE, factorisation_rate
from autolip.operators.operator import A_CALL, A_MULTIPLY_ADD, DTYPE, IN_DOUBLE
from autolip.operators.precision import CPU

SMALL_PASS = 2e6
"""Multiply-adds of a pass below which float64 costs nothing that matters."""

A_NUMBER = 8e-9
"""Seconds of reference that a step takes for each variable and column, beside its products."""


def format_of(work: float) -> tuple[torch.dtype, torch.device]:
    """Where passes of so much work are made: small ones in float64, others in float32, on a GPU if
    there is one."""
    if work < SMALL_PASS:
        return torch.float64, CPU
    return torch.float32, torch.device("cuda") if torch.cuda.is_available() else CPU


def rate(clock: Clock) -> float:
    """Floating-point operations per second of a factorisation, on this machine or that of
    reference."""
    return factorisation_rate() if clock is WALL else REFERENCE


def step_price(graph: SlopeGraph, rank: int, clock: Clock = WALL) -> float:
    """About the seconds of a step of the ascent; what a GPU needs for its products is neglected."""
    calls = 2 * A_CALL * sum(len(vertex.edges) for vertex in graph)
    work = graph.work * rank
    if clock is not WALL:
        each = IN_DOUBLE if format_of(work)[0] == DTYPE else A_MULTIPLY_ADD
        return calls + work * each + rank * A_NUMBER * variables_of(graph)
    return calls + (2 * work / factorisation_rate() if format_of(work)[1] == CPU else 0.0)


def remedy(seconds: float, options: NormOptions) -> str:
    """The time budget that would help a search that takes so long, and comes after others."""
    before = 0.0 if options.began is None else max(options.clock.now() - options.began, 0.0)
    budget = max(seconds / (ABOVE - CHEAP), (before + seconds) / ABOVE)
    minutes = math.ceil(budget / 60)
    some = f"{math.ceil(budget)} s" if budget < 100 else f"{minutes} minutes"
    return f"a time budget of about {some} would help"
