"""Whether a point lies in a region: exactly, rounding included."""

import math

from jaxtyping import Float
from torch import Tensor

from autolip.intervals import UNIT
from autolip.norms import Norm
from autolip.regions import Ball, Box, Region


def inside(region: Region, x: Float[Tensor, "*shape"]) -> bool:
    """Whether the doubles x are a point of the region; False where rounding leaves a doubt."""
    if not bool(x.isfinite().all()):
        return False
    if isinstance(region, Box):
        return region.interval(x.shape).contains(x)
    return not isinstance(region, Ball) or _in_ball(region, x)


def settled(region: Region, x: Float[Tensor, "k *shape"]) -> Float[Tensor, "k *shape"]:
    """The projection of x, moved inwards by the rounding error of projecting.

    A ball's projection centre + offset is rounded to at most half a unit in the last place of each entry; one step
    towards the centre undoes it.
    """
    projected = region.project(x)
    if not isinstance(region, Ball):
        return projected
    return projected.nextafter(region.center.reshape(x.shape[1:]).expand_as(projected))


def _in_ball(ball: Ball, x: Tensor) -> bool:
    """||x - centre|| <= radius, with d + e = x - centre exactly (Knuth's two-sum)."""
    c = ball.center.reshape(x.shape)
    d = x - c
    back = d - x
    e = (x - (d - back)) - (c + back)
    if ball.norm is Norm.LINF:
        return bool(((d.abs() < ball.radius) | ((d.abs() == ball.radius) & (e * d.sign() <= 0))).all())
    square = math.fsum((d * d).flatten().tolist()) * (1 + 8 * UNIT)
    return square <= ball.radius * ball.radius * (1 - 4 * UNIT) or not d.any()
