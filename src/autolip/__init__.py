"""autolip: how much can a network's output change when its input changes?

    import autolip
    result = autolip.lipschitz(model, example_inputs, norm="l2")
    print(result)

`lipschitz` returns a bracket on the Lipschitz constant: an upper bound that can be trusted, a lower
bound with a witness, and how each was obtained.  A network is a graph of *slope sets*
(`autolip.slopes`): which linear maps can each operation act as on differences?  A method
(`autolip.methods`) is a fold over that graph; rules (`autolip.rules`) say the slope set of every
operation; norms of linear maps (`autolip.operators.norms`) are proved. The direction of every
inequality is a type: `Upper`, `Lower`, `Estimate`.
"""

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autolip.errors import (
        AutolipError,
        CaptureMismatch,
        InputError,
        Refusal,
        UnsupportedOperation,
    )
    from autolip.estimate import lipschitz, load
    from autolip.methods import AutoLip
    from autolip.norms import Norm
    from autolip.regions import Ball, Box, Everywhere, ScaledBall
    from autolip.result import Result
    from autolip.robustness import Certified
    from autolip.robustness.certify import certify
    from autolip.sweeping import sweep
    from autolip.values import Certainty, Estimate, Lower, Upper

_HOMES = {
    "AutoLip": "methods",
    "AutolipError": "errors",
    "Ball": "regions",
    "Box": "regions",
    "CaptureMismatch": "errors",
    "Certainty": "values",
    "Certified": "robustness",
    "Estimate": "values",
    "Everywhere": "regions",
    "InputError": "errors",
    "Lower": "values",
    "Norm": "norms",
    "Refusal": "errors",
    "Result": "result",
    "ScaledBall": "regions",
    "UnsupportedOperation": "errors",
    "Upper": "values",
    "certify": "robustness",
    "lipschitz": "estimate",
    "load": "estimate",
    "sweep": "sweeping",
}

__all__ = [
    "AutoLip",
    "AutolipError",
    "Ball",
    "Box",
    "CaptureMismatch",
    "Certainty",
    "Certified",
    "Estimate",
    "Everywhere",
    "InputError",
    "Lower",
    "Norm",
    "Refusal",
    "Result",
    "ScaledBall",
    "UnsupportedOperation",
    "Upper",
    "certify",
    "lipschitz",
    "load",
    "sweep",
]


def __dir__() -> list[str]:
    """The public names."""
    return [*__all__, "__version__"]


def __getattr__(name: str) -> Any:
    """Public names on first use, so that `autolip --help` does not load torch."""
    if name == "__version__":
        from importlib.metadata import version

        return version("autolip")
    if name not in _HOMES:
        raise AttributeError(
            f"module 'autolip' has no attribute {name!r}", name=name, obj=sys.modules[__name__]
        )
    return getattr(importlib.import_module(f"autolip.{_HOMES[name]}"), name)
