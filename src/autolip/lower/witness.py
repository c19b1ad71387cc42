"""What proves a lower bound: two inputs."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.norms import Norm
from autolip.units import UNITS, Units


@dataclass(frozen=True, eq=False)
class Witness:
    """Two inputs x, y of the region between which the network's output changes by at least `rise`
    in the norm q and in its units.

    `run` is at least ||x - y||_p in theirs, so that rise / run is a lower bound; `margin` is what
    was subtracted for the rounding of the evaluation, relative to the slope; `evaluated` says by
    what the outputs were computed.
    """

    x: Float[Tensor, "*shape"]
    y: Float[Tensor, "*shape"]
    p: Norm
    q: Norm
    rise: float
    run: float
    margin: float
    evaluated: str
    units: Units = UNITS

    def to_dict(self) -> dict[str, Any]:
        """Plain data: x and y as flat lists, and their shape."""
        return {
            "x": self.x.flatten().tolist(),
            "y": self.y.flatten().tolist(),
            "shape": list(self.x.shape),
            "rise": self.rise,
            "run": self.run,
            "margin": self.margin,
            "evaluated": self.evaluated,
        }

    @staticmethod
    def from_dict(stored: dict[str, Any], p: Norm, q: Norm, units: Units = UNITS) -> "Witness":
        """The pair of its plain data, for these norms and units of input and output."""
        x, y = (
            torch.tensor(stored[name], dtype=torch.float64).reshape(stored["shape"])
            for name in ("x", "y")
        )
        numbers = {name: stored[name] for name in ("rise", "run", "margin", "evaluated")}
        return Witness(x, y, p, q, **numbers, units=units)

    def __repr__(self) -> str:
        return f"<{self.describe()}>"

    def describe(self) -> str:
        """One sentence."""
        before, after = self.units.named(self.p, self.q)
        return (
            f"two inputs {self.run:.4g} apart ({before}) with outputs at least "
            f"{self.rise:.6g} apart"
            f" ({after}), by {self.evaluated}; allowed for rounding: "
            f"{self.margin:.1g} of the slope"
        )
