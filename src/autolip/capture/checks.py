"""What is checked before anything is captured."""

from collections.abc import Sequence

from torch import Tensor, nn

from autolip.errors import InputError

_RANDOM_WHEN_TRAINING = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._BatchNorm, nn.RReLU)


def check_module(module: nn.Module) -> None:
    """Raise InputError for training mode, batch statistics, NaN or infinite weights, mixed devices."""
    for path, child in module.named_modules():
        _check_mode(path or "the model", child)
    weights = [*module.named_parameters(), *module.named_buffers()]
    _check_devices("the model's weights", {str(weight.device) for _, weight in weights})
    for path, weight in weights:
        if weight.is_floating_point() and not weight.isfinite().all():
            bad = int((~weight.isfinite()).sum())
            raise InputError(f"weights {path} have {bad} NaN or infinite entries: repair or retrain the model")


def _check_devices(what: str, devices: set[str]) -> None:
    if "meta" in devices:
        raise InputError(f"{what} are on the meta device, so they have no values: load the weights first")
    if len(devices) > 1:
        raise InputError(f"{what} are on several devices ({', '.join(sorted(devices))}): move them to one")


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
        if value.device.type != "meta" and value.is_floating_point() and not value.isfinite().all():
            raise InputError(f"example input {number} has NaN or infinite entries: give finite numbers")
        devices.add(str(value.device))
    _check_devices("the example inputs", devices)
