"""Pointwise functions written by hand, and the ends of intervals."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from autolip.intervals import Interval
from autolip.rules.rule import Operand, Pointwise, Turn

INF = math.inf


def on(lo: Any, hi: Any) -> Operand:
    low, high = torch.as_tensor(lo, dtype=torch.float64), torch.as_tensor(hi, dtype=torch.float64)
    return Operand("x", low.shape, Interval(low, high))


def record(
    x: Operand,
    value: Callable[[Tensor], Tensor],
    derivative: Callable[[Tensor], Tensor],
    **fields: Any,
) -> Pointwise:
    defaults: dict[str, Any] = {
        "value_limits": (-INF, INF),
        "slope_limits": (-INF, INF),
        "error": 0.0,
    }
    return Pointwise(x, value, derivative, **(defaults | fields))


def cubic(x: Operand, **fields: Any) -> Pointwise:
    """x^3 - 3 x: value turns at -1 and 1, slope turn at 0."""
    return record(
        x,
        lambda x: x**3 - 3 * x,
        lambda x: 3 * x**2 - 3,
        **{"slope_limits": (INF, INF), "value_turns": (-1.0, 1.0), "slope_turns": (Turn(0.0),)}
        | fields,
    )


def ends(interval: Interval) -> tuple[float, float]:
    return interval.lo.item(), interval.hi.item()
