"""How much of its symbol's supremum a convolution reaches on its finite image."""

import math

from autolip.operators.convolution import Convolution
from autolip.operators.operator import Operator


def share_reached(operator: Operator) -> float:
    """About the share of its symbol's supremum that a zero-padded convolution reaches on its finite
    image.

    A sine window of N points keeps cos(pi m / (N + 1)) of a trigonometric polynomial of degree m
    per axis.
    """
    conv = Convolution.of(operator)
    assert conv is not None
    geometry = conv.geometry
    coarse = conv.in_shape if geometry.transposed else conv.out_shape
    share = 1.0
    for size, taps, dilation, stride in zip(
        coarse[-geometry.dims :],
        conv.weight.shape[2:],
        geometry.dilation,
        geometry.stride,
        strict=True,
    ):
        reach = dilation * (taps - 1) + 1
        steps = math.ceil(reach / stride)
        degree = max(0, steps - 1) / 2
        share *= max(0.0, math.cos(min(math.pi * degree / (size + 1), math.pi / 2)))
    return share
