"""Between which points slopes are taken: any two of a region, or one of them and all others."""

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from autolip.arguments import array, shown
from autolip.errors import InputError
from autolip.regions import Region
from autolip.regions.region import fitted

KINDS = "any", "centre"


@dataclass(frozen=True, eq=False)
class Secants:
    """sup |f(x) - f(y)| / |x - y| over two points x, y of a region ("any"), or over x alone with y
    a given point or the region's centre ("centre").

    The latter is the calmness modulus (R. T. Rockafellar and R. J.-B. Wets, Variational Analysis,
    1998, section 8.F), with the supremum over a region in place of a limit: at most the former, and
    all that |f(x) - f(y)| <= modulus |x - y| needs at that y.
    """

    kind: str = "any"
    point: Tensor | None = None

    @classmethod
    def asked(cls, kind: Any = "any", point: Any = None) -> Self:
        """What a person means; InputError, in one sentence, where nothing can be meant."""
        if not isinstance(kind, str) or kind not in KINDS:
            raise InputError(f"secants is {shown(kind)}: give {' or '.join(map(repr, KINDS))}")
        if point is None:
            return cls(kind)
        if kind != "centre":
            raise InputError("a point is given, but no secants from it: ask for secants 'centre'")
        given = array(point, "the point")
        if not given.isfinite().all():
            raise InputError("the point has NaN or infinite entries: give finite numbers")
        return cls(kind, given)

    def centre(self, region: Region, shape: torch.Size) -> Tensor | None:
        """The point y, None for any two; InputError where the region has none, or not this one."""
        if self.kind == "any":
            return None
        if self.point is None:
            found = region.centre(shape)
            if found is None:
                raise InputError("the region has no centre: give a point of it")
            return found.contiguous()
        found = fitted("point", self.point, shape).contiguous()
        if not region.contains(found):
            raise InputError("the point from which secants are taken is not in the region")
        return found


ANY = Secants()
