"""What is checked before anything is captured."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from autolip.errors import InputError

_RANDOM_WHEN_TRAINING = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._BatchNorm, nn.RReLU)


def check_module(module: nn.Module) -> None:
    """Raise InputError for training mode, batch statistics, NaN or infinite weights, mixed devices."""
    for path, child in module.named_modules():
        _check_mode(path or "the model", child)
    devices = set()
    for path, weight in [*module.named_parameters(), *module.named_buffers()]:
        devices.add(str(weight.device))
        if weight.is_floating_point() and not weight.isfinite().all():
            bad = int((~weight.isfinite()).sum())
            raise InputError(
                f"weights {path} have {bad} NaN or infinite entries: repair or retrain the model"
            )
    if len(devices) > 1:
        raise InputError(
            f"the model's weights are on several devices ({', '.join(sorted(devices))}): move it to one"
        )


def _check_mode(path: str, child: nn.Module) -> None:
    if child.training and isinstance(child, _RANDOM_WHEN_TRAINING):
        raise InputError(f"{path} ({type(child).__name__}) is in training mode: call model.eval() first")
    if isinstance(child, nn.modules.batchnorm._BatchNorm) and child.running_mean is None:
        raise InputError(
            f"{path} ({type(child).__name__}) has no running statistics, so it mixes the samples of a batch and a"
            " constant of one sample is not defined: use track_running_stats=True"
        )


def check_inputs(inputs: Sequence[object]) -> None:
    """Raise InputError unless every example input is a finite tensor, all on one device."""
    if not inputs:
        raise InputError("no example input: give one tensor for each argument of the model")
    devices = set()
    for number, value in enumerate(inputs):
        if not isinstance(value, Tensor):
            raise InputError(f"example input {number} is a {type(value).__name__}: give a tensor")
        if value.is_floating_point() and not value.isfinite().all():
            raise InputError(f"example input {number} has NaN or infinite entries: give finite numbers")
        devices.add(str(value.device))
    if len(devices) > 1:
        raise InputError(
            f"the example inputs are on several devices ({', '.join(sorted(devices))}): move them to one"
        )


def check_finite_constants(constants: Sequence[Tensor]) -> None:
    """Raise InputError if a constant of the graph is NaN or infinite."""
    for constant in constants:
        if constant.is_floating_point() and torch.isnan(constant).any():
            raise InputError("the model holds NaN constants: repair or retrain it")
