"""Methods: folds over the graph of slope sets."""

from autolip.methods.autolip import AutoLip
from autolip.methods.method import METHODS, Bound, Method, Problem, method_named

AUTO = ("autolip",)
"""What `method="auto"` runs, cheapest first; the smallest bound wins."""

__all__ = ["AUTO", "METHODS", "AutoLip", "Bound", "Method", "Problem", "method_named"]
