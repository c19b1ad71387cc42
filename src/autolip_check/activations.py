"""Slopes that follow from an operation's name and parameters alone, whatever its input."""

import math
from typing import Any

EXTREMES = {"silu": (-0.09985, 1.09985), "gelu": (-0.12905, 1.12905), "mish": (-0.11353, 1.08849)}
EXTREMES |= dict.fromkeys(("abs", "sin", "cos"), (-1.0, 1.0))
"""Those of the derivative, rounded outward: x sigmoid(x), x Phi(x), x tanh(softplus(x)), ..."""

STEEPEST = {"sigmoid": 0.25, "hardsigmoid": 1 / 6 + 2.0**-54, "erf": 1.1283791670955128}

MONOTONE = {
    "relu", "relu6", "tanh", "hardtanh", "softplus", "softsign", "tanhshrink", "softshrink", "logsigmoid",
    "log_sigmoid_forward", "atan", "asinh", "erf", "sigmoid", "hardsigmoid", "elu", "celu", "clamp",
}  # fmt: skip


def global_slopes(operation: str, parameters: dict[str, Any]) -> tuple[float, float] | None:
    """[a, b] with a (x - y) <= f(x) - f(y) <= b (x - y) for x >= y; None where the name does not tell."""
    name = operation.removeprefix("aten.").removeprefix("autolip.").split(".")[0].rstrip("_")
    if name in EXTREMES and parameters.get("approximate", "none") == "none":
        return EXTREMES[name]
    if name == "leaky_relu":
        slope = parameters.get("negative_slope", 0.01)
        return min(1.0, slope), max(1.0, slope)
    if name not in MONOTONE:
        return None
    return 0.0, _steepest(name, parameters)


def _steepest(name: str, parameters: dict[str, Any]) -> float:
    """The largest slope of an increasing function."""
    if name == "elu":
        alpha, scale, inner = (parameters.get(key, 1.0) for key in ("alpha", "scale", "input_scale"))
        return max(scale, scale * alpha * inner) if min(alpha, scale, inner) >= 0 else math.inf
    if name == "celu":
        return 1.0 if parameters.get("alpha", 1.0) > 0 else math.inf
    return STEEPEST.get(name, 1.0)
