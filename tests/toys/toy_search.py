"""A search from below that nothing else of the package knows of: short pairs at a few random
points."""

from dataclasses import dataclass
from typing import ClassVar

from autolip.errors import Refusal
from autolip.lower.certify import certified
from autolip.lower.method import LowerMethod, lower_method
from autolip.lower.problem import LowerProblem
from autolip.lower.sampling import steepest_at
from autolip.values import Lower


@lower_method
@dataclass(frozen=True)
class ToySearch(LowerMethod):
    """Lower bound on the Lipschitz constant: the largest slope at random points."""

    points: int = 20

    name: ClassVar[str] = "toy-search"
    source: ClassVar[str] = "these tests"

    def _search(self, problem: LowerProblem) -> Lower | Refusal:
        points = problem.region.sample(self.points, problem.example, problem.generator())
        return certified(problem, steepest_at(problem, points))
