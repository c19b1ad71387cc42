"""Methods: folds over the graph of slope sets."""

from autolip.methods.autolip import AutoLip
from autolip.methods.frobenius import Frobenius
from autolip.methods.layerwise.method import Layerwise
from autolip.methods.liplt.method import LipLT
from autolip.methods.lipsdp.method import LipSDP
from autolip.methods.method import (
    METHODS,
    Bound,
    Method,
    Problem,
    automatic_names,
    method_named,
)
from autolip.methods.nonnegative import Nonnegative
from autolip.methods.rescaled import Rescaled
from autolip.methods.seqlip.seqlip import SeqLip, Theorem3
from autolip.methods.through_l2 import ThroughL2
from autolip.norms import Norm
from autolip.registry import discover

discover(__name__)

AUTO = automatic_names()
"""What `method="auto"` runs where they accept the network, cheapest first; the smallest bound
wins."""


def automatic(p: Norm, q: Norm) -> list[Method]:
    """The methods of AUTO for these norms."""
    members = map(method_named, AUTO)
    return [member for member in members if member.is_automatic(p, q)]


__all__ = [
    "AUTO",
    "METHODS",
    "AutoLip",
    "Bound",
    "Frobenius",
    "Layerwise",
    "LipLT",
    "LipSDP",
    "Method",
    "Nonnegative",
    "Problem",
    "Rescaled",
    "SeqLip",
    "Theorem3",
    "ThroughL2",
    "automatic",
    "method_named",
]
