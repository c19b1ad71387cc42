"""What is checked before anything is captured."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils import _pytree as pytree

from autolip.errors import InputError

LARGEST = 2**29
"""Chosen: numbers in one tensor at most (4 GiB in float64)."""

_RANDOM_WHEN_TRAINING = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._BatchNorm, nn.RReLU)
_QUANTIZED = ("torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized", "torch.nn.quantized")


def check_module(module: nn.Module) -> None:
    """Raise InputError for training mode, batch statistics, and weights that are no finite real
    numbers."""
    weights = [*module.named_parameters(), *module.named_buffers()]
    for path, weight in weights:
        _check_kind(f"weights {path}", weight)
    for path, child in module.named_modules():
        _check_mode(path or "the model", child)
    _check_devices("the model's weights", {str(weight.device) for _, weight in weights})
    for path, weight in module.named_parameters():
        _check_finite(path, weight)
    for path, buffer in module.named_buffers():
        _check_finite(path, buffer, infinite=True)


def _check_kind(what: str, value: Tensor) -> None:
    """Dense tensors of real numbers alone, of a size that can be handled."""
    if is_lazy(value):
        raise InputError(
            f"{what} have no shape yet (a lazy module): call the model once on an example "
            "input, and"
            " load its weights, before it is analysed"
        )
    if value.is_quantized:
        raise InputError(
            f"{what} are quantized: give the floating-point model, or .dequantize() them"
        )
    if value.layout is not torch.strided:
        raise InputError(f"{what} are stored as {value.layout}: make them dense with .to_dense()")
    if value.is_complex() and isinstance(value, nn.Parameter):
        raise InputError(
            f"{what} are {value.dtype}: only real numbers are supported, so keep the real and the"
            " imaginary part as two parameters"
        )
    if value.numel() > LARGEST:
        raise InputError(f"{what} have {value.numel():.3g} entries: {LARGEST:.3g} are supported")


def _check_finite(path: str, weight: Tensor, infinite: bool = False) -> None:
    """No NaN; no infinity either, but where it may be a mask and what it is used for decides."""
    if not (weight.is_floating_point() or weight.is_complex()) or weight.device.type == "meta":
        return
    wide = weight.detach() if weight.dtype.itemsize > 1 else weight.detach().to(torch.float64)
    odd = wide.isnan() if infinite else ~wide.isfinite()
    bad = int(odd.sum())
    if bad:
        raise InputError(
            f"weights {path} have {bad} NaN or infinite entries: repair or retrain the model"
        )


def _check_devices(what: str, devices: set[str]) -> None:
    if "meta" in devices:
        raise InputError(
            f"{what} are on the meta device, so they have no values: load the weights first"
        )
    if len(devices) > 1:
        raise InputError(
            f"{what} are on several devices ({', '.join(sorted(devices))}): move them to one"
        )


def _check_mode(path: str, child: nn.Module) -> None:
    kind = type(child)
    if kind.__module__.startswith(_QUANTIZED):
        raise InputError(
            f"{path} ({kind.__name__}) computes with quantized integers: give the "
            "floating-point model"
        )
    if isinstance(child, _RANDOM_WHEN_TRAINING) and child.training:
        raise InputError(f"{path} ({kind.__name__}) is in training mode: call model.eval() first")
    if isinstance(child, nn.modules.batchnorm._BatchNorm) and child.running_mean is None:
        raise InputError(
            f"{path} ({kind.__name__}) has no running statistics, so it mixes the samples "
            "of a batch and a"
            " constant of one sample is not defined: use track_running_stats=True"
        )


def check_inputs(inputs: Sequence[object]) -> None:
    """Raise InputError unless all tensors among the arguments are finite and dense, on one
    device."""
    if not inputs:
        raise InputError("no example input: give one tensor for each argument of the model")
    devices = set()
    for number, value in enumerate(inputs):
        for leaf in pytree.tree_leaves(value):
            _check_leaf(f"example input {number}", leaf)
            if isinstance(leaf, Tensor):
                devices.add(str(leaf.device))
    if not devices:
        kinds = ", ".join(type(value).__name__ for value in inputs)
        raise InputError(f"the example inputs are {kinds}: give a tensor for the input that varies")
    _check_devices("the example inputs", devices)


def _check_leaf(what: str, leaf: object) -> None:
    if isinstance(leaf, float) and leaf - leaf != 0:
        raise InputError(f"{what} is {leaf}: give a finite number")
    if leaf is None or isinstance(leaf, bool | int | float | str):
        return
    if not isinstance(leaf, Tensor):
        raise InputError(
            f"{what} is a {type(leaf).__name__}: give a tensor, or a number that is held fixed"
        )
    if is_lazy(leaf) or leaf.is_quantized or leaf.layout is not torch.strided:
        raise InputError(f"{what} is no dense tensor of numbers: give it as one")
    real = leaf.is_floating_point() or leaf.is_complex()
    if leaf.device.type != "meta" and real and not leaf.to(torch.complex128).isfinite().all():
        raise InputError(f"{what} has NaN or infinite entries: give finite numbers")


def check_varying(example: object, name: str) -> None:
    """Raise InputError unless the input that varies is a tensor of floating-point numbers."""
    if not isinstance(example, Tensor):
        raise InputError(f"input {name} is a {type(example).__name__}: only a tensor can vary")
    if not example.is_floating_point():
        raise InputError(
            f"input {name} is {example.dtype}: a Lipschitz constant needs a floating-point input"
        )
    if example.numel() == 0:
        shape = tuple(example.shape)
        raise InputError(
            f"input {name} of shape {shape} is empty: give an example with at least one entry"
        )
    if example.numel() > LARGEST:
        raise InputError(
            f"input {name} has {example.numel():.3g} entries: {LARGEST:.3g} are supported"
        )
