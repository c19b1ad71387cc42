"""What is asked about every sample, checked before the network is looked at."""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from autolip.arguments import computing, number, positive, shown
from autolip.errors import InputError
from autolip.norms import Norm, one_norm
from autolip.regions import Ball, Region
from autolip.regions.clipped import Clipped
from autolip.robustness.surroundings import norm_of

THOROUGH = 20
"""Chosen: restarts of an attack that was asked for."""

QUICK = 2
"""Chosen: restarts of the attack that spares the dear methods what cannot be certified."""


@dataclass(frozen=True)
class Request:
    """Is the class the label for every input within a radius; or, `largest`, up to which radius?

    `clip` are the least and the largest value that an entry may have; `targets` the classes that
    must not win (None: all others).  Of samples with `regions` a radius of 1 is the whole region.
    With `rounding` the program in floating point must answer so.
    """

    norm: Norm = Norm.L2
    radius: float | None = None
    largest: bool = False
    clip: tuple[float, float] | None = None
    targets: tuple[int, ...] | None = None
    rounding: bool = True
    restarts: int = QUICK
    time_budget: float | None = None
    """Seconds for each sample."""
    regions: bool = False
    """Whether samples have regions of their own in place of the radius."""
    measured: bool = True
    """Whether the norm was asked for; where not, lengths are measured as suits the regions."""
    device: torch.device | None = None
    """Where searches pass through the network; proofs are made on the processor."""

    @classmethod
    def asked(
        cls,
        *,
        radius: Any = None,
        norm: Any = None,
        largest: bool = False,
        regions: bool = False,
        clip: Any = None,
        targets: Sequence[int] | None = None,
        rounding: bool = True,
        attack: bool = False,
        time_budget: float | None = None,
        device: Any = None,
    ) -> "Request":
        """The request that a person means; InputError, in one sentence, where nothing can be
        meant."""
        reach = None if radius is None else number(radius, "the radius")
        if reach is not None and not 0 <= reach < math.inf:
            raise InputError(f"the radius is {reach}: give a finite number >= 0")
        if regions and (reach is not None or largest or clip is not None):
            raise InputError("a region says how far inputs go: leave radius, largest and clip out")
        return cls(
            Norm.L2 if norm is None else one_norm(norm, "norm"),
            reach,
            largest or (reach is None and not regions),
            None if clip is None else _ends(clip),
            None if targets is None else tuple(map(_class, targets)),
            rounding,
            THOROUGH if attack else QUICK,
            None if time_budget is None else positive(time_budget, "time_budget"),
            regions,
            norm is not None or not regions,
            computing(device),
        )

    def measuring(self, regions: Sequence[Region]) -> "Request":
        """The same, in the norm of the regions' balls where no other was asked for, else linf."""
        return self if self.measured else replace(self, norm=norm_of(regions), measured=True)

    def region(self, x: Tensor, radius: float) -> Region:
        """The inputs within a radius of a sample."""
        ball = Ball(x, radius, self.norm)
        return ball if self.clip is None else Clipped(ball, *self.clip)

    def rivals(self, label: int, classes: int) -> list[int]:
        """The classes that must not win."""
        wanted = range(classes) if self.targets is None else self.targets
        return [rival for rival in wanted if rival != label]

    def to_dict(self) -> dict[str, Any]:
        """Plain data: what a result says of it, and what a store knows it by."""
        return {
            "norm": self.norm.value,
            "radius": self.radius,
            "largest": self.largest,
            "regions": self.regions,
            "clip": None if self.clip is None else list(self.clip),
            "targets": None if self.targets is None else list(self.targets),
            "rounding": self.rounding,
            "restarts": self.restarts,
            "time_budget": self.time_budget,
        }

    @property
    def digest(self) -> str:
        """A name for it that no other request has."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()


def _ends(clip: Any) -> tuple[float, float]:
    try:
        lo, hi = clip
    except (TypeError, ValueError) as error:
        raise InputError(f"clip is {shown(clip)}: give the least and the largest value") from error
    ends = number(lo, "clip's least value"), number(hi, "clip's largest value")
    if not -math.inf < ends[0] < ends[1] < math.inf:
        raise InputError(f"clip is {shown(clip)}: give two finite numbers, the smaller one first")
    return ends


def _class(value: Any) -> int:
    found = number(value, "a target")
    if found != int(found) or found < 0:
        raise InputError(f"a target is {shown(value)}: give the number of a class, from 0")
    return int(found)


def sample_digest(x: Tensor, label: int, region: dict[str, object] | None = None) -> str:
    """A name for a sample, and its region where it has one, that no other one has."""
    data = x.detach().to(torch.float64).contiguous().numpy().tobytes()
    about = (tuple(x.shape), label) if region is None else (tuple(x.shape), label, region)
    return hashlib.sha256(data + str(about).encode()).hexdigest()
