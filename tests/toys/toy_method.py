"""An upper method that nothing else of the package knows of: the product of the norms of the
blocks."""

from dataclasses import dataclass
from typing import ClassVar

from autolip.errors import Refusal
from autolip.methods.autolip import walk
from autolip.methods.method import Bound, Method, Problem, method
from autolip.norms import L2_TO_L2, Pair


@method("toy-product")
@dataclass(frozen=True)
class ToyProduct(Method):
    """Upper bound on the l2 constant: the product of the norms of the affine blocks."""

    name: ClassVar[str] = "toy-product"
    source: ClassVar[str] = "these tests"
    norms: ClassVar[frozenset[Pair]] = L2_TO_L2

    def bound(self, problem: Problem) -> Bound | Refusal:
        return walk(problem, problem.fused)
