"""Matrix-free linear maps and proved bounds on their norms."""

from autolip.operators.algebra import Composition, Sum, Zero, add, compose
from autolip.operators.block import Block, Link
from autolip.operators.convolution import Convolution
from autolip.operators.dense import Dense
from autolip.operators.diagonal import Diagonal, Identity
from autolip.operators.incidence import Incidence
from autolip.operators.kernel import Geometry
from autolip.operators.operator import Adjoint, Operator
from autolip.operators.traced import Traced

__all__ = [
    "Adjoint",
    "Block",
    "Composition",
    "Convolution",
    "Dense",
    "Diagonal",
    "Geometry",
    "Identity",
    "Incidence",
    "Link",
    "Operator",
    "Sum",
    "Traced",
    "Zero",
    "add",
    "compose",
]
