"""Methods: folds over the graph of slope sets."""

from autolip.methods.autolip import AutoLip
from autolip.methods.frobenius import Frobenius
from autolip.methods.layerwise import Layerwise
from autolip.methods.liplt import LipLT
from autolip.methods.lipsdp.method import LipSDP
from autolip.methods.method import METHODS, Bound, Method, Problem, method_named
from autolip.methods.seqlip.seqlip import SeqLip, Theorem3

AUTO = ("autolip",)
"""What `method="auto"` runs, cheapest first; the smallest bound wins."""

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
    "Problem",
    "SeqLip",
    "Theorem3",
    "method_named",
]
