"""What the parts of a search cost: in seconds of this machine, or of the one of reference where
work is counted."""

import torch

from autolip.budget import A_CALL, A_MULTIPLY_ADD, IN_DOUBLE, WALL, Clock, factorisation_rate
from autolip.methods.lipsdp.relaxation import Relaxation
from autolip.operators.operator import CPU, DTYPE

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


def step_price(relaxation: Relaxation, rank: int, clock: Clock = WALL) -> float:
    """About the seconds of a step of the ascent; what a GPU needs for its products is neglected."""
    graph = relaxation.graph
    calls = 2 * A_CALL * sum(len(vertex.edges) for vertex in graph)
    work = graph.work * rank
    if clock is not WALL:
        each = IN_DOUBLE if format_of(work)[0] == DTYPE else A_MULTIPLY_ADD
        return calls + work * each + rank * A_NUMBER * relaxation.variables
    return calls + (2 * work / factorisation_rate() if format_of(work)[1] == CPU else 0.0)
