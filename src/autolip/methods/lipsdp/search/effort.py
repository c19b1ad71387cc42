"""How far a search goes: until when, how near, in how many steps."""

import math
from dataclasses import dataclass

import torch

from autolip.budget import Budget

OVERTIME = 1.5
"""Times the time given, a proof that was begun in it may end: a choice."""


@dataclass(frozen=True)
class Effort:
    """Until when and how near to the optimum of a relaxation a search goes, and where it begins."""

    budget: Budget
    overtime: Budget
    """When a proof that was begun in the budget should have ended."""
    tolerance: float
    """Ratio of proved to attained value, less 1, that is aimed at."""
    rank: int | None
    """Columns to begin with (None: by the cost of a pass)."""
    margin: float
    """The first margin eta."""
    steps: int
    """Most steps."""
    closest: float = math.inf
    """What is aimed at once `tolerance` is met, with the time that is left."""
    device: torch.device | None = None
    """Where large passes are made; None: on a GPU where there is one."""

    @staticmethod
    def within(
        budget: Budget,
        tolerance: float,
        rank: int | None,
        margin: float,
        steps: int,
        closest: float = math.inf,
        device: torch.device | None = None,
    ) -> "Effort":
        """From now on."""
        overtime = budget.within(OVERTIME)
        return Effort(budget, overtime, tolerance, rank, margin, steps, closest, device)
