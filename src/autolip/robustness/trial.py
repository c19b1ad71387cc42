"""One sample on one region: what is proved of the margins there.

The margin of a class j is f_y - f_j, y being the label.  The label wins on the region where every
margin stays above 0; the program in floating point says so where it stays above what the two
outputs may be off by.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.budget import UNLIMITED, Budget
from autolip.errors import Refusal
from autolip.intervals import Interval
from autolip.norms import Norm
from autolip.operators.operator import CPU
from autolip.ranges import Allowance
from autolip.ranges.forward import known_of
from autolip.ranges.prefix import Prefix
from autolip.regions import Region
from autolip.robustness.classifier import Classifier
from autolip.robustness.program import Near, program_error
from autolip.values import Upper


@dataclass
class Trial:
    """Margins of a label on a region, proved from below, and improved method by method."""

    classifier: Classifier
    region: Region
    label: int
    rivals: tuple[int, ...]
    norm: Norm
    rounding: bool = True
    budget: Budget = UNLIMITED
    constants: Mapping[tuple[int, int], Upper] = field(default_factory=dict)
    """Global Lipschitz constants of differences f_i - f_j, i < j."""
    device: torch.device = CPU
    """Where searches pass through the network."""
    least: Float[Tensor, " rivals"] = field(init=False)
    """Proved: on the region no margin is below."""
    reason: str = ""
    """Why the program's rounding is not known."""

    def __post_init__(self) -> None:
        self.least = torch.full((len(self.rivals),), -math.inf, dtype=torch.float64)

    @cached_property
    def prefix(self) -> Prefix:
        """Ranges and linear bounds of every operation on the region."""
        allowance = Allowance.within(self.budget.left)
        return known_of(self.classifier.lowered, self.region, allowance)

    @cached_property
    def rows(self) -> Float[Tensor, "rivals classes"]:
        """e_y - e_j for every rival j."""
        rows = torch.zeros(len(self.rivals), self.classifier.classes, dtype=torch.float64)
        rows[:, self.label] = 1.0
        rows[torch.arange(len(rows)), list(self.rivals)] = -1.0
        return rows

    @cached_property
    def there(self) -> Float[Tensor, " rivals"]:
        """At most the margins at the region's centre."""
        shape = self.classifier.shape
        return margins_at(self.classifier, self.region.origin(shape), self.label, self.rivals).lo

    @cached_property
    def reach(self) -> Upper:
        """At least ||x - centre|| for every x of the region."""
        return self.region.spread(self.norm, self.classifier.shape)

    @cached_property
    def needed(self) -> Float[Tensor, " rivals"]:
        """What a margin must be above: what the program's two outputs may be off by."""
        if not self.rounding:
            return torch.zeros(len(self.rivals), dtype=torch.float64)
        classifier = self.classifier
        ranges = self.prefix.ranges
        centre, shape = self.region.origin(classifier.shape), classifier.shape
        reach = self.region.spread(Norm.L2, shape)
        near = Near.of(classifier.graph, centre, reach, classifier.gains)
        found = program_error(classifier.graph, ranges, classifier.dtype, self.rows, near)
        if isinstance(found, Refusal):
            self.reason = str(found)
            return torch.full((len(self.rivals),), math.inf, dtype=torch.float64)
        return found

    def raise_to(self, bounds: Float[Tensor, " rivals"]) -> None:
        """Other lower bounds of the margins, NaN where there are none."""
        self.least = torch.maximum(self.least, bounds.nan_to_num(-math.inf, math.inf, -math.inf))

    def calm_all(self, constants: Float[Tensor, " rivals"]) -> None:
        """The same of all rivals at once; infinite where nothing is known."""
        reach = torch.full_like(constants, self.reach.value)
        moved = Interval(constants, constants) * Interval(reach, reach)
        self.raise_to((Interval(self.there, self.there) - moved).lo)

    def calm(self, rival: int, constant: Upper) -> None:
        """What |(f_y - f_j)(x) - (f_y - f_j)(c)| <= constant |x - c| makes of a margin."""
        moved = torch.tensor((constant * self.reach).value, dtype=torch.float64)
        place = self.rivals.index(rival)
        bounds = torch.full_like(self.least, -math.inf)
        there = self.there[place]
        bounds[place] = (Interval(there, there) - Interval(moved, moved)).lo
        self.raise_to(bounds)

    @property
    def is_certified(self) -> bool:
        """Whether the label wins everywhere in the region, in the program too where that counts."""
        return not self.rivals or bool((self.least > self.needed).all())

    @property
    def open(self) -> list[int]:
        """The rivals that may still win, the nearest first."""
        lacking = self.needed - self.least
        order = lacking.nan_to_num(math.inf).argsort(descending=True).tolist()
        return [self.rivals[place] for place in order if not self.least[place] > self.needed[place]]


def margins_at(
    classifier: Classifier, x: Float[Tensor, "*shape"], label: int, rivals: tuple[int, ...]
) -> Interval:
    """Intervals that contain the margins at one input."""
    values = classifier.proved(x)
    others = list(rivals)
    own = Interval(values.lo[label].expand(len(others)), values.hi[label].expand(len(others)))
    return own - Interval(values.lo[others], values.hi[others])
