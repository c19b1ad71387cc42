"""Convolutions."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from autolip.errors import UnsupportedOperation
from autolip.intervals import Interval
from autolip.operators.convolution import Convolution
from autolip.rules.rule import Action
from autolip.slopes import Exact

aten = torch.ops.aten
Act = Callable[..., Action]


@pytest.mark.filterwarnings("ignore:Using padding='same'")
def test_the_matrix_is_that_of_the_operation(
    affine_call: Any, check_affine: Callable[[Any], None]
) -> None:
    check_affine(affine_call)


def test_a_convolution_is_one_operator_with_its_kernel(act: Act) -> None:
    weight = torch.randn(4, 3, 3, 3, dtype=torch.float64)
    ((_, slope),) = act(
        aten.conv2d.default, Interval.everywhere((1, 3, 8, 8)), weight, padding=[1, 1]
    ).slopes
    assert isinstance(slope, Exact) and isinstance(slope.operator, Convolution)
    assert torch.equal(slope.operator.weight, weight)


@pytest.mark.parametrize("which", [1, 2])
def test_a_varying_kernel_or_bias_is_refused(act: Act, which: int) -> None:
    arguments: list[Any] = [
        Interval.uniform(0.0, 1.0, (1, 2, 5)),
        torch.ones(2, 2, 3),
        torch.ones(2),
    ]
    arguments[which] = Interval.uniform(0.0, 1.0, arguments[which].shape)
    with pytest.raises(UnsupportedOperation, match=["weight", "bias"][which - 1]):
        act(aten.conv1d.default, *arguments)


@pytest.mark.parametrize("mode", ["zeros", "circular", "reflect", "replicate"])
def test_every_padding_mode_of_a_layer_is_one_affine_map(act: Act, mode: Any) -> None:
    """As it is exported: a pad, then a convolution."""
    torch.manual_seed(0)
    layer = nn.Conv2d(2, 3, 3, padding=1, padding_mode=mode, dtype=torch.float64)
    x = torch.randn(1, 2, 5, 4, dtype=torch.float64)
    pad = ((0, 0, 0, 0), "constant") if mode == "zeros" else ((1, 1, 1, 1), mode)
    padding = [1, 1] if mode == "zeros" else [0, 0]
    ((_, wire),) = act(aten.pad.default, Interval(x, x), list(pad[0]), pad[1]).slopes
    padded = F.pad(x, *pad)
    ((_, conv),) = act(
        aten.conv2d.default,
        Interval(padded, padded),
        layer.weight.detach(),
        layer.bias.detach(),
        padding=padding,
    ).slopes
    assert isinstance(wire, Exact) and isinstance(conv, Exact)
    linear = conv.operator.mv(wire.operator.mv(x[None]))[0]
    torch.testing.assert_close(linear, (layer(x) - layer(torch.zeros_like(x))).detach())
