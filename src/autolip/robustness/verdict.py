"""What was found out about one sample."""

from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

import torch
from torch import Tensor


class Outcome(Enum):
    """What a verdict says."""

    CERTIFIED = "certified"
    ATTACKED = "attacked"
    OPEN = "open"
    MISCLASSIFIED = "misclassified"
    FAILED = "failed"


@dataclass(frozen=True)
class Verdict:
    """One row: the outcome, the radius that is certified, and how."""

    index: int
    label: int
    predicted: int
    outcome: Outcome
    radius: float = 0.0
    """Proved: the label wins for every input within it."""
    attacked: float | None = None
    """A radius within which an input with another class is known."""
    margin: float = 0.0
    """Proved: the label is ahead of every rival by this at the sample; negative where it is not."""
    method: str = ""
    seconds: float = 0.0
    reason: str = ""
    """Why the outcome is open, or failed."""
    witness: tuple[float, ...] | None = None
    """The input with another class, flattened."""
    complete: bool = True
    """False where the time ended before the ladder did."""
    by: str = ""
    """Who gives it another class: the function, or the program in its type."""

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self) | {
            "outcome": self.outcome.value,
            "witness": None if self.witness is None else list(self.witness),
        }

    @staticmethod
    def from_dict(stored: dict[str, Any]) -> "Verdict":
        """The verdict of its plain data."""
        witness = stored["witness"]
        known = stored | {
            "outcome": Outcome(stored["outcome"]),
            "witness": None if witness is None else tuple(map(float, witness)),
        }
        return Verdict(**known)

    def point(self, shape: torch.Size) -> Tensor | None:
        """The witness as an input."""
        if self.witness is None:
            return None
        return torch.tensor(self.witness, dtype=torch.float64).reshape(shape)
