"""Lower bounds on Lipschitz constants: pairs of inputs, evaluated by the original model."""

from autolip.lower.annealing import Annealing
from autolip.lower.ascent import Ascent
from autolip.lower.method import (
    LOWER_METHODS,
    LowerMethod,
    automatic_searches,
    lower_method,
    lower_named,
)
from autolip.lower.problem import LowerProblem
from autolip.lower.sampling import Dataset, Grid, Random
from autolip.lower.simplex import BasinHopping, NelderMead
from autolip.lower.witness import Witness
from autolip.registry import discover

discover(__name__)

__all__ = [
    "LOWER_METHODS",
    "Annealing",
    "Ascent",
    "BasinHopping",
    "Dataset",
    "Grid",
    "LowerMethod",
    "LowerProblem",
    "NelderMead",
    "Random",
    "Witness",
    "automatic_searches",
    "lower_method",
    "lower_named",
]
