"""Theorems about names: slopes that an operation has on every input, for the parameters it is given
with.

A function that is continuous, and differentiable but for finitely many points, with derivatives in
[a, b], obeys a (x - y) <= f(x) - f(y) <= b (x - y) for all x >= y (mean value theorem, piece by
piece).  Every entry below is such an [a, b], rounded outward.  A name, or a parameter, that is not
listed here tells nothing.
"""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from autolip_check.admission import number
from autolip_check.container import Rejected

Slopes = tuple[float, float]
Parameters = dict[str, Any]


def upwards(value: float | Fraction) -> float:
    """A double above a real number."""
    return math.nextafter(float(value), math.inf)


PLAIN: dict[str, Slopes] = {
    "relu": (0.0, 1.0),
    "relu6": (0.0, 1.0),
    "tanh": (0.0, 1.0),
    "tanhshrink": (0.0, 1.0),
    "softsign": (0.0, 1.0),
    "atan": (0.0, 1.0),
    "arctan": (0.0, 1.0),
    "asinh": (0.0, 1.0),
    "arcsinh": (0.0, 1.0),
    "log_sigmoid": (0.0, 1.0),
    "abs": (-1.0, 1.0),
    "absolute": (-1.0, 1.0),
    "sin": (-1.0, 1.0),
    "cos": (-1.0, 1.0),
    "hardswish": (-0.5, 1.5),
    "sigmoid": (0.0, 0.25),
    "special_expit": (0.0, 0.25),
    "hardsigmoid": (0.0, upwards(Fraction(1, 6))),
    "erf": (0.0, 1.12837916709551280),
    "special_erf": (0.0, 1.12837916709551280),
    "erfc": (-1.12837916709551280, 0.0),
    "special_erfc": (-1.12837916709551280, 0.0),
    "selu": (0.0, 1.75809934084737710),
    "silu": (-0.09983932012886693, 1.09983932012886720),
    "mish": (-0.11252612238946258, 1.08849816125172810),
}
"""Without parameters.  (erf: 2 / sqrt(pi); selu: its two constants' product; silu, mish: the
derivative's extremes.)"""

GELU: dict[str, Slopes] = {
    "none": (-0.12890414518515481, 1.12890414518515490),
    "tanh": (-0.12899306865877182, 1.12899306865877190),
}
"""x Phi(x) at +-sqrt 2, and its approximation by tanh at +-1.41850400879...: the derivative's
extremes."""


def _gelu(given: Parameters) -> Slopes | None:
    """x Phi(x), or the approximation of it by tanh."""
    approximate = given.get("approximate", "none")
    return GELU.get(approximate) if isinstance(approximate, str) else None


def _leaky_relu(given: Parameters) -> Slopes | None:
    """x above 0, s x below."""
    slope = number(given.get("negative_slope", 0.01))
    return min(1.0, slope), max(1.0, slope)


def _elu(given: Parameters) -> Slopes | None:
    """c x above 0, c a (exp(i x) - 1) below: increasing for a, c, i >= 0, steepest with c or, at
    0-, with c a i."""
    alpha = number(given.get("alpha", 1.0))
    scale = number(given.get("scale", 1.0))
    inner = number(given.get("input_scale", 1.0))
    if min(alpha, scale, inner) < 0:
        return None
    at_zero = Fraction(scale) * Fraction(alpha) * Fraction(inner)
    return 0.0, max(scale, float(at_zero) if at_zero == float(at_zero) else upwards(at_zero))


def _celu(given: Parameters) -> Slopes | None:
    """x above 0, a (exp(x / a) - 1) below, for a > 0."""
    return (0.0, 1.0) if number(given.get("alpha", 1.0)) > 0 else None


def _softplus(given: Parameters) -> Slopes | None:
    """log(1 + exp(b x)) / b, of slope sigmoid(b x); x itself where b x > threshold is the same but
    for 2.1e-9 / |b|.

    That holds for a threshold >= 20; below it the function has a jump that counts.
    """
    beta = number(given.get("beta", 1.0))
    threshold = number(given.get("threshold", 20.0))
    return (0.0, 1.0) if beta != 0 and threshold >= 20 else None


def _softshrink(given: Parameters) -> Slopes | None:
    """0 on [-l, l], x -+ l beyond, for l >= 0."""
    return (0.0, 1.0) if number(given.get("lambd", 0.5)) >= 0 else None


def _clipped(given: Parameters) -> Slopes | None:
    """min(max(x, a), b), with either end or both, constant where a >= b."""
    for end in given.values():
        number(end)
    return 0.0, 1.0


WITH_PARAMETERS: dict[str, tuple[set[str], Callable[[Parameters], Slopes | None]]] = {
    "gelu": ({"approximate"}, _gelu),
    "leaky_relu": ({"negative_slope"}, _leaky_relu),
    "elu": ({"alpha", "scale", "input_scale"}, _elu),
    "celu": ({"alpha"}, _celu),
    "softplus": ({"beta", "threshold"}, _softplus),
    "softshrink": ({"lambd"}, _softshrink),
    "hardtanh": ({"min_val", "max_val"}, _clipped),
    "clamp": ({"min", "max"}, _clipped),
    "clip": ({"min", "max"}, _clipped),
    "clamp_min": ({"min"}, _clipped),
    "clamp_max": ({"max"}, _clipped),
}


def name_of(operation: str) -> str:
    """`relu` of `aten.relu.default`; of what is not written like that, all of it."""
    parts = operation.split(".")
    return parts[1] if len(parts) in (2, 3) and parts[0] in ("aten", "autolip") else operation


def global_slopes(operation: str, parameters: Parameters) -> Slopes | None:
    """[a, b] with a (x - y) <= f(x) - f(y) <= b (x - y) for x >= y; None where name and parameters
    do not tell."""
    name = name_of(operation)
    if name in PLAIN:
        return None if parameters else PLAIN[name]
    known, slopes = WITH_PARAMETERS.get(name, (set[str](), None))
    if slopes is None or not set(parameters) <= known:
        return None
    try:
        return slopes(parameters)
    except Rejected:  # a parameter that is no admitted number
        return None
