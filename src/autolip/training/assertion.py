"""A test's question: is this network K-Lipschitz?"""

import math
from collections.abc import Callable
from typing import Any, Literal

from torch import nn

from autolip.errors import InputError
from autolip.estimate import lipschitz
from autolip.findings import above, below
from autolip.result import Result

Reason = Literal["rounding", "not proved", "violated"]


class NotLipschitz(AssertionError):
    """The network is not known to be K-Lipschitz, for one of three reasons.

    * "violated": two inputs were found whose outputs are further apart than K allows
      (`result.lower.witness`);
    * "rounding": the proved bound is above K (1 + tol) by less than what the bound's own tolerance
      is;
    * "not proved": K lies inside the bracket: neither proved nor violated.

    `result` is the bracket.
    """

    def __init__(self, reason: Reason, message: str, result: Result) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.result = result


ROUNDING = 1e-4
"""Relative distance up to which a bound above K is called rounding, where nothing was found above
K: tuned, about what the proof of a network built of orthogonal layers in float32 adds."""


def assert_lipschitz(
    model: nn.Module | Callable[..., Any],
    constant: float,
    example_inputs: Any,
    *,
    tol: float = 1e-6,
    **options: Any,
) -> Result:
    """Pass where the Lipschitz constant is proved to be at most `constant` (1 + tol); the bracket.

    `options` are those of `lipschitz`: norm, region, output, method, time_budget and so on.  Raises
    NotLipschitz, which tells "violated" from "not proved" and "rounding"; InputError for a constant
    that is not a finite number >= 0.

        >>> import torch
        >>> from torch import nn
        >>> from autolip.training import assert_lipschitz
        >>> layer = nn.utils.parametrizations.orthogonal(nn.Linear(4, 4, bias=False))
        >>> model = nn.Sequential(layer, nn.ReLU()).eval()
        >>> _ = assert_lipschitz(model, 1.0, torch.zeros(1, 4), tol=1e-5)
    """
    if not (math.isfinite(constant) and constant >= 0):
        raise InputError(f"the constant is {constant}: give a finite number >= 0")
    if not (math.isfinite(tol) and tol >= 0):
        raise InputError(f"tol is {tol}: give a finite number >= 0")
    result = lipschitz(model, example_inputs, **options)
    if result.rounding is not None:
        message = "the network rounds to a grid and jumps: no constant bounds it"
        raise NotLipschitz("violated", message, result)
    limit = constant * (1 + tol)
    upper = above(result.upper)
    lower = below(result.lower)
    if upper <= limit:
        return result
    bracket = f"[{lower:.9g}, {upper:.9g}] for a limit of {limit:.9g}"
    if lower > limit:
        message = (
            f"two inputs differ in their outputs by {lower:.9g} times the change of the "
            f"input, above {limit:.9g}"
        )
        raise NotLipschitz("violated", message, result)
    if upper <= limit * (1 + ROUNDING):
        raise NotLipschitz(
            "rounding", f"the constant lies in {bracket}: allow a larger tol", result
        )
    message = f"the constant lies in {bracket}: give more time, a tighter method or a region"
    raise NotLipschitz("not proved", message, result)
