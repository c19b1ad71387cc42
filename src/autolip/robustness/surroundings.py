"""Regions of samples in place of radii: one for all of them, or each its own."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.arguments import shown
from autolip.capture.guarded import users_code
from autolip.errors import InputError
from autolip.intervals import Interval
from autolip.norms import Norm
from autolip.regions import Ball, Box, Region, ScaledBall, as_region
from autolip.regions.region import fitted

Surroundings = Region | Callable[[Tensor], Region]
"""A region that holds all samples, or a function that gives each its own."""

WHOLE = 1.0
"""Defined: the radius of a sample whose region is certified: radii are counted in regions."""


def regions_of(given: Surroundings, points: Float[Tensor, "n *shape"]) -> list[Region]:
    """The region of every sample, in the shape of the network's input.

    InputError where one has no bound, or does not hold its sample.
    """
    return [_region(given, number, x.double()) for number, x in enumerate(points)]


def _region(given: Surroundings, number: int, x: Float[Tensor, "*shape"]) -> Region:
    found = given if isinstance(given, Region) else _made(given, number, x)
    region = as_region(found).shaped(x.shape)
    if not region.is_bounded(x.shape):
        raise InputError(f"the region of sample {number} has no bound: give a box or a ball")
    if not region.contains(x):
        raise InputError(
            f"sample {number} is no point of its region: give regions that hold their samples"
        )
    return region


def _made(given: Surroundings, number: int, x: Float[Tensor, "*shape"]) -> Region:
    if not callable(given):
        raise InputError(
            f"region is {shown(given)}: give a Box or a Ball, or a function of a sample that "
            "returns one"
        )
    with users_code(f"the region of sample {number}"):
        found = given(x.clone())
    if not isinstance(found, Region):
        raise InputError(f"the region of sample {number} is {shown(found)}: give a Box or a Ball")
    return found


def boxes(widths: Sequence[float]) -> Callable[[Tensor], Region]:
    """Boxes about samples that reach at least so far to either side: one number, or one for each
    entry."""
    given = torch.tensor(widths, dtype=torch.float64)
    if not len(given) or not bool((given >= 0).all() and given.isfinite().all()):
        raise InputError(f"the box reaches {shown(widths)} far: give finite numbers >= 0")

    def around(x: Tensor) -> Region:
        reach = fitted("box", given if len(given) > 1 else given[0], x.shape)
        ends = Interval(x, x) + Interval(-reach, reach)
        return Box(ends.lo, ends.hi)

    return around


def norm_of(regions: Sequence[Region]) -> Norm:
    """What lengths are measured in: the norm of the balls where all have one, else linf."""
    norms = {one.norm if isinstance(one, Ball | ScaledBall) else Norm.LINF for one in regions}
    return norms.pop() if len(norms) == 1 else Norm.LINF
