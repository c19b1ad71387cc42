"""Weights scaled down until every linear layer has at most a given operator norm."""

import copy
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from autolip.errors import InputError
from autolip.estimate import lipschitz
from autolip.findings import above
from autolip.norms import Norm
from autolip.operators.convolution import Convolution
from autolip.operators.dense import Dense
from autolip.operators.kernel import Geometry
from autolip.operators.norms import NormOptions, operator_norm
from autolip.operators.operator import Operator
from autolip.training.live import evaluating, own_module
from autolip.values import Upper, round_down

CONVOLUTIONS = (
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)

IMAGE = 32
"""Chosen: side of the image on which a convolution is measured where its size is not known; the
symbol holds for any."""


@torch.no_grad()
def spectral_cap_(
    model: nn.Module, sigma: float, example_inputs: Tensor | None = None
) -> dict[str, float]:
    """Scale every linear layer's weight in place to an l2 operator norm of at most `sigma`; the
    norms before.

    To be called after an optimiser's step.  A convolution counts as the linear map that it is, with
    its stride, padding and dilation, not as its reshaped kernel; with `example_inputs` on the image
    that it sees there, else on images of any size (circular and reflected padding need them).  The
    norms are proved upper bounds, so that the layers, as stored, obey the cap.  Layers whose weight
    is computed by a parametrisation are measured, and refused above the cap.

    Returns the proved norm of each layer before the cap, by its module path.  Raises InputError for
    a cap that is not a finite number > 0, a weight that is not finite, and a parametrised layer
    above the cap.

    Source: Miyato, Kataoka, Koyama and Yoshida, ICLR 2018 (spectral normalisation), with true
    convolution norms: Sedghi, Gupta and Long, ICLR 2019.

        >>> from torch import nn
        >>> from autolip.training import spectral_cap_
        >>> conv, linear = nn.Conv2d(1, 8, 3, padding=1), nn.Linear(128, 10)
        >>> model = nn.Sequential(conv, nn.ReLU(), nn.Flatten(), linear)
        >>> sorted(spectral_cap_(model, 0.5))
        ['0', '3']
    """
    if not 0 < sigma < float("inf"):
        raise InputError(f"the cap is {sigma}: give a finite number > 0")
    model = own_module(model)
    shapes = {} if example_inputs is None else _shapes(model, example_inputs)
    norms: dict[str, float] = {}
    for name, layer in _layers(model):
        norms[name] = _norm(name, layer, shapes.get(name))
        if norms[name] > sigma:
            _scale(name, layer, sigma, norms[name], shapes.get(name))
    return norms


def _layers(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for name, module in model.named_modules():
        if isinstance(module, (nn.Linear, *CONVOLUTIONS)):
            yield name, module


def _norm(name: str, layer: nn.Module, shape: torch.Size | None) -> float:
    weight = layer.weight
    if not isinstance(weight, Tensor) or not bool(weight.isfinite().all()):
        raise InputError(
            f"the weight of {name or 'the model'} is not finite: training has diverged"
        )
    if isinstance(layer, CONVOLUTIONS) and layer.padding_mode != "zeros":
        return _captured(name, layer, shape)
    operator = _operator(layer, weight, shape)
    found = operator_norm(operator, Norm.L2, Norm.L2, NormOptions())
    if not isinstance(found, Upper):
        raise InputError(f"the norm of {name or 'the model'} is not known: {found}")
    return found.value


def _captured(name: str, layer: nn.Module, shape: torch.Size | None) -> float:
    """The norm of a layer that pads by a mode: of the map that it is on the image that it sees."""
    what = f"{name or 'the model'} pads by {layer.padding_mode!r}"
    if shape is None:
        raise InputError(f"{what}, and its norm depends on the image's size: give example_inputs")
    alone = copy.deepcopy(layer).cpu().eval()
    dtype = next(alone.parameters()).dtype
    bound = above(lipschitz(alone, torch.zeros(1, *shape[1:], dtype=dtype), lower=None).upper)
    if not math.isfinite(bound):
        raise InputError(f"{what}, and its norm is not known: pad with zeros")
    return bound


def _operator(layer: nn.Module, weight: Tensor, shape: torch.Size | None) -> Operator:
    """The layer's linear map, its images padded with zeros."""
    weight = weight.detach().cpu()
    if isinstance(layer, nn.Linear):
        return Dense(weight.double())
    assert isinstance(layer, CONVOLUTIONS)
    dims = weight.dim() - 2
    padding = _padding(layer)
    transposed = bool(layer.transposed)
    given = (layer.stride, padding, layer.dilation, transposed, layer.output_padding, layer.groups)
    channels = weight.shape[0] if transposed else weight.shape[1] * layer.groups
    space = shape[-dims:] if shape is not None else (IMAGE,) * dims
    return Convolution(weight, (channels, *space), Geometry(*given))


def _padding(layer: Any) -> tuple[int, ...]:
    """How many zeros are on either side; "same" may put one less in front, which leaves out some
    rows of the map and makes no norm larger."""
    if not isinstance(layer.padding, str):
        return tuple(layer.padding)
    if layer.padding == "valid":
        return (0,) * len(layer.kernel_size)
    sides = zip(layer.dilation, layer.kernel_size, strict=True)
    return tuple(-(-dilation * (size - 1) // 2) for dilation, size in sides)


def _scale(
    name: str, layer: nn.Module, sigma: float, norm: float, shape: torch.Size | None
) -> None:
    """The weight times a factor, a little less each time until the rounded weight obeys the cap."""
    weight = layer.weight
    if not isinstance(weight, nn.Parameter):
        raise InputError(
            f"{name or 'the model'} has norm {norm:.6g} > {sigma:g}, and its weight is parametrised"
        )
    factor = sigma / norm
    while True:
        weight.mul_(factor)
        norm = _norm(name, layer, shape)
        if norm <= sigma:
            return
        eps = torch.finfo(weight.dtype).eps
        factor = round_down(sigma / norm) * (1 - eps)


def _shapes(model: nn.Module, inputs: Tensor) -> dict[str, torch.Size]:
    """The shape of the input of every layer, for one pass."""
    shapes: dict[str, torch.Size] = {}
    handles = []
    for name, layer in _layers(model):

        def note(module: nn.Module, given: tuple[Tensor, ...], name: str = name) -> None:
            shapes[name] = given[0].shape

        handles.append(layer.register_forward_pre_hook(note))
    try:
        with evaluating(model):
            model(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return shapes
